"""SHA-256 of files and documents, in hexadecimal."""

import hashlib
import io
import pathlib
from collections.abc import Mapping
from typing import Any

import orjson


def of_file(path: pathlib.Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return of_open_file(file)


def of_open_file(file: io.BufferedReader) -> str:
    """Hash an open file, from its present position on."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def of_document(document: Mapping[str, Any]) -> str:
    """Hash a JSON document, the same whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
