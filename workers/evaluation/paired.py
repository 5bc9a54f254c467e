"""Paired tests of whether two models have the same errors on the same rows."""

import numpy as np
from scipy import stats

from shared.evaluation import contract
from shared.ml import targets
from workers.evaluation import scored_rows


def compare(model: scored_rows.ScoredRows, baseline: scored_rows.ScoredRows) -> contract.PairedTest | None:
    """Compare two models row by row; None for problems without a single truth per row.

    Labels: McNemar's exact test (Biometrika 34, 1947: a binomial test of the rows on which one alone is right).
    Numbers: Wilcoxon's signed-rank test (Biometrics 1, 1945) of the absolute errors.
    """
    if model.problem == "classification":
        return _mcnemar(_is_right(model), _is_right(baseline))
    if model.problem in ("regression", "quantile"):
        return _wilcoxon(_absolute_error(model), _absolute_error(baseline))
    return None


def _is_right(model: scored_rows.ScoredRows) -> targets.Mask:
    return np.asarray(model.predictions.prediction == model.truth, dtype=bool)


def _absolute_error(model: scored_rows.ScoredRows) -> targets.Values:
    return np.asarray(np.abs(model.predictions.prediction - model.truth), dtype=np.float64)


def _mcnemar(model: targets.Mask, baseline: targets.Mask) -> contract.PairedTest:
    better, worse = int(np.sum(model & ~baseline)), int(np.sum(~model & baseline))
    p_value = float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return contract.PairedTest(
        name="mcnemar_exact",
        statistic=float(min(better, worse)),
        p_value=p_value,
        model_better=better,
        baseline_better=worse,
    )


def _wilcoxon(model: targets.Values, baseline: targets.Values) -> contract.PairedTest:
    better, worse = int(np.sum(model < baseline)), int(np.sum(model > baseline))
    # Without a single difference there is nothing to rank.
    statistic, p_value = stats.wilcoxon(model, baseline) if better + worse else (0.0, 1.0)
    return contract.PairedTest(
        name="wilcoxon_signed_rank",
        statistic=float(statistic),
        p_value=float(p_value),
        model_better=better,
        baseline_better=worse,
    )
