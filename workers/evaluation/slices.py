"""How a model does on groups of rows."""

import itertools
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from shared import errors
from shared.evaluation import contract
from shared.ml import frames, targets
from workers.evaluation import scored

MOST_GROUPS = 50
LEAST_GROUPS = 2
MISSING = None
TRUTHS = {0.0: "false", 1.0: "true"}
Groups = list[tuple[str | None, targets.Mask]]


def slice_rows(
    model: scored.Scored,
    dataset: Path,
    *,
    known: targets.Mask,
    columns: list[str],
    metric: str,
    greater_is_better: bool,
    least_rows: int,
) -> list[contract.Slice]:
    """Score each group of each column; `known` says which of the dataset's rows the model was scored on."""
    table = frames.read_frame(dataset, columns=columns)[known]
    types = {column.name: column.type for column in frames.read_columns(dataset)}
    sliced = []
    for column in columns:
        groups = _groups(table[column], column=column, is_boolean=types[column] == "boolean")
        sliced.append(
            _slice(
                model,
                column,
                groups,
                metric=metric,
                greater_is_better=greater_is_better,
                least_rows=least_rows,
            )
        )
    return sliced


def warnings(sliced: list[contract.Slice], *, least_rows: int) -> list[str]:
    """Name the columns of which nothing can be said: fewer than two groups have rows enough."""
    counts = {one.column: sum(group.rows >= least_rows for group in one.groups) for one in sliced}
    return [
        f"column {column!r} has {count} groups of {least_rows:,} rows or more; groups are compared from two on"
        for column, count in counts.items()
        if count < LEAST_GROUPS
    ]


def _groups(values: pd.Series, *, column: str, is_boolean: bool) -> Groups:
    """Split rows by value, or many numbers or dates by quantiles; missing ones are a group of their own."""
    if values.dtype != object and values.nunique() > MOST_GROUPS:
        named = _cut(values)
    else:
        named = values.map(TRUTHS if is_boolean else _name, na_action="ignore")
    counts = named.value_counts()
    if len(counts) > MOST_GROUPS:
        raise errors.BadDataError(
            f"column {column!r} has {len(counts):,} different values; at most {MOST_GROUPS} groups are scored"
        )
    groups: Groups = [(str(name), np.asarray(named == name, dtype=bool)) for name in counts.index]
    missing = np.asarray(values.isna(), dtype=bool)
    return [*groups, (MISSING, missing)] if missing.any() else groups


def _cut(values: pd.Series) -> pd.Series:
    """Name the range between quartiles that each value is in; a value that fills a range is a group of its own."""
    quartiles = values.quantile([0, 0.25, 0.5, 0.75, 1], interpolation="lower")
    alone, bounds = set(quartiles[quartiles.duplicated()]), quartiles.unique()
    names = {
        place: f"{'(' if place or low in alone else '['}{_name(low)}, {_name(high)}{')' if high in alone else ']'}"
        for place, (low, high) in enumerate(itertools.pairwise(bounds))
    }
    places: pd.Series = pd.cut(values, cast(Any, bounds), labels=False, include_lowest=True)
    ranges: pd.Series = places.map(names, na_action="ignore")
    return ranges.where(~values.isin(alone), values.map(_name, na_action="ignore"))


def _name(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _slice(
    model: scored.Scored,
    column: str,
    groups: Groups,
    *,
    metric: str,
    greater_is_better: bool,
    least_rows: int,
) -> contract.Slice:
    made = [
        contract.Group(value=name, rows=int(rows.sum()), metrics=model.take(rows).measure()) for name, rows in groups
    ]
    large = [group for group in made if group.rows >= least_rows]
    judged = [group for group in large if metric in group.metrics]
    values = [group.metrics[metric] for group in judged]
    is_defined = len(large) >= LEAST_GROUPS and len(judged) == len(large)
    worst = (min if greater_is_better else max)(judged, key=lambda group: group.metrics[metric], default=None)
    return contract.Slice(
        column=column,
        groups=made,
        worst=None if worst is None else worst.value,
        gap=max(values) - min(values) if is_defined else None,
        fairness=_fairness(model, [rows for _, rows in groups if rows.sum() >= least_rows]),
    )


def _fairness(model: scored.Scored, groups: list[targets.Mask]) -> contract.Fairness | None:
    """Compare rates between groups; Hardt, Price & Srebro, Equality of Opportunity (2016), for the names."""
    if model.problem != "classification" or model.classes is None or len(model.classes) != 2 or len(groups) < 2:
        return None
    said = model.made.prediction == model.classes[1]
    true = model.truth == model.classes[1]
    selected = _difference([float(np.mean(said[rows])) for rows in groups])
    return contract.Fairness(
        demographic_parity_difference=selected if selected is not None else 0.0,
        true_positive_rate_difference=_difference([_rate(said[rows & true]) for rows in groups]),
        false_positive_rate_difference=_difference([_rate(said[rows & ~true]) for rows in groups]),
    )


def _rate(said: targets.Values) -> float:
    return float(np.mean(said)) if len(said) else math.nan


def _difference(rates: list[float]) -> float | None:
    known = [rate for rate in rates if not math.isnan(rate)]
    return max(known) - min(known) if len(known) > 1 else None
