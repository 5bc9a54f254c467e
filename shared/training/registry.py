"""What a model's version records of how it was made, beside what it was made of."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from shared import build


def complete(lineage: Mapping[str, Any], *, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a lineage the recipe's SHA-256 and the commit of the code, which is None where nobody knows it."""
    return {**lineage, "recipe_sha256": digest(recipe), "commit": build.commit()}


def digest(document: Mapping[str, Any]) -> str:
    """Give the SHA-256 of a document, the same whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
