"""Scores a model on groups of rows.

docs/decisions/evaluation.md, "A gate's rule whose value is undefined does not hold".
"""

import itertools
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from shared import errors
from shared.evaluation import contract
from shared.ml import frames, integers, targets
from workers.evaluation import scored_rows

MAX_GROUPS = 50
LEAST_GROUPS = 2
MISSING = None
BOOLEAN_NAMES = {0.0: "false", 1.0: "true"}
Groups = list[tuple[str | None, targets.Mask]]


def slice_rows(
    model: scored_rows.ScoredRows,
    dataset: Path,
    *,
    has_truth: targets.Mask,
    columns: list[str],
    metric: str,
    greater_is_better: bool,
    least_rows: int,
) -> list[contract.Slice]:
    """Score each group of each column; `has_truth` is the mask of the dataset's rows that the model was scored on."""
    table = frames.read_frame(dataset, columns=columns)[has_truth]
    types = {column.name: column.type for column in frames.read_columns(dataset)}
    sliced = []
    for column in columns:
        groups = _split(table[column], column=column, is_boolean=types[column] == "boolean")
        sliced.append(
            _score_groups(
                model,
                column,
                groups,
                metric=metric,
                greater_is_better=greater_is_better,
                least_rows=least_rows,
            )
        )
    return sliced


def list_warnings(sliced: list[contract.Slice], *, least_rows: int) -> list[str]:
    """Warn of the columns whose groups can't be compared, because fewer than two have enough rows."""
    counts = {
        column_slice.column: sum(group.rows >= least_rows for group in column_slice.groups) for column_slice in sliced
    }
    return [
        f"column {column!r} has {count} groups of {least_rows:,} rows or more; comparing groups needs at least two"
        for column, count in counts.items()
        if count < LEAST_GROUPS
    ]


def _split(values: pd.Series, *, column: str, is_boolean: bool) -> Groups:
    """Split rows by value, or many numbers or dates by quartiles; rows without a value are a group of their own."""
    if values.dtype != object and values.nunique() > MAX_GROUPS:
        named = _name_ranges(values)
    else:
        named = _unround(values).map(BOOLEAN_NAMES if is_boolean else _name, na_action="ignore")
    counts = named.value_counts()
    if len(counts) > MAX_GROUPS:
        raise errors.BadDataError(
            f"column {column!r} has {len(counts):,} different values; at most {MAX_GROUPS} groups are scored"
        )
    groups: Groups = [(str(name), np.asarray(named == name, dtype=bool)) for name in counts.index]
    missing = np.asarray(values.isna(), dtype=bool)
    return [*groups, (MISSING, missing)] if missing.any() else groups


def _name_ranges(values: pd.Series) -> pd.Series:
    """Name the range between quartiles that each value is in; a value that fills a whole range is named by itself."""
    # Ranks are split instead of exact integers, whose quartiles pandas would compute in float64.
    levels = pd.Index(values.dropna().unique()).sort_values() if integers.is_exact(values) else None
    numbers = values
    if levels is not None:
        numbers = _unround(values).map({level: float(rank) for rank, level in enumerate(levels)}).astype(np.float64)

    def name(number: Any) -> str:
        return _name(number if levels is None else levels[int(number)])

    quartiles = numbers.quantile([0, 0.25, 0.5, 0.75, 1], interpolation="lower")
    tied, bounds = set(quartiles[quartiles.duplicated()]), quartiles.unique()
    names = {
        place: f"{'(' if place or low in tied else '['}{name(low)}, {name(high)}{')' if high in tied else ']'}"
        for place, (low, high) in enumerate(itertools.pairwise(bounds))
    }
    places: pd.Series = pd.cut(numbers, cast(Any, bounds), labels=False, include_lowest=True)
    ranges: pd.Series = places.map(names, na_action="ignore")
    return ranges.where(~numbers.isin(tied), numbers.map(name, na_action="ignore"))


def _unround(values: pd.Series) -> pd.Series:
    """Return exact integers as Python's, because pandas maps Int64 by way of float64."""
    return pd.Series(integers.to_objects(values), index=values.index) if integers.is_exact(values) else values


def _name(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _score_groups(
    model: scored_rows.ScoredRows,
    column: str,
    groups: Groups,
    *,
    metric: str,
    greater_is_better: bool,
    least_rows: int,
) -> contract.Slice:
    scored_groups = [
        contract.Group(value=name, rows=int(rows.sum()), metrics=model.take(rows).measure()) for name, rows in groups
    ]
    large = [group for group in scored_groups if group.rows >= least_rows]
    defined = [group for group in large if metric in group.metrics]
    values = [group.metrics[metric] for group in defined]
    has_gap = len(large) >= LEAST_GROUPS and len(defined) == len(large)
    worst = (min if greater_is_better else max)(defined, key=lambda group: group.metrics[metric], default=None)
    return contract.Slice(
        column=column,
        groups=scored_groups,
        worst=None if worst is None else worst.value,
        gap=max(values) - min(values) if has_gap else None,
        fairness=_measure_fairness(model, [rows for _, rows in groups if rows.sum() >= least_rows]),
    )


def _measure_fairness(model: scored_rows.ScoredRows, groups: list[targets.Mask]) -> contract.Fairness | None:
    """Compare rates between groups; the names are from Hardt, Price & Srebro, Equality of Opportunity (2016)."""
    positive = model.positive_label
    if positive is None or len(groups) < 2:
        return None
    predicted_positive = model.predictions.prediction == positive
    is_positive = np.asarray(model.truth == positive, dtype=bool)
    weights = np.ones(model.rows) if model.weights is None else model.weights

    def differ(within: targets.Mask) -> float | None:
        return _difference([_rate(predicted_positive[rows & within], weights[rows & within]) for rows in groups])

    selected = differ(np.ones(model.rows, dtype=bool))
    return contract.Fairness(
        demographic_parity_difference=selected if selected is not None else 0.0,
        true_positive_rate_difference=differ(is_positive),
        false_positive_rate_difference=differ(~is_positive),
    )


def _rate(predicted_positive: targets.Values, weights: targets.Values) -> float:
    return float(np.average(predicted_positive, weights=weights)) if weights.any() else math.nan


def _difference(rates: list[float]) -> float | None:
    defined = [rate for rate in rates if not math.isnan(rate)]
    return max(defined) - min(defined) if len(defined) > 1 else None
