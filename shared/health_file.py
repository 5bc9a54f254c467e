"""The file whose time says that a process without HTTP is well, for the health checks of containers."""

import pathlib


def touch(path: pathlib.Path | None) -> None:
    """Renew the file's time, if there is to be one."""
    if path is not None:
        path.touch()
