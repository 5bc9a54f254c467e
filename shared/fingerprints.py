"""SHA-256 of JSON documents, in hexadecimal."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson


def compute(document: Mapping[str, Any]) -> str:
    """Hash a JSON document, the same whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
