"""The application of the orchestration role, for Celery's own command: celery -A workers.orchestration worker."""

from workers.app import create_app

app = create_app(["orchestration"])
