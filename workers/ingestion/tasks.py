"""The jobs of the ingestion role."""
