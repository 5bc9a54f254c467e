"""The API as its own tests open it: in this process, and over real HTTP."""

from tests.integration.conftest import (
    app,
    client,
    home,
    keyring,
    populated,
    populated_app,
    populated_home,
    populated_template,
    served,
    template,
)

__all__ = [
    "app",
    "client",
    "home",
    "keyring",
    "populated",
    "populated_app",
    "populated_home",
    "populated_template",
    "served",
    "template",
]
