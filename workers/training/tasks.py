"""The jobs of the training role."""
