"""How a model does on groups of rows."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from shared import errors
from shared.evaluation import contract
from shared.ml import frames, targets
from workers.evaluation import scored

MOST_GROUPS = 50
MISSING = None
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
    sliced = []
    for column in columns:
        groups = _groups(table[column], column=column)
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


def _groups(values: pd.Series, *, column: str) -> Groups:
    """Split rows by value, or at the quartiles of many numbers or dates; missing ones are a group of their own."""
    named = _cut(values) if values.dtype != object and values.nunique() > MOST_GROUPS else values
    counts = named.value_counts()
    if len(counts) > MOST_GROUPS:
        raise errors.BadDataError(
            f"column {column!r} has {len(counts):,} different values; at most {MOST_GROUPS} groups are scored"
        )
    groups: Groups = [(_name(value), np.asarray(named == value, dtype=bool)) for value in counts.index]
    missing = np.asarray(values.isna(), dtype=bool)
    return [*groups, (MISSING, missing)] if missing.any() else groups


def _cut(values: pd.Series) -> pd.Series:
    # As text, because an index of ranges would be matched by what lies in them.
    return pd.qcut(values, 4, duplicates="drop").astype(str).where(values.notna())


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
    judged = [group for group in made if group.rows >= least_rows and metric in group.metrics]
    values = [group.metrics[metric] for group in judged]
    worst = (min if greater_is_better else max)(judged, key=lambda group: group.metrics[metric], default=None)
    return contract.Slice(
        column=column,
        groups=made,
        worst=None if worst is None else str(worst.value),
        gap=max(values) - min(values) if values else None,
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
