"""SHA-256 of files, in hexadecimal; with the standard library alone, since exported models carry this file."""

import hashlib
import io
import pathlib


def of_file(path: pathlib.Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return of_open_file(file)


def of_open_file(file: io.BufferedReader) -> str:
    """Hash an open file, from its present position on."""
    return hashlib.file_digest(file, "sha256").hexdigest()
