"""The application that granian serves: `api.rsgi:front`."""

import sys

from api.app import create_app
from api.front.application import Front

_SWITCH_SECONDS = 0.0005
"""How long one thread may hold the interpreter: with the default 5 ms an answer often waits for the ringer's thread."""

sys.setswitchinterval(_SWITCH_SECONDS)
front = Front(create_app())
