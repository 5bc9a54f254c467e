"""The application of the prediction role, for Celery's own command: celery -A workers.prediction worker."""

from workers.app import create_app

app = create_app(["prediction"])
