"""The API's application with the tests' acts among its kinds."""

from shared import kinds, roles
from tests.system import acts

for role in roles.ROLES:
    kinds.by_name()[f"{role}.act"] = acts.kind_for(role)

from api.rsgi import front  # noqa: E402 - the application is made of the kinds that are known by now.

__all__ = ["front"]
