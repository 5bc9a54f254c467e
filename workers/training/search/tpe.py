"""Draws that learn from earlier trials: Optuna's tree-structured Parzen estimator, rebuilt from what is known.

A draw depends on the seed, its number and the ends of all trials but the latest `parallel - 1`, which count as
running although they may have ended: so the same search makes the same draws, whichever of its trials was faster.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna

from shared.training.search.spaces import Candidate, IntRange, Range, Values
from workers.training.search import leaderboard
from workers.training.search.spaces import Draw

_CANDIDATE = "candidate"
_ENDS = {
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
    """Draw the trial whose number comes after those of `trials`, which stand in order of their numbers."""
    number = len(trials)
    if len(candidates) > 1 and number < len(candidates):
        return Draw(number, dict(candidates[number].params))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    study = optuna.create_study(
        direction="maximize" if greater_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=own_seed, constant_liar=True),
    )
    for trial in trials:
        study.add_trial(_told(trial, candidates, is_known=trial.number <= number - parallel))
    asked = study.ask()
    chosen = asked.suggest_categorical(_CANDIDATE, range(len(candidates))) if len(candidates) > 1 else 0
    space = candidates[chosen].space
    drawn = {name: _suggest(asked, f"{chosen}.{name}", dimension) for name, dimension in space.items()}
    return Draw(chosen, {**candidates[chosen].params, **drawn})


def _told(trial: leaderboard.Trial, candidates: list[Candidate], *, is_known: bool) -> optuna.trial.FrozenTrial:
    """Give a trial as Optuna keeps it."""
    space = candidates[trial.candidate].space
    ranges = {f"{trial.candidate}.{name}": _range(dimension) for name, dimension in space.items()}
    values = {
        f"{trial.candidate}.{name}": _inner(trial.params[name], space[name]) for name in space if name in trial.params
    }
    if len(candidates) > 1:
        ranges[_CANDIDATE] = optuna.distributions.CategoricalDistribution(range(len(candidates)))
        values[_CANDIDATE] = trial.candidate
    state = _ENDS.get(trial.state, optuna.trial.TrialState.RUNNING) if is_known else optuna.trial.TrialState.RUNNING
    return optuna.trial.create_trial(
        state=state,
        value=trial.value if state == optuna.trial.TrialState.COMPLETE else None,
        params=values,
        distributions={name: ranges[name] for name in values},
        # What has finished is ranked by its value; only of what was pruned TPE looks at the folds.
        intermediate_values=dict(enumerate(trial.means())) if state == optuna.trial.TrialState.PRUNED else {},
    )


def _suggest(asked: optuna.Trial, name: str, dimension: Values | Range | IntRange) -> Any:
    match dimension:
        case Values():
            return dimension.values[asked.suggest_categorical(name, range(len(dimension.values)))]
        case Range():
            return asked.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
        case IntRange():
            return asked.suggest_int(name, dimension.int_low, dimension.int_high, log=dimension.log)


def _range(
    dimension: Values | Range | IntRange,
) -> optuna.distributions.BaseDistribution:
    match dimension:
        case Values():
            # The places of the values, because Optuna takes no lists, and 1 and true for the same.
            return optuna.distributions.CategoricalDistribution(range(len(dimension.values)))
        case Range():
            return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        case IntRange():
            return optuna.distributions.IntDistribution(dimension.int_low, dimension.int_high, log=dimension.log)


def _inner(value: Any, dimension: Values | Range | IntRange) -> Any:
    if isinstance(dimension, Values):
        return [repr(each) for each in dimension.values].index(repr(value))
    return value
