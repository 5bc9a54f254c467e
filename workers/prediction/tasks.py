"""The jobs of the prediction role."""
