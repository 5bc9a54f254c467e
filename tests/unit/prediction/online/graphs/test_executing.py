"""Graphs of members that are plain functions: what each is asked, and what becomes of what it says."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from shared import contract, errors
from shared.prediction import graphs
from workers.prediction.online import rows
from workers.prediction.online.graphs.executing import Answer, execute
from workers.prediction.online.merging import Prediction

Member = Callable[[rows.Columns], list[Any]]


def answer(graph: graphs.Graph, given: dict[str, list[Any]], **members: Member) -> Answer:
    def ask(name: str, part: rows.Columns, positions: Sequence[int]) -> Prediction:
        predictions = members[name](part)
        assert len(predictions) == len(positions)
        type_: contract.ColumnType = "string" if isinstance(predictions[0], str) else "number"
        column = contract.Column(name="prediction", type=type_)
        return Prediction([column], [predictions], [f"{name}-model@1"] * len(predictions))

    return execute(graph, given, rows_count=len(next(iter(given.values()))), ask=ask)


def fail(_: rows.Columns) -> list[Any]:
    raise errors.BadModelError("m@1 has failed (ZeroDivisionError)")


def refuse(_: rows.Columns) -> list[Any]:
    raise errors.BadDataError("column 'a' is missing")


def number(value: float) -> Member:
    return lambda given: [value] * len(next(iter(given.values())))


def test_each_step_gets_what_those_before_it_predicted() -> None:
    graph = graphs.Sequence(steps=["double", "twice", "sum"])
    found = answer(
        graph,
        {"x": [1.0, 2.0]},
        double=lambda given: [2 * x for x in given["x"]],
        twice=lambda given: [2 * x for x in given["double_prediction"]],
        sum=lambda given: [sum(row) for row in zip(*given.values(), strict=True)],
    )
    assert [column.name for column in found.columns] == ["prediction"]
    assert found.values == [[7.0, 14.0]]
    assert found.versions == ["sum-model@1"] * 2
    assert list(found.members) == ["double", "twice", "sum"]


def test_a_sequence_may_answer_all_that_its_steps_said() -> None:
    graph = graphs.Sequence(steps=["one", "two"], answer="all")
    found = answer(graph, {"x": [0]}, one=number(1.0), two=number(2.0))
    assert [column.name for column in found.columns] == ["prediction", "one_prediction"]
    assert found.values == [[2.0], [1.0]]


def test_what_a_client_sends_under_the_name_of_a_steps_column_does_not_count() -> None:
    graph = graphs.Sequence(steps=["one", "two"])
    given = {"x": [0.0], "one_prediction": [9.0]}
    found = answer(graph, given, one=number(1.0), two=lambda part: list(part["one_prediction"]))
    assert found.values == [[1.0]]
    assert given == {"x": [0.0], "one_prediction": [9.0]}


def test_the_failure_of_a_step_is_that_of_the_sequence() -> None:
    graph = graphs.Sequence(steps=["one", "two"])
    with pytest.raises(errors.BadModelError, match="m@1 has failed"):
        answer(graph, {"x": [0]}, one=fail, two=number(2.0))


def name_of(name: str) -> Member:
    return lambda given: [f"{name} {x}" for x in given["x"]]


CASES = graphs.Switch(column="region", cases={"eu": "europe", "1": "one", "": "nowhere"}, default=None)


def test_each_row_goes_to_the_case_of_its_value_and_comes_back_in_its_place() -> None:
    values: list[Any] = ["eu", 1, None, 1.0, "eu", "1", float("nan")]
    found = answer(
        CASES,
        {"region": values, "x": list(range(7))},
        europe=name_of("europe"),
        one=name_of("one"),
        nowhere=name_of("nowhere"),
    )
    expected = ["europe", "one", "nowhere", "one", "europe", "one", "nowhere"]
    assert found.values == [[f"{name} {row}" for row, name in enumerate(expected)]]
    assert found.versions == [f"{name}-model@1" for name in expected]


def test_rows_of_one_case_are_asked_as_they_are() -> None:
    given: dict[str, list[Any]] = {"region": ["eu", "eu"], "x": [1, 2]}
    seen: list[rows.Columns] = []

    def keep(part: rows.Columns) -> list[Any]:
        seen.append(part)
        return ["a", "b"]

    assert answer(CASES, given, europe=keep).values == [["a", "b"]]
    assert seen[0] is given


def test_other_values_go_to_the_default() -> None:
    graph = graphs.Switch(column="region", cases={"eu": "europe"}, default="world")
    found = answer(graph, {"region": ["asia", "eu"], "x": [1, 2]}, europe=name_of("europe"), world=name_of("world"))
    assert found.values == [["world 1", "europe 2"]]


def test_a_value_without_a_case_is_refused_with_its_place_and_nobody_is_asked() -> None:
    with pytest.raises(errors.BadDataError) as caught:
        answer(CASES, {"region": ["eu", "asia"], "x": [1, 2]})
    assert "row 2 has 'asia' in the column 'region' (#/instances/1/region)" in caught.value.message
    assert "'', '1', 'eu'" in caught.value.message
    with pytest.raises(errors.BadDataError, match="there is no column 'region'"):
        answer(CASES, {"x": [1]})


def ensemble(**fields: Any) -> graphs.Ensemble:
    return graphs.Ensemble.model_validate({"members": ["a", "b", "c"], "combine": "mean", **fields})


def test_an_ensemble_answers_without_the_members_that_fail_and_says_which() -> None:
    found = answer(ensemble(weights=[1, 1, 3]), {"x": [0]}, a=number(1.0), b=fail, c=number(3.0))
    assert found.values == [[2.5]]
    assert found.failed == {"b": "m@1 has failed (ZeroDivisionError)"}
    assert list(found.members) == ["a", "c"]
    assert found.versions is None


def test_nobody_failed_is_said_too() -> None:
    assert answer(ensemble(), {"x": [0]}, a=number(1.0), b=number(1.0), c=number(1.0)).failed == {}


def test_fewer_members_than_wanted_are_no_answer() -> None:
    with pytest.raises(errors.UnavailableError) as caught:
        answer(ensemble(min_members=2), {"x": [0]}, a=number(1.0), b=fail, c=fail)
    assert "1 of 3 members could answer, and 2 must: b: m@1 has failed" in caught.value.message
    assert caught.value.retry_after_seconds == 1


def test_data_that_does_not_fit_is_the_clients_and_what_passes_is_tried_again() -> None:
    with pytest.raises(errors.BadDataError):
        answer(ensemble(), {"x": [0]}, a=number(1.0), b=refuse, c=number(1.0))

    def away(_: rows.Columns) -> list[Any]:
        raise errors.RetryableError("the store is away")

    with pytest.raises(errors.RetryableError):
        answer(ensemble(), {"x": [0]}, a=number(1.0), b=away, c=number(1.0))


def test_a_member_whose_answer_is_of_another_type_is_left_out() -> None:
    found = answer(ensemble(combine="vote"), {"x": [0]}, a=name_of("label"), b=number(1.0), c=name_of("label"))
    assert found.values == [["label 0"]]
    assert found.failed is not None
    assert "answers number" in found.failed["b"]
