"""The application of the ingestion role, for Celery's own command: celery -A workers.ingestion worker."""

from workers.app import create_app

app = create_app(["ingestion"])
