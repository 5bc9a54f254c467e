"""The draws of TPE: equal to Optuna's own, the same whichever trial was faster, and better than chance."""

import dataclasses
import math

import numpy as np
import optuna
import pytest

from tests.unit.training.search import commands
from workers.training.search import next_trials, tpe
from workers.training.search.leaderboard import Trial

pytestmark = pytest.mark.slow


def worth(trial: Trial) -> float:
    """Compute a value that is greatest at C = 1."""
    return -abs(math.log10(trial.params["C"]))


def play(command_space: dict[str, object], *, parallel: int = 1, trials: int = 30, seed: int = 3) -> list[Trial]:
    """Run a search by TPE in which each trial ends before the next begins, as far as `parallel` lets it."""
    command = commands.command(
        search={"method": "tpe", "space": command_space, "trials": trials, "parallel": parallel, "seed": seed}
    )
    known: list[Trial] = []
    while True:
        turn = next_trials.plan_turn(command, known, rungs=[], is_late=False)
        if turn.is_over:
            return known
        known += [commands.ended(trial, worth(trial)) for trial in turn.to_start]


def test_one_at_a_time_draws_what_optuna_draws_itself() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for trial in play({"C": commands.STRENGTH}):
        seed = int(np.random.SeedSequence([3, trial.number]).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        optuna_trial = study.ask()
        assert optuna_trial.suggest_float("0.C", 0.001, 100.0, log=True) == trial.params["C"]
        study.tell(optuna_trial, worth(trial))


def test_later_draws_are_better_than_early_ones() -> None:
    values = [worth(trial) for trial in play({"C": commands.STRENGTH}, trials=40)]
    assert np.mean(values[25:]) > np.mean(values[:10]) + 0.3


def test_values_of_any_type_and_several_parameters_are_drawn() -> None:
    mixed = commands.MIXED | {"class_weight": {"values": [None, "balanced"]}}
    seen = play(mixed, trials=25)
    assert {trial.params["class_weight"] for trial in seen} == {None, "balanced"}
    assert {trial.params["fit_intercept"] for trial in seen} == {True, False}
    assert all(type(trial.params["max_iter"]) is int for trial in seen)


def test_plain_lists_are_drawn_as_the_long_form_is() -> None:
    short = {"C": [0.1, 1, 10.0], "class_weight": [None, "balanced"], "fit_intercept": [True, False], "max_iter": 60}
    long = {name: {"values": values if isinstance(values, list) else [values]} for name, values in short.items()}
    drawn = [repr(trial.params) for trial in play(dict(short), trials=15)]
    assert drawn == [repr(trial.params) for trial in play(dict(long), trials=15)]
    assert len(set(drawn)) > 3


def test_a_draw_does_not_depend_on_which_of_the_latest_trials_has_ended() -> None:
    command = commands.command(search={"method": "tpe", "space": {"C": commands.STRENGTH}, "trials": 40, "parallel": 3})
    known = [
        commands.ended(trial, worth(trial)) for trial in play({"C": commands.STRENGTH}, parallel=3, trials=15, seed=0)
    ]
    running = [commands.started(trial) for trial in known[-2:]]
    [after_all] = next_trials.plan_turn(command, known, rungs=[], is_late=False).to_start[:1]
    [after_most] = next_trials.plan_turn(command, [*known[:-2], *running], rungs=[], is_late=False).to_start
    assert after_all == after_most


def test_running_trials_keep_others_away_from_their_place() -> None:
    known = play({"C": commands.STRENGTH}, trials=20)
    command = commands.command(search={"method": "tpe", "space": {"C": commands.STRENGTH}})
    running = [*known, dataclasses.replace(known[-1], number=20, state="running", folds=())]
    ended = [*known, commands.ended(running[-1], -2.0)]
    first = tpe.draw(command.candidates, ended, parallel=1, seed=1, greater_is_better=True)
    second = tpe.draw(command.candidates, running, parallel=2, seed=1, greater_is_better=True)
    assert first != second


def test_failed_and_pruned_trials_do_not_stop_the_draws() -> None:
    known = play({"C": commands.STRENGTH}, trials=20)
    known[3] = commands.ended(known[3], None)
    known[5] = commands.ended(known[5], -2.0, state="pruned")
    command = commands.command(search={"method": "tpe", "space": {"C": commands.STRENGTH}})
    assert 0.001 <= tpe.draw(command.candidates, known, parallel=1, seed=0, greater_is_better=True).params["C"] <= 100


def test_of_several_candidates_the_better_one_is_drawn_more_often() -> None:
    command = commands.command(
        estimators=[
            {"name": "LogisticRegression", "space": {"C": commands.STRENGTH}},
            {"name": "GaussianNB", "space": {"var_smoothing": {"low": 1e-9, "high": 1.0, "log": True}}},
        ],
        search={"method": "tpe", "trials": 40, "parallel": 1},
    )
    known: list[Trial] = []
    while not (turn := next_trials.plan_turn(command, known, rungs=[], is_late=False)).is_over:
        known += [commands.ended(trial, 1.0 if trial.candidate else 0.1 * len(trial.params)) for trial in turn.to_start]
    assert [trial.params for trial in known[:2]] == [{}, {}]
    assert sum(trial.candidate for trial in known[20:]) > 15
