"""The order of trials: what has finished on the last rung first, the best first, and the earlier one in a tie."""

import dataclasses

import pytest

from shared.training.search.results import TrialCounts
from tests.unit.training.search import commands
from workers.training.search import leaderboard
from workers.training.search.leaderboard import Trial

pytestmark = pytest.mark.slow


def trial(number: int, value: float | None = None, **given: object) -> Trial:
    made = Trial(number, 0, "Ridge", {"alpha": float(number)})
    return commands.ended(made, value, **given) if value is not None or given else made


@pytest.mark.parametrize(("greater", "wanted"), [(True, [2, 0, 1, 5, 3, 4]), (False, [1, 0, 2, 5, 3, 4])])
def test_trials_stand_in_the_order_of_their_worth(greater: bool, wanted: list[int]) -> None:
    trials = [
        trial(0, 0.5),
        trial(1, 0.4),
        trial(2, 0.9),
        commands.ended(trial(3), None),
        trial(4),
        trial(5, 0.99, state="pruned"),
    ]
    assert [each.number for each in leaderboard.rank(trials, greater_is_better=greater)] == wanted


def test_the_earlier_of_equals_and_the_higher_rung_win() -> None:
    trials = [trial(0, 0.9), trial(1, 0.5, rung=1), trial(2, 0.5, rung=1)]
    best = leaderboard.find_best(trials, greater_is_better=True)
    assert best is not None
    assert best.number == 1


def test_nothing_is_best_when_nothing_has_finished() -> None:
    assert leaderboard.find_best([], greater_is_better=True) is None
    assert leaderboard.find_best([trial(0), trial(1, 0.9, state="pruned")], greater_is_better=True) is None


def test_trials_that_the_time_limit_has_cost_are_described() -> None:
    def told(**counts: int) -> list[str]:
        return leaderboard.describe_lost_trials(TrialCounts(planned=30, **counts), max_seconds=8.0)

    [note] = told(finished=1, out_of_time=4)
    assert note.startswith(
        "1 of 30 trials finished in the 8 s of `max_seconds`; 4 ended early and 25 never started: give a greater"
    )
    assert "; 2 never started:" in told(finished=20, pruned=5, failed=3)[0]
    assert "; 2 ended early:" in told(finished=28, out_of_time=2)[0]
    assert told(finished=20, pruned=5, failed=5) == []


def test_the_summary_counts_and_ranks() -> None:
    trials = [trial(0, folds=(0.2, 0.4), state="finished"), commands.ended(trial(1), None, error="no"), trial(2)]
    summary = leaderboard.summarize(trials, metric="r2", greater_is_better=True, planned=9)
    assert summary.trials.model_dump(exclude_defaults=True) == {"planned": 9, "waiting": 1, "finished": 1, "failed": 1}
    first, *others = summary.leaderboard
    assert (first.rank, first.trial) == (1, 0)
    assert [first.value, first.std] == pytest.approx([0.3, 0.1])
    assert [row.rank for row in others] == [None, None]


def test_a_long_leaderboard_is_cut() -> None:
    trials = [dataclasses.replace(trial(0, 0.5), number=number) for number in range(300)]
    summary = leaderboard.summarize(trials, metric="r2", greater_is_better=True, planned=300)
    assert len(summary.leaderboard) == 200
    assert summary.trials.finished == 300
