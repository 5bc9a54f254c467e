"""How a deployment names the versions that it needs."""

from collections.abc import Mapping
from typing import Any


def name_followed(reference: str, pin: Mapping[str, Any]) -> str:
    """Name a version as a deployment follows it: by its alias, or by its number."""
    _, _, label = reference.partition("@")
    return reference if label != "latest" and not label.isdecimal() else f"{pin['name']}@{pin['version']}"


def name_number(place: Mapping[str, Any]) -> str:
    """Name the version of a part of a deployment's state by its number."""
    return f"{place['model'].partition('@')[0]}@{place['version']}"


def describe(reference: str, pin: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a version as a part of a deployment's state has it."""
    return {"model": reference, "version": pin["version"], "sha256": pin["sha256"]}
