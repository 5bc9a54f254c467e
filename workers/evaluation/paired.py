"""Tests of whether two models err alike on the same rows."""

import numpy as np
from scipy import stats

from shared.evaluation import contract
from shared.ml import targets
from workers.evaluation import scored


def compare(model: scored.Scored, baseline: scored.Scored) -> contract.PairedTest | None:
    """Compare two models row by row; None for problems without one truth a row.

    Labels: McNemar's exact test (Biometrika 34, 1947: a binomial test of the rows on which one alone is right).
    Numbers: Wilcoxon's signed-rank test (Biometrics 1, 1945) of the absolute errors.
    """
    if model.problem == "classification":
        return _mcnemar(_is_right(model), _is_right(baseline))
    if model.problem in ("regression", "quantile"):
        return _wilcoxon(_error(model), _error(baseline))
    return None


def _is_right(one: scored.Scored) -> targets.Mask:
    return np.asarray(one.made.prediction == one.truth, dtype=bool)


def _error(one: scored.Scored) -> targets.Values:
    return np.asarray(np.abs(one.made.prediction - one.truth), dtype=np.float64)


def _mcnemar(mine: targets.Mask, theirs: targets.Mask) -> contract.PairedTest:
    better, worse = int(np.sum(mine & ~theirs)), int(np.sum(~mine & theirs))
    p_value = float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return contract.PairedTest(
        name="mcnemar_exact",
        statistic=float(min(better, worse)),
        p_value=p_value,
        model_better=better,
        baseline_better=worse,
    )


def _wilcoxon(mine: targets.Values, theirs: targets.Values) -> contract.PairedTest:
    better, worse = int(np.sum(mine < theirs)), int(np.sum(mine > theirs))
    # Without a single difference there is nothing to rank.
    statistic, p_value = stats.wilcoxon(mine, theirs) if better + worse else (0.0, 1.0)
    return contract.PairedTest(
        name="wilcoxon_signed_rank",
        statistic=float(statistic),
        p_value=float(p_value),
        model_better=better,
        baseline_better=worse,
    )
