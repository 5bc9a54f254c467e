"""Finds columns that alone predict the target almost perfectly: they may be recorded after the fact.

A small tree learns from one column and its missing flag on one half of the rows and is scored on the other, so a column
that only names rows (an identifier) can't look like a leak: docs/decisions/models.md, "The leak check is a small tree
on one column and its missing flag".
"""

import numpy as np
import pandas as pd
from sklearn import tree

from shared.ml import integers, targets
from shared.ml.metrics import measuring
from shared.progress import Progress, no_progress

THRESHOLD = 0.995
MAX_ROWS = 20_000
MIN_ROWS = 50
MIN_CLASS_ROWS = 10
MAX_CLASSES = 50
MAX_LABELS = 10
MAX_CATEGORIES = 200
# From this share of texts that can be read as numbers on, a column of text is treated as numbers.
NUMERIC_SHARE = 0.95


def find_leaks(
    frame: pd.DataFrame,
    values: targets.Values,
    *,
    problem: measuring.Problem,
    seed: int,
    groups: targets.Values | None = None,
    report: Progress = no_progress,
) -> list[str]:
    """Describe each column whose ROC AUC, or R² of values or ranks, on held-out rows is 0.995 or more, in a sentence.

    Of multilabel targets, (rows, labels), the first ten labels are checked, one after another. With `groups`, all rows
    of a group are on the same side.
    """
    if problem == "multilabel":
        per_label = [
            find_leaks(frame, label, problem="classification", seed=seed, groups=groups, report=report)
            for label in values.T[:MAX_LABELS]
        ]
        return list(dict.fromkeys(warning for warnings in per_label for warning in warnings))
    if problem == "quantile":
        problem = "regression"
    first, second = _sample_halves(values, problem=problem, seed=seed, groups=groups)
    if min(len(first), len(second)) < MIN_ROWS // 2:
        return []
    warnings = []
    for number, name in enumerate(frame.columns, start=1):
        score = _score_both_ways(frame[name], values, (first, second), problem=problem)
        if score >= THRESHOLD:
            warnings.append(_describe_leak(frame[name], values, (first, second), problem=problem, score=score))
        report(number / frame.shape[1], "checked columns for leaks")
    return warnings


def _sample_halves(
    values: targets.Values, *, problem: measuring.Problem, seed: int, groups: targets.Values | None
) -> tuple[targets.Values, targets.Values]:
    """Sample rows into two halves; for classification only common classes, each in both halves if there are no groups.

    Returns the rows' positions.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(len(values))[:MAX_ROWS]
    if problem == "regression":
        return _split_in_two(rows, groups, random)
    encoded = targets.encode(values[rows])
    common = np.argsort(-encoded.counts, kind="stable")[:MAX_CLASSES]
    common = common[encoded.counts[common] >= MIN_CLASS_ROWS]
    if len(common) < 2:
        return rows[:0], rows[:0]
    is_common = np.isin(encoded.codes, common)
    rows, codes = rows[is_common], encoded.codes[is_common]
    return _split_in_two(rows[np.argsort(codes, kind="stable")], groups, random)


def _split_in_two(
    rows: targets.Values, groups: targets.Values | None, random: np.random.Generator
) -> tuple[targets.Values, targets.Values]:
    """Split into every other row, or into the rows of every other group."""
    if groups is None:
        return rows[::2], rows[1::2]
    _, group_of = np.unique(groups[rows], return_inverse=True)
    is_first = random.permutation(group_of.max(initial=0) + 1)[group_of] % 2 == 0
    return rows[is_first], rows[~is_first]


def _score_both_ways(
    column: pd.Series,
    values: targets.Values,
    halves: tuple[targets.Values, targets.Values],
    *,
    problem: measuring.Problem,
) -> float:
    """Score on the second half and, when that looks like a leak, on the first as well; return the lower score."""
    first, second = halves
    score = _score(column.iloc[first], values[first], column.iloc[second], values[second], problem=problem)
    if score < THRESHOLD:
        return score
    reverse_score = _score(column.iloc[second], values[second], column.iloc[first], values[first], problem=problem)
    return min(score, reverse_score)


def _score(
    column: pd.Series,
    values: targets.Values,
    held_out: pd.Series,
    held_out_values: targets.Values,
    *,
    problem: measuring.Problem,
) -> float:
    features, held_out_features = _encode(column, values, held_out, problem=problem)
    if problem == "regression":
        learner = tree.DecisionTreeRegressor(max_leaf_nodes=500, min_samples_leaf=2, random_state=0)
        learner.fit(features, values)
        metrics = measuring.score(problem, truth=held_out_values, prediction=learner.predict(held_out_features))
        return max(metrics.get("r2", 0.0), _squared_rank_correlation(held_out_features[:, 0], held_out_values))
    labels = targets.encode(values).labels
    learner = tree.DecisionTreeClassifier(max_leaf_nodes=max(8, 4 * len(labels)), min_samples_leaf=2, random_state=0)
    learner.fit(features, values)
    metrics = measuring.score(
        problem,
        truth=held_out_values,
        prediction=learner.predict(held_out_features),
        probability=learner.predict_proba(held_out_features),
        classes=targets.to_json(learner.classes_),
    )
    return metrics.get("roc_auc", 0.0)


def _encode(
    column: pd.Series, values: targets.Values, held_out: pd.Series, *, problem: measuring.Problem
) -> tuple[targets.Values, targets.Values]:
    """Encode each half as (rows, 2): the value and whether it is missing; text is encoded by the first half."""
    if column.dtype == object:
        numbers = pd.to_numeric(column, errors="coerce")
        if column.notna().any() and numbers.notna().sum() >= NUMERIC_SHARE * column.notna().sum():
            encoded = [numbers, pd.to_numeric(held_out, errors="coerce")]
        else:
            ranks = _rank_texts(column, values, problem=problem)
            encoded = [half.map(ranks).fillna(-1.0).where(half.notna()) for half in (column, held_out)]
    elif isinstance(column.dtype, pd.DatetimeTZDtype):
        encoded = [(half - pd.Timestamp(0, tz="UTC")).dt.total_seconds() for half in (column, held_out)]
    elif integers.is_exact(column):
        # Ranks keep the order of numbers that float64 would merge.
        codes, _ = pd.factorize(pd.concat([column, held_out]), sort=True)
        ranks_of_all = pd.Series(np.where(codes < 0, np.nan, codes))
        encoded = [ranks_of_all.iloc[: len(column)], ranks_of_all.iloc[len(column) :]]
    else:
        encoded = [column, held_out]
    arrays = [np.column_stack([half.to_numpy(dtype=np.float64), half.isna()]) for half in encoded]
    return arrays[0], arrays[1]


def _rank_texts(column: pd.Series, values: targets.Values, *, problem: measuring.Problem) -> dict[str, int]:
    """Rank the common texts by their mean target, so that a tree needs few splits to separate them."""
    codes = values if problem == "regression" else targets.encode(values).codes
    groups = pd.Series(np.asarray(codes, dtype=np.float64), index=column.index).groupby(column)
    sizes = groups.size()
    common = sizes[sizes >= 2].nlargest(MAX_CATEGORIES).index
    ordered = groups.mean().loc[common].sort_values(kind="stable").index
    return {text: rank for rank, text in enumerate(ordered)}


def _squared_rank_correlation(numbers: targets.Values, truth: targets.Values) -> float:
    """Square Spearman's correlation: a small tree fits a heavy-tailed target badly, but ranks show any copy of it."""
    if np.isnan(numbers).any() or np.ptp(numbers) == 0 or np.ptp(truth) == 0:
        return 0.0
    ranks = [pd.Series(values).rank().to_numpy() for values in (numbers, truth)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1]) ** 2


def _describe_leak(
    column: pd.Series,
    values: targets.Values,
    halves: tuple[targets.Values, targets.Values],
    *,
    problem: measuring.Problem,
    score: float,
) -> str:
    measure = "R²" if problem == "regression" else "ROC AUC"
    missing = column.isna().astype(np.float64)
    by_missing = _score_both_ways(missing, values, halves, problem=problem) >= THRESHOLD
    what = "whether it is missing" if by_missing else "it"
    return (
        f"column {column.name!r} may leak the target: {what} alone predicts it almost perfectly "
        f"({measure} {score:.3f} on held-out rows); leave it out if it isn't known before the target is"
    )
