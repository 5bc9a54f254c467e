"""The application of the processing role, for Celery's own command: celery -A workers.processing worker."""

from workers import app as worker_app

app = worker_app.create(["processing"])
