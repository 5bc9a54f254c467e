"""What a model's version records of how it was made, beside what it was made of."""

from collections.abc import Mapping
from typing import Any

from shared import build, digests


def complete(lineage: Mapping[str, Any], *, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a lineage the recipe's SHA-256 and the commit of the code, which is None where nobody knows it."""
    return {**lineage, "recipe_sha256": digests.of_document(recipe), "commit": build.commit()}
