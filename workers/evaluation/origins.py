"""Tells whether the rows of an evaluation are those that a model was fitted on."""

from collections.abc import Sequence

from shared import contract
from shared.catalog.lineage import fitted_on


def warnings(dataset: contract.DatasetPin, models: Sequence[contract.ModelPin]) -> list[str]:
    """Name each version that was fitted on these very rows, whatever the dataset was called then."""
    found = {pin.label: _name_of(dataset, pin) for pin in models}
    return [
        f"these are the rows that {model} was fitted on, as {data}: its metrics say how well it knows them, not how "
        "well it does on others"
        for model, data in found.items()
        if data is not None
    ]


def _name_of(dataset: contract.DatasetPin, pin: contract.ModelPin) -> str | None:
    """Say what a dataset's rows were called when a model learned from them; None when it never did."""
    names = [data["dataset"] for data in fitted_on(pin.lineage) if data["dataset_sha256"] == dataset.sha256]
    return names[-1] if names else None
