"""The file whose time shows that a process without HTTP is healthy, for the health checks of containers."""

import pathlib


def touch(path: pathlib.Path | None) -> None:
    """Renew the file's time, if a path is set."""
    if path is not None:
        path.touch()
