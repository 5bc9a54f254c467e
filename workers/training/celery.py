"""The application of the training role, for Celery's own command: celery -A workers.training worker."""

from workers.app import create_app

app = create_app(["training"])
