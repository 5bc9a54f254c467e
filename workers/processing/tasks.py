"""The jobs of the processing role."""
