"""The jobs of the orchestration role."""
