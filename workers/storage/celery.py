"""The application of the storage role, for Celery's own command: celery -A workers.storage worker."""

from workers.app import create_app

app = create_app(["storage"])
