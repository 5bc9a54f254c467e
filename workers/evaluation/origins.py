"""Warns when the rows of an evaluation are those that a model was fitted on."""

from collections.abc import Sequence

from shared import contract
from shared.catalog.lineage import list_training_data


def list_warnings(dataset: contract.DatasetPin, models: Sequence[contract.ModelPin]) -> list[str]:
    """Warn of each version that was fitted on these very rows, whatever the dataset was called then."""
    names = {pin.label: _find_training_name(dataset, pin) for pin in models}
    return [
        f"these are the rows that {model} was fitted on, as {name}: its metrics show how well it knows them, not how "
        "well it does on others"
        for model, name in names.items()
        if name is not None
    ]


def _find_training_name(dataset: contract.DatasetPin, pin: contract.ModelPin) -> str | None:
    """Find what a dataset's rows were called when a model learned from them; None when it never did."""
    names = [data["dataset"] for data in list_training_data(pin.lineage) if data["dataset_sha256"] == dataset.sha256]
    return names[-1] if names else None
