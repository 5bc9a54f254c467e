"""Decides which trials end early: Optuna's median rule over the means so far, with each fold as a step."""

import math
import statistics
from collections.abc import Sequence

from shared.training.search.methods import Pruning
from workers.training.search import leaderboard


def is_poor(
    means: Sequence[float],
    others: Sequence[leaderboard.Trial],
    *,
    rule: Pruning,
    greater_is_better: bool,
) -> bool:
    """Return whether a trial with these means over its first folds is worse than the median of the finished trials.

    As in Optuna, the trial's best mean so far is compared with the others' means at the same fold.
    """
    finished_means = [means_.running_means() for means_ in others if means_.state == "finished"]
    if len(finished_means) < rule.startup_trials or len(means) <= rule.warmup_folds or math.isnan(means[-1]):
        return False
    at_this_fold = [trial_means[len(means) - 1] for trial_means in finished_means if len(trial_means) >= len(means)]
    if not at_this_fold:
        return False
    median = statistics.median(at_this_fold)
    return max(means) < median if greater_is_better else min(means) > median
