"""The jobs of the evaluation role."""
