"""The application of the training role, for Celery's own command: celery -A workers.training worker."""

from workers import app as worker_app

app = worker_app.create(["training"])
