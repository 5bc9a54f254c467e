"""Completes a model version's lineage with the recipe and the code that made it."""

from collections.abc import Mapping
from typing import Any

from shared import build, fingerprints


def complete_lineage(lineage: Mapping[str, Any], *, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a lineage the recipe's SHA-256 and the commit of the code; the commit is None when it is unknown."""
    return {**lineage, "recipe_sha256": fingerprints.compute(recipe), "commit": build.commit()}
