"""Finds columns that alone predict the target almost perfectly: they may know it from after the fact.

A small tree learns from one column, whether its value is missing included, on one half of the rows and is scored on
the other, so a column that only names rows (an identifier) can't look like a leak.
"""

import numpy as np
import pandas as pd
from sklearn import tree

from shared.ml import targets
from shared.ml.metrics import measuring
from shared.progress import Progress, no_progress

THRESHOLD = 0.995
MAX_ROWS = 20_000
MIN_ROWS = 50
MIN_CLASS_ROWS = 10
MAX_CLASSES = 50
MAX_LABELS = 10
MAX_CATEGORIES = 200
# A share of texts that read as numbers from which on a column of text is taken for numbers.
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
    """Give a sentence for each column whose ROC AUC, or R² of values or ranks, on held-out rows is 0.995 or more.

    Of many labels, (rows, labels), the first ten are looked at, one after another. Rows of one group, if there are
    groups, are on the same side.
    """
    if problem == "multilabel":
        found = [
            find_leaks(frame, label, problem="classification", seed=seed, groups=groups, report=report)
            for label in values.T[:MAX_LABELS]
        ]
        return list(dict.fromkeys(warning for warnings in found for warning in warnings))
    if problem == "quantile":
        problem = "regression"
    first, second = _halves(values, problem=problem, seed=seed, groups=groups)
    if min(len(first), len(second)) < MIN_ROWS // 2:
        return []
    warnings = []
    for number, name in enumerate(frame.columns, start=1):
        score = _score_both_ways(frame[name], values, (first, second), problem=problem)
        if score >= THRESHOLD:
            warnings.append(_sentence(frame[name], values, (first, second), problem=problem, score=score))
        report(number / frame.shape[1], "looked for leaks")
    return warnings


def _halves(
    values: targets.Values, *, problem: measuring.Problem, seed: int, groups: targets.Values | None
) -> tuple[targets.Values, targets.Values]:
    """Sample rows into two halves; for classification of common classes only, each, without groups, in both halves."""
    random = np.random.default_rng(seed)
    rows = random.permutation(len(values))[:MAX_ROWS]
    if problem == "regression":
        return _apart(rows, groups, random)
    encoded = targets.encode(values[rows])
    common = np.argsort(-encoded.counts, kind="stable")[:MAX_CLASSES]
    common = common[encoded.counts[common] >= MIN_CLASS_ROWS]
    if len(common) < 2:
        return rows[:0], rows[:0]
    kept = np.isin(encoded.codes, common)
    rows, codes = rows[kept], encoded.codes[kept]
    return _apart(rows[np.argsort(codes, kind="stable")], groups, random)


def _apart(
    rows: targets.Values, groups: targets.Values | None, random: np.random.Generator
) -> tuple[targets.Values, targets.Values]:
    """Take every other row, or the rows of every other group."""
    if groups is None:
        return rows[::2], rows[1::2]
    _, places = np.unique(groups[rows], return_inverse=True)
    is_first = random.permutation(places.max(initial=0) + 1)[places] % 2 == 0
    return rows[is_first], rows[~is_first]


def _score_both_ways(
    column: pd.Series,
    values: targets.Values,
    halves: tuple[targets.Values, targets.Values],
    *,
    problem: measuring.Problem,
) -> float:
    """Score on the second half and, when that looks like a leak, on the first as well: the lower of both."""
    first, second = halves
    score = _score(column.iloc[first], values[first], column.iloc[second], values[second], problem=problem)
    if score < THRESHOLD:
        return score
    back = _score(column.iloc[second], values[second], column.iloc[first], values[first], problem=problem)
    return min(score, back)


def _score(
    column: pd.Series,
    values: targets.Values,
    other: pd.Series,
    truth: targets.Values,
    *,
    problem: measuring.Problem,
) -> float:
    features, other_features = _encode(column, values, other, problem=problem)
    if problem == "regression":
        learner = tree.DecisionTreeRegressor(max_leaf_nodes=500, min_samples_leaf=2, random_state=0)
        learner.fit(features, values)
        by_tree = measuring.score(problem, truth=truth, prediction=learner.predict(other_features))
        return max(by_tree.get("r2", 0.0), _squared_rank_correlation(other_features[:, 0], truth))
    labels = targets.encode(values).labels
    learner = tree.DecisionTreeClassifier(max_leaf_nodes=max(8, 4 * len(labels)), min_samples_leaf=2, random_state=0)
    learner.fit(features, values)
    found = measuring.score(
        problem,
        truth=truth,
        prediction=learner.predict(other_features),
        probability=learner.predict_proba(other_features),
        classes=targets.to_json(learner.classes_),
    )
    return found.get("roc_auc", 0.0)


def _encode(
    column: pd.Series, values: targets.Values, other: pd.Series, *, problem: measuring.Problem
) -> tuple[targets.Values, targets.Values]:
    """Give each half two numbers a row: the value and whether it is missing; text is encoded by the first half."""
    if column.dtype == object:
        numbers = pd.to_numeric(column, errors="coerce")
        if column.notna().any() and numbers.notna().sum() >= NUMERIC_SHARE * column.notna().sum():
            encoded = [numbers, pd.to_numeric(other, errors="coerce")]
        else:
            places = _places(column, values, problem=problem)
            encoded = [half.map(places).fillna(-1.0).where(half.notna()) for half in (column, other)]
    elif isinstance(column.dtype, pd.DatetimeTZDtype):
        encoded = [(half - pd.Timestamp(0, tz="UTC")).dt.total_seconds() for half in (column, other)]
    else:
        encoded = [column, other]
    made = [np.column_stack([half.to_numpy(dtype=np.float64), half.isna()]) for half in encoded]
    return made[0], made[1]


def _places(column: pd.Series, values: targets.Values, *, problem: measuring.Problem) -> dict[str, int]:
    """Order the common texts by their mean target, so that a tree needs few cuts to part them."""
    codes = values if problem == "regression" else targets.encode(values).codes
    groups = pd.Series(np.asarray(codes, dtype=np.float64), index=column.index).groupby(column)
    sizes = groups.size()
    common = sizes[sizes >= 2].nlargest(MAX_CATEGORIES).index
    ordered = groups.mean().loc[common].sort_values(kind="stable").index
    return {text: place for place, text in enumerate(ordered)}


def _squared_rank_correlation(numbers: targets.Values, truth: targets.Values) -> float:
    """Square Spearman's correlation: a tree of few leaves copies a heavy-tailed target badly, ranks show any copy."""
    if np.isnan(numbers).any() or np.ptp(numbers) == 0 or np.ptp(truth) == 0:
        return 0.0
    ranks = [pd.Series(half).rank().to_numpy() for half in (numbers, truth)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1]) ** 2


def _sentence(
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
    how = "whether it is missing" if by_missing else "it"
    return (
        f"column {column.name!r} may leak the target: {how} alone predicts it almost perfectly "
        f"({measure} {score:.3f} on held-out rows); leave it out if it isn't known before the target is"
    )
