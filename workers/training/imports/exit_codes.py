"""How the process that reads a foreign model says why it has ended."""

OUT_OF_MEMORY = 3
