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


LISTS = {"C": [0.1, 1, 10], "solver": ["lbfgs", "saga"], "class_weight": [None, "balanced"], "max_iter": 50}


def test_plain_lists_are_scikit_learns_own_grid_and_draws_type_by_type() -> None:
    as_sklearn = {**LISTS, "max_iter": [50]}
    grid = spaces.list_grid([candidate(LISTS)])
    assert repr([draw.params for draw in grid]) == repr([*model_selection.ParameterGrid(as_sklearn)])
    drawn = spaces.draw_random([candidate(LISTS)], trials=7, seed=4)
    wanted = model_selection.ParameterSampler(as_sklearn, 7, random_state=4)
    assert repr([draw.params for draw in drawn]) == repr([*wanted])


def test_a_list_of_lists_has_a_list_in_each_trial() -> None:
    network = Candidate.model_validate(
        {"name": "MLPClassifier", "space": {"hidden_layer_sizes": [[10], [10, 5]], "alpha": [0.1, 1]}}
    )
    grid = spaces.list_grid([network])
    assert [draw.params["hidden_layer_sizes"] for draw in grid] == [[10], [10, 5], [10], [10, 5]]


def test_the_first_of_several_candidates_trials_has_what_is_the_same_in_all() -> None:
    drawn = spaces.draw_random(
        [candidate({"C": [1, 2], "max_iter": 9}), Candidate(name="GaussianNB")], trials=4, seed=0
    )
    assert drawn[0].params == {"max_iter": 9}
    assert [draw.params.get("max_iter") for draw in drawn] == [9, None, 9, 9]


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
