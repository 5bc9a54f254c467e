"""The differences between versions of a model."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared import errors, positive_class
from shared.catalog.lineage import list_layers

Row = Any
"""A row of model_versions."""
Differences = dict[str, dict[str, Any]]
"""The values that differ, by name and then by version number as text; None where a version has no such value."""

_MAX_COMPARED = 10
_LABEL = re.compile(r"[0-9]{1,9}|(?![0-9]+$)[a-z0-9][a-z0-9._-]{0,62}")
_DATA_KEYS = ("dataset", "dataset_sha256", "features", "features_sha256", "recipe_sha256", "parent", "base")


def parse_labels(text: str) -> list[str]:
    """Parse two to ten labels of versions, separated by commas; raises InvalidRequestError."""
    labels = [label.strip() for label in text.split(",")]
    if not 2 <= len(labels) <= _MAX_COMPARED or not all(_LABEL.fullmatch(label) for label in labels):
        raise make_error(f"{text[:80]!r} is not a list of two to ten versions")
    return labels


def make_error(reason: str) -> errors.InvalidRequestError:
    """Make the error for versions that can't be compared."""
    problem = errors.Problem(f"{reason}; send two to ten, such as `1,3` or `champion,latest`", "#/versions")
    return errors.InvalidRequestError("These versions can't be compared.", problems=[problem])


def compare(rows: Sequence[Row]) -> dict[str, Any]:
    """Compare versions; a section in which all are equal stays empty."""
    return {
        "metrics": _metrics(rows),
        "parameters": _differing({row.version: row.estimator.get("params") or {} for row in rows}),
        "recipe": _steps({row.version: row.recipe.get("steps") or [] for row in rows}),
        "columns": _differing({row.version: _columns(row) for row in rows}),
        "data": _differing({row.version: _data(row) for row in rows}),
        "libraries": _differing({row.version: row.libraries for row in rows}),
        "model": _differing({row.version: _model(row) for row in rows}),
    }


def _metrics(rows: Sequence[Row]) -> dict[str, Any]:
    """Find the metrics that differ, each with the difference between the other versions and the first."""
    differing = _differing({row.version: {name: _mean(metric) for name, metric in row.metrics.items()} for row in rows})
    return {name: {"values": values, "difference": _minus_first(values)} for name, values in differing.items()}


def _mean(metric: Any) -> Any:
    return metric.get("mean") if isinstance(metric, Mapping) else metric


def _minus_first(values: Mapping[str, Any]) -> dict[str, float | None]:
    (_, first), *others = values.items()
    return {version: None if None in (first, value) else value - first for version, value in others}


def _differing(by_version: Mapping[int, Mapping[str, Any]]) -> Differences:
    """Find the members that are not the same in every version."""
    names = dict.fromkeys(name for members in by_version.values() for name in members)
    by_name = {name: {str(version): members.get(name) for version, members in by_version.items()} for name in names}
    return {name: values for name, values in by_name.items() if len(_distinct(values.values())) > 1}


def _distinct(values: Iterable[Any]) -> set[str]:
    """Collect the distinct values as JSON text, so that objects can be compared, and `true` differs from 1."""
    return {_text(value) for value in values}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _steps(by_version: Mapping[int, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    """Find each version's steps that not every version has, with their positions; all steps when only these differ."""
    texts = {version: [_text(step) for step in steps] for version, steps in by_version.items()}
    if len(_distinct(texts.values())) == 1:
        return {}
    common = set.intersection(*map(set, texts.values()))
    if len({tuple(sorted(steps)) for steps in texts.values()}) == 1:
        common = set()
    return {
        str(version): [
            {"step": position, **by_version[version][position - 1]}
            for position, text in enumerate(steps, start=1)
            if text not in common
        ]
        for version, steps in texts.items()
    }


def _columns(row: Row) -> dict[str, Any]:
    """Describe the columns that a version uses, and those that it leaves out with the reason."""
    used = {
        column["name"]: {key: value for key, value in column.items() if key != "name"}
        for column in row.signature.get("columns") or []
    }
    return {**{name: {"dropped": reason} for name, reason in row.dropped_columns.items()}, **used}


def _data(row: Row) -> dict[str, Any]:
    lineage = list_layers(row.lineage)[-1]
    # The lineage of an imported model has version numbers of another system, which mean nothing here.
    keys = [key for key in _DATA_KEYS if lineage is row.lineage or key.endswith("_sha256")]
    return {key: lineage[key] for key in keys if lineage.get(key) is not None} | {"rows": row.rows}


def _model(row: Row) -> dict[str, Any]:
    return {
        "estimator": row.estimator.get("name"),
        "problem": row.problem,
        "target": row.target,
        "positive": positive_class.of_signature({"problem": row.problem, **row.signature}),
        "sha256": row.sha256,
        "bytes": row.bytes,
        "commit": list_layers(row.lineage)[-1].get("commit"),
    }
