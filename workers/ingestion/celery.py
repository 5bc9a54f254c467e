"""The application of the ingestion role, for Celery's own command: celery -A workers.ingestion worker."""

from workers import app as worker_app

app = worker_app.create(["ingestion"])
