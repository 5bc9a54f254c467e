"""Warns when the rows of an evaluation are those that a model was fitted on, or of other kinds than these."""

import ast
from collections.abc import Sequence
from typing import Any

from shared import contract
from shared.catalog.lineage import list_layers, list_training_data
from shared.recipe import expressions


def list_warnings(
    dataset: contract.DatasetPin, models: Sequence[contract.ModelPin], *, where: str | None = None
) -> list[str]:
    """Warn of each version that was fitted on these very rows, whatever the dataset was called then.

    With a condition, of the training or of this evaluation, some of them may be others.
    """
    data = {pin.label: _find_training_data(dataset, pin) for pin in models}
    return [_describe(model, entry, where=where) for model, entry in data.items() if entry is not None]


def list_conditions(models: Sequence[contract.ModelPin], *, where: str | None) -> list[str]:
    """Warn of each version that was trained where a condition is true, if the rows are chosen otherwise here.

    docs/decisions/evaluation.md, "An evaluation scores the rows it is given, not those of the training's condition".
    """
    warnings = []
    for pin in models:
        trained = _find_condition(list_layers(pin.lineage)[-1])
        if trained is not None and not _are_same(trained, where):
            scored = "all rows" if where is None else f"those where {where}"
            warnings.append(
                f"{pin.label} was trained on rows where {trained}, but {scored} are scored here; give `where` to score "
                "the same kind of rows"
            )
    return list(dict.fromkeys(warnings))


def _find_condition(lineage: Any) -> str | None:
    """Find the condition of a training, with that of the value it was trained for; None when there was neither."""
    condition: str | None = (lineage.get("where") or {}).get("expression")
    if not (per := lineage.get("per")):
        return condition
    name = per["column"] if per["column"].isidentifier() else f"col({per['column']!r})"
    of_value = f"{name} == {per['value']!r}"
    return of_value if condition is None else f"({condition}) and {of_value}"


def _are_same(condition: str, where: str | None) -> bool:
    """Return whether two conditions are written alike, apart from white space, quotes and needless parentheses."""
    return where is not None and _normalize(condition) == _normalize(where)


def _normalize(condition: str) -> str:
    try:
        return ast.unparse(expressions.parse(condition))
    except ValueError:
        # A value may have characters that no condition can have.
        return condition


def _describe(model: str, entry: dict[str, Any], *, where: str | None) -> str:
    name, trained = entry["dataset"], entry.get("where")
    if trained is None and where is None:
        rows = f"these are the rows that {model} was fitted on, as {name}"
    elif trained is None or _are_same(trained, where):
        rows = f"these are among the rows that {model} was fitted on, as {name}"
    else:
        rows = f"among these may be rows that {model} was fitted on, as {name} where {trained}"
    return f"{rows}: its metrics show how well it knows them, not how well it does on others"


def _find_training_data(dataset: contract.DatasetPin, pin: contract.ModelPin) -> dict[str, Any] | None:
    """Find the data that a model learned from and that has a dataset's rows, the latest; None when there is none."""
    data = [entry for entry in list_training_data(pin.lineage) if entry["dataset_sha256"] == dataset.sha256]
    return data[-1] if data else None
