"""The application of the evaluation role, for Celery's own command: celery -A workers.evaluation worker."""

from workers.app import create_app

app = create_app(["evaluation"])
