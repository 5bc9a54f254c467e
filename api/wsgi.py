"""The shim that servers load: `api.wsgi:app`."""

from api.app import create_app

app = create_app()
