"""How the sandboxed process tells the one that started it why it ended; imports nothing, since it starts per page."""

LIMIT_EXCEEDED = 4
"""The page exceeded the limits; the kernel may also have killed the process by a signal."""
DISK_FULL = 5
"""There was no room for the page's rows."""
