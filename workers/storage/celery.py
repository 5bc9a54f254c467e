"""The application of the storage role, for Celery's own command: celery -A workers.storage worker."""

from workers import app as worker_app

app = worker_app.create(["storage"])
