"""Tells whether the rows of an evaluation are those that a model was fitted on."""

from collections.abc import Sequence
from typing import Any

from shared import contract


def warnings(dataset: contract.DatasetPin, models: Sequence[contract.ModelPin]) -> list[str]:
    """Name each version that was fitted on these very rows, whatever the dataset was called then."""
    found = {pin.label: fitted_on(pin) for pin in models}
    return [
        f"these are the rows that {name} was fitted on, as {data.get('dataset')}: its metrics say how well it knows "
        "them, not how well it does on others"
        for name, data in found.items()
        if data.get("dataset_sha256") == dataset.sha256
    ]


def fitted_on(pin: contract.ModelPin) -> dict[str, Any]:
    """Give the lineage that names a model's data: its own or, for one from an archive, the one that it had there."""
    lineage: dict[str, Any] = pin.lineage
    original = lineage.get("original")
    return original if isinstance(original, dict) else lineage
