"""The application of the prediction role, for Celery's own command: celery -A workers.prediction worker."""

from workers import app as worker_app

app = worker_app.create(["prediction"])
