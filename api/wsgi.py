"""The shim that servers load: `api.wsgi:app`."""

import sys

from api.app import create_app

_SWITCH_SECONDS = 0.0005
"""How long one thread may hold the interpreter: with the usual 5 ms the ringer's work stands before an answer's."""

sys.setswitchinterval(_SWITCH_SECONDS)
app = create_app()
