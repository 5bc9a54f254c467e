"""What differs between versions of a model, and nothing that doesn't."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared import errors
from shared.catalog.lineage import layers

Row = Any
"""A row of model_versions."""
Differences = dict[str, dict[str, Any]]
"""What differs, by its name: for each version, by its number as text, what it is there; None where it isn't."""

_MOST_COMPARED = 10
_LABEL = re.compile(r"[0-9]{1,9}|(?![0-9]+$)[a-z0-9][a-z0-9._-]{0,62}")
_DATA = ("dataset", "dataset_sha256", "features", "features_sha256", "recipe_sha256", "parent", "base")


def labels_of(text: str) -> list[str]:
    """Read two to ten labels of versions with commas between them; raises InvalidRequestError."""
    labels = [label.strip() for label in text.split(",")]
    if not 2 <= len(labels) <= _MOST_COMPARED or not all(_LABEL.fullmatch(label) for label in labels):
        raise refused(f"{text[:80]!r} is no list of two to ten versions")
    return labels


def refused(fault: str) -> errors.InvalidRequestError:
    """Make the error for versions that can't be compared."""
    problem = errors.Problem(f"{fault}; give two to ten, such as `1,3` or `champion,latest`", "#/versions")
    return errors.InvalidRequestError("These versions can't be compared.", problems=[problem])


def compare(rows: Sequence[Row]) -> dict[str, Any]:
    """Hold versions against each other; parts in which all are alike stay empty."""
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
    """Give the metrics that differ, each with how much the later-named versions are above the first."""
    differing = _differing({row.version: {name: _number(m) for name, m in row.metrics.items()} for row in rows})
    return {name: {"values": values, "difference": _above_first(values)} for name, values in differing.items()}


def _number(metric: Any) -> Any:
    return metric.get("mean") if isinstance(metric, Mapping) else metric


def _above_first(values: Mapping[str, Any]) -> dict[str, float | None]:
    (_, first), *others = values.items()
    return {version: None if None in (first, value) else value - first for version, value in others}


def _differing(by_version: Mapping[int, Mapping[str, Any]]) -> Differences:
    """Give the members that are not the same in every version."""
    names = dict.fromkeys(name for members in by_version.values() for name in members)
    seen = {name: {str(version): members.get(name) for version, members in by_version.items()} for name in names}
    return {name: values for name, values in seen.items() if len(_distinct(values.values())) > 1}


def _distinct(values: Iterable[Any]) -> set[str]:
    """Give values as text, so that documents can be told apart, and true from 1."""
    return {_text(value) for value in values}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _steps(by_version: Mapping[int, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    """Give each version's steps that not every version has, with their places; all of them when only these differ."""
    texts = {version: [_text(step) for step in steps] for version, steps in by_version.items()}
    if len(_distinct(texts.values())) == 1:
        return {}
    everywhere = set.intersection(*map(set, texts.values()))
    if len({tuple(sorted(steps)) for steps in texts.values()}) == 1:
        everywhere = set()
    return {
        str(version): [
            {"step": number, **by_version[version][number - 1]}
            for number, text in enumerate(steps, start=1)
            if text not in everywhere
        ]
        for version, steps in texts.items()
    }


def _columns(row: Row) -> dict[str, Any]:
    """Give the columns that a version takes by name, and those that it leaves out with the reason."""
    taken = {
        column["name"]: {key: value for key, value in column.items() if key != "name"}
        for column in row.signature.get("columns") or []
    }
    return {**{name: {"dropped": reason} for name, reason in row.dropped_columns.items()}, **taken}


def _data(row: Row) -> dict[str, Any]:
    known = layers(row.lineage)[-1]
    # Where an archive brought it from, versions have other numbers.
    told = [name for name in _DATA if known is row.lineage or name.endswith("_sha256")]
    return {name: known[name] for name in told if known.get(name) is not None} | {"rows": row.rows}


def _model(row: Row) -> dict[str, Any]:
    return {
        "estimator": row.estimator.get("name"),
        "problem": row.problem,
        "target": row.target,
        "sha256": row.sha256,
        "bytes": row.bytes,
        "commit": layers(row.lineage)[-1].get("commit"),
    }
