"""Draws that learn from earlier trials: Optuna's tree-structured Parzen estimator, rebuilt from the trials each time.

A draw depends on the seed, its number and the results of all trials but the latest `parallel - 1`, which count as
running although they may have ended: so the same search makes the same draws, whichever of its trials was faster.
docs/decisions/search.md, "A search remembers nothing but its children".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna

from shared.training.search.spaces import Candidate, IntRange, Range, Values
from workers.training.search import leaderboard
from workers.training.search.spaces import Draw

_CANDIDATE = "candidate"
_STATES = {
    "finished": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "out_of_time": optuna.trial.TrialState.FAIL,
    "failed": optuna.trial.TrialState.FAIL,
}


def draw(
    candidates: list[Candidate],
    trials: Sequence[leaderboard.Trial],
    *,
    parallel: int,
    seed: int,
    greater_is_better: bool,
) -> Draw:
    """Draw the trial that comes after `trials`, which are in order of their numbers."""
    number = len(trials)
    if len(candidates) > 1 and number < len(candidates):
        return Draw(number, candidates[number].fixed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    draw_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    study = optuna.create_study(
        direction="maximize" if greater_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=draw_seed, constant_liar=True),
    )
    for trial in trials:
        study.add_trial(_to_frozen_trial(trial, candidates, is_known=trial.number <= number - parallel))
    optuna_trial = study.ask()
    candidate = optuna_trial.suggest_categorical(_CANDIDATE, range(len(candidates))) if len(candidates) > 1 else 0
    space = candidates[candidate].space
    params = {name: _suggest(optuna_trial, f"{candidate}.{name}", dimension) for name, dimension in space.items()}
    return Draw(candidate, {**candidates[candidate].params, **params})


def _to_frozen_trial(
    trial: leaderboard.Trial, candidates: list[Candidate], *, is_known: bool
) -> optuna.trial.FrozenTrial:
    """Convert a trial to Optuna's; one that is not known yet counts as running."""
    space = candidates[trial.candidate].space
    distributions = {f"{trial.candidate}.{name}": _to_distribution(dimension) for name, dimension in space.items()}
    values = {
        f"{trial.candidate}.{name}": _to_optuna_value(trial.params[name], space[name])
        for name in space
        if name in trial.params
    }
    if len(candidates) > 1:
        distributions[_CANDIDATE] = optuna.distributions.CategoricalDistribution(range(len(candidates)))
        values[_CANDIDATE] = trial.candidate
    state = _STATES.get(trial.state, optuna.trial.TrialState.RUNNING) if is_known else optuna.trial.TrialState.RUNNING
    return optuna.trial.create_trial(
        state=state,
        value=trial.value if state == optuna.trial.TrialState.COMPLETE else None,
        params=values,
        distributions={name: distributions[name] for name in values},
        # TPE ranks finished trials by their values, and looks at the folds of pruned ones only.
        intermediate_values=dict(enumerate(trial.running_means())) if state == optuna.trial.TrialState.PRUNED else {},
    )


def _suggest(optuna_trial: optuna.Trial, name: str, dimension: Values | Range | IntRange) -> Any:
    match dimension:
        case Values():
            return dimension.values[optuna_trial.suggest_categorical(name, range(len(dimension.values)))]
        case Range():
            return optuna_trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
        case IntRange():
            return optuna_trial.suggest_int(name, dimension.int_low, dimension.int_high, log=dimension.log)


def _to_distribution(
    dimension: Values | Range | IntRange,
) -> optuna.distributions.BaseDistribution:
    match dimension:
        case Values():
            # Indices instead of values, because Optuna takes no lists, and treats 1 and true as the same.
            return optuna.distributions.CategoricalDistribution(range(len(dimension.values)))
        case Range():
            return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        case IntRange():
            return optuna.distributions.IntDistribution(dimension.int_low, dimension.int_high, log=dimension.log)


def _to_optuna_value(value: Any, dimension: Values | Range | IntRange) -> Any:
    if isinstance(dimension, Values):
        return [repr(choice) for choice in dimension.values].index(repr(value))
    return value
