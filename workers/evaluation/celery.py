"""The application of the evaluation role, for Celery's own command: celery -A workers.evaluation worker."""

from workers import app as worker_app

app = worker_app.create(["evaluation"])
