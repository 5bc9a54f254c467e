"""The median rule, beside Optuna's own pruner."""

import numpy as np
import optuna
import pytest

from shared.training.search.methods import Pruning
from tests.unit.training.search import commands
from workers.training.search import pruning
from workers.training.search.leaderboard import Trial

pytestmark = pytest.mark.slow


def of(folds: tuple[float, ...], *, number: int = 0) -> Trial:
    return commands.ended(Trial(number, 0, "Ridge", {}), folds=folds)


@pytest.mark.parametrize("greater_is_better", [True, False])
@pytest.mark.parametrize(("startup", "warmup"), [(1, 1), (4, 1), (2, 3)])
def test_trials_end_early_where_optunas_median_pruner_would_end_them(
    greater_is_better: bool, startup: int, warmup: int
) -> None:
    dice = np.random.default_rng(startup)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if greater_is_better else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=warmup),
    )
    others: list[Trial] = []
    verdicts: list[bool] = []
    rule = Pruning(startup_trials=startup, warmup_folds=warmup)
    for number in range(60):
        trial, optuna_trial = of(tuple(dice.normal(size=5)), number=number), study.ask()
        for step, mean in enumerate(trial.running_means()):
            optuna_trial.report(mean, step)
            poor = pruning.is_poor(
                trial.running_means()[: step + 1], others, rule=rule, greater_is_better=greater_is_better
            )
            assert poor == optuna_trial.should_prune()
            verdicts.append(poor)
        study.tell(optuna_trial, trial.value)
        others.append(trial)
    assert any(verdicts)
    assert not all(verdicts)


def test_only_trials_that_finished_count() -> None:
    good = [of((0.9, 0.9)), *(commands.ended(of(()), None) for _ in range(5))]
    rule = Pruning(startup_trials=2)
    assert not pruning.is_poor([0.1, 0.1], good, rule=rule, greater_is_better=True)
    assert pruning.is_poor([0.1, 0.1], [*good, of((0.8, 0.8))], rule=rule, greater_is_better=True)


def test_a_trial_at_the_median_goes_on() -> None:
    others = [of((value, value)) for value in (0.1, 0.5, 0.9)]
    rule = Pruning(startup_trials=1)
    for mean in (0.5, 0.6):
        assert not pruning.is_poor([mean, mean], others, rule=rule, greater_is_better=True)
