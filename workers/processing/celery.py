"""The application of the processing role, for Celery's own command: celery -A workers.processing worker."""

from workers.app import create_app

app = create_app(["processing"])
