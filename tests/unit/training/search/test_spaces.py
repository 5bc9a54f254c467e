"""Grids and draws are scikit-learn's own."""

import collections
import math

import numpy as np
import pytest
from scipy import stats
from sklearn import model_selection

from shared.training.search.spaces import Candidate
from tests.unit.training.search import commands
from workers.training.search import spaces

pytestmark = pytest.mark.slow

VALUES = {"C": {"values": [0.1, 1.0, 10.0]}, "solver": {"values": ["lbfgs", "saga"]}}


def candidate(space: dict[str, object], **given: object) -> Candidate:
    return Candidate.model_validate({"name": "LogisticRegression", "space": space, **given})


def test_a_grid_is_scikit_learns_grid() -> None:
    made = spaces.list_grid([candidate(VALUES, params={"max_iter": 50})])
    wanted = model_selection.ParameterGrid({"C": [0.1, 1.0, 10.0], "solver": ["lbfgs", "saga"]})
    assert [draw.params for draw in made] == [{"max_iter": 50, **point} for point in wanted]


def test_random_draws_are_those_of_scikit_learns_sampler() -> None:
    made = spaces.draw_random([candidate(commands.MIXED)], trials=30, seed=7)
    wanted = model_selection.ParameterSampler(
        {"C": stats.loguniform(0.001, 100.0), "max_iter": stats.randint(50, 501), "fit_intercept": [True, False]},
        30,
        random_state=7,
    )
    assert [draw.params for draw in made] == list(wanted)
    assert all(type(draw.params["C"]) is float and type(draw.params["max_iter"]) is int for draw in made)


def test_lists_of_values_are_drawn_without_repetition_until_there_are_no_more() -> None:
    made = spaces.draw_random([candidate(VALUES)], trials=20, seed=1)
    wanted = model_selection.ParameterSampler({"C": [0.1, 1.0, 10.0], "solver": ["lbfgs", "saga"]}, 6, random_state=1)
    assert [draw.params for draw in made] == list(wanted)


def test_several_candidates_take_turns_and_begin_with_their_own_parameters() -> None:
    boosting = Candidate(name="GaussianNB")
    made = spaces.draw_random([candidate({"C": commands.STRENGTH}, params={"max_iter": 9}), boosting], trials=6, seed=0)
    assert [draw.candidate for draw in made] == [0, 1, 0, 0, 0, 0]
    assert made[0].params == {"max_iter": 9}
    assert [set(draw.params) for draw in made[2:]] == [{"max_iter", "C"}] * 4


def test_a_candidate_without_a_space_is_tried_once() -> None:
    assert spaces.draw_random([Candidate(name="GaussianNB")], trials=20, seed=0) == [spaces.Draw(0, {})]


def test_log_integers_are_spread_by_their_logarithm_from_bound_to_bound() -> None:
    dice = np.random.RandomState(0)
    drawn = collections.Counter(spaces.LogIntegers(1, 8).rvs(random_state=dice) for _ in range(20_000))
    assert set(drawn) == set(range(1, 9))
    for number in range(1, 9):
        share = math.log((number + 0.5) / (number - 0.5)) / math.log(8.5 / 0.5)
        assert drawn[number] / 20_000 == pytest.approx(share, abs=0.015)
