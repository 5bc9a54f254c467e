"""Which trials end early: Optuna's median rule over the means so far, a fold being a step."""

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
    """Tell whether a trial with these means over its first folds is worse than the median of those that finished.

    As in Optuna, the trial's best mean so far is compared with the others' means at the same fold.
    """
    finished = [other.means() for other in others if other.state == "finished"]
    if len(finished) < rule.startup_trials or len(means) <= rule.warmup_folds or math.isnan(means[-1]):
        return False
    at_this_fold = [other[len(means) - 1] for other in finished if len(other) >= len(means)]
    if not at_this_fold:
        return False
    middle = statistics.median(at_this_fold)
    return max(means) < middle if greater_is_better else min(means) > middle
