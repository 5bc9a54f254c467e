"""What a search does next: whole, in order, no more at once than asked, and the same after a retry."""

import dataclasses
from typing import Any

import pytest

from tests.unit.training.search import commands
from workers.training.search import next_trials, spaces
from workers.training.search.leaderboard import Trial

pytestmark = pytest.mark.slow

SPACE = {"C": commands.STRENGTH}


def test_random_trials_begin_in_a_window_and_go_on_as_they_end() -> None:
    command = commands.command(search={"space": SPACE, "trials": 7, "parallel": 3, "seed": 4})
    drawn = spaces.draw_random(command.candidates, trials=7, seed=4)
    first = next_trials.plan_turn(command, [], rungs=[], is_late=False)
    assert (first.planned, first.is_over) == (7, False)
    assert [trial.params for trial in first.to_start] == [draw.params for draw in drawn[:3]]
    known = [commands.started(first.to_start[0]), *(commands.ended(trial) for trial in first.to_start[1:])]
    second = next_trials.plan_turn(command, known, rungs=[], is_late=False)
    assert [trial.number for trial in second.to_start] == [3, 4]
    assert [trial.params for trial in second.to_start] == [draw.params for draw in drawn[3:5]]


def test_a_turn_makes_only_the_trials_that_begin_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    command = commands.command(search={"space": SPACE, "trials": 1000, "parallel": 4})
    known: list[Trial] = []
    while len(known) < 500:
        known += [
            commands.ended(trial) for trial in next_trials.plan_turn(command, known, rungs=[], is_late=False).to_start
        ]
    made: list[int] = []

    def counted(*given: Any, number: int) -> Trial:
        made.append(number)
        return plain(*given, number=number)

    plain = next_trials._make_trial
    monkeypatch.setattr(next_trials, "_make_trial", counted)
    next_trials.plan_turn(command, known, rungs=[], is_late=False)
    assert made == [500, 501, 502, 503]


def test_a_search_is_over_when_every_trial_has_ended() -> None:
    command = commands.command(search={"space": SPACE, "trials": 2})
    begun = next_trials.plan_turn(command, [], rungs=[], is_late=False).to_start
    half = [commands.ended(begun[0]), commands.started(begun[1])]
    assert not next_trials.plan_turn(command, half, rungs=[], is_late=False).is_over
    turn = next_trials.plan_turn(
        command, [commands.ended(begun[0]), commands.ended(begun[1], None)], rungs=[], is_late=False
    )
    assert (turn.to_start, turn.is_over) == ([], True)


def test_trials_that_an_earlier_job_left_unfinished_begin_again_before_new_ones() -> None:
    command = commands.command(search={"space": SPACE, "trials": 5, "parallel": 2})
    drawn = next_trials.plan_turn(
        commands.command(search={"space": SPACE, "trials": 5, "parallel": 5}), [], rungs=[], is_late=False
    ).to_start
    known = [commands.ended(drawn[0]), drawn[1], commands.ended(drawn[2])]
    turn = next_trials.plan_turn(command, known, rungs=[], is_late=False)
    assert turn.to_start == [drawn[1], drawn[3]]


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_when_the_time_is_over_only_the_first_trial_is_still_begun(method: str) -> None:
    command = commands.command(search={"method": method, "space": SPACE, "trials": 9})
    first = next_trials.plan_turn(command, [], rungs=[], is_late=True)
    assert [trial.number for trial in first.to_start] == [0]
    known: list[Trial] = [commands.ended(first.to_start[0])]
    assert next_trials.plan_turn(command, known, rungs=[], is_late=True).is_over


def test_tpe_has_no_more_trials_under_way_than_it_can_learn_from() -> None:
    command = commands.command(search={"method": "tpe", "space": SPACE, "trials": 30})
    begun = next_trials.plan_turn(command, [], rungs=[], is_late=False).to_start
    assert [trial.number for trial in begun] == [0, 1, 2, 3]
    slow_first = [commands.started(begun[0]), *(commands.ended(trial) for trial in begun[1:])]
    turn = next_trials.plan_turn(command, slow_first, rungs=[], is_late=False)
    assert (turn.to_start, turn.is_over) == ([], False)
    slow_last = [*(commands.ended(trial) for trial in begun[:3]), commands.started(begun[3])]
    assert [trial.number for trial in next_trials.plan_turn(command, slow_last, rungs=[], is_late=False).to_start] == [
        4,
        5,
        6,
    ]


def test_a_rung_waits_for_the_one_below() -> None:
    command = commands.command(
        search={"method": "halving", "space": SPACE, "trials": 6, "halving": {"factor": 3}, "metric": "accuracy"}
    )
    begun = next_trials.plan_turn(command, [], rungs=[100, 300], is_late=False)
    assert (begun.planned, [trial.number for trial in begun.to_start]) == (8, list(range(6)))
    assert {trial.resource for trial in begun.to_start} == {100}
    known = [commands.ended(trial, trial.number / 10) for trial in begun.to_start]
    waiting = [*known[:5], dataclasses.replace(known[5], state="running")]
    assert next_trials.plan_turn(command, waiting, rungs=[100, 300], is_late=False).to_start == []
    promoted = next_trials.plan_turn(command, known, rungs=[100, 300], is_late=False).to_start
    assert [(trial.number, trial.rung, trial.resource) for trial in promoted] == [(6, 1, 300), (7, 1, 300)]
    assert [trial.params for trial in promoted] == [known[4].params, known[5].params]
