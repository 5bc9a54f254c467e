"""Means and votes: weighted, decided by the order of the labels where equal, and never of what is missing."""

from typing import Any

import pytest

from shared import contract
from workers.prediction.online.graphs.combining import combine_answers, explain_uncombined
from workers.prediction.online.merging import Prediction


def predicted(type_: contract.ColumnType, **columns: list[Any]) -> Prediction:
    described = [contract.Column(name=name, type="number") for name in columns]
    described[0] = contract.Column(name="prediction", type=type_)
    values = list(columns.values())
    return Prediction(described, values, ["m@1"] * len(values[0]))


def combined(combine: str, *answers: tuple[float, Prediction]) -> dict[str, list[Any]]:
    columns, values = combine_answers(combine, answers)
    assert all(explain_uncombined(combine, answer) is None for _, answer in answers)
    return {column.name: each for column, each in zip(columns, values, strict=True)}


def labels(*labels: Any, type_: contract.ColumnType = "string") -> Prediction:
    return predicted(type_, prediction=list(labels))


def test_a_mean_of_numbers_is_weighted_and_leaves_out_what_is_missing() -> None:
    one = predicted("number", prediction=[1.0, None, None], quantile_01=[0.0, 1.0, 2.0])
    other = predicted("number", prediction=[4.0, 6.0, None], quantile_01=[4.0, 5.0, 6.0])
    assert combined("mean", (1.0, one), (2.0, other)) == {
        "prediction": [3.0, 6.0, None],
        "quantile_01": [8 / 3, 11 / 3, 14 / 3],
    }


def test_the_bounds_of_intervals_and_what_only_some_have_are_no_part_of_a_mean() -> None:
    one = predicted("number", prediction=[1.0], prediction_lower=[0.0], prediction_upper=[2.0], quantile_01=[0.5])
    assert combined("mean", (1.0, one), (1.0, predicted("number", prediction=[2.0]))) == {"prediction": [1.5]}


def test_the_label_of_a_mean_is_that_of_the_greatest_probability() -> None:
    one = predicted("string", prediction=["no", "no"], probability_no=[0.9, 0.6], probability_yes=[0.1, 0.4])
    other = predicted("string", prediction=["yes", "yes"], probability_no=[0.4, 0.3], probability_yes=[0.6, 0.7])
    answer = combined("mean", (1.0, one), (1.0, other))
    assert answer["prediction"] == ["no", "yes"]
    assert answer["probability_yes"] == pytest.approx([0.35, 0.55])


def test_equal_probabilities_are_decided_by_the_order_of_the_labels() -> None:
    one = predicted("integer", prediction=[10], probability_10=[0.75], probability_9=[0.25])
    other = predicted("integer", prediction=[9], probability_9=[0.75], probability_10=[0.25])
    for answers in (((1.0, one), (1.0, other)), ((1.0, other), (1.0, one))):
        answer = combined("mean", *answers)
        assert answer["prediction"] == [9]
        assert list(answer) == ["prediction", "probability_9", "probability_10"]


def test_a_label_that_a_member_does_not_know_has_the_probability_0_there() -> None:
    one = predicted("boolean", prediction=[True], probability_true=[1.0])
    other = predicted("boolean", prediction=[False], probability_false=[0.9], probability_true=[0.1])
    assert combined("mean", (1.0, one), (3.0, other)) == {
        "prediction": [False],
        "probability_false": pytest.approx([0.675]),
        "probability_true": pytest.approx([0.325]),
    }


def test_nothing_is_predicted_where_no_member_has_a_probability() -> None:
    one = predicted("string", prediction=["a"], probability_a=[None], probability_b=[None])
    assert combined("mean", (1.0, one)) == {"prediction": [None], "probability_a": [None], "probability_b": [None]}


def test_the_mean_of_scores_says_what_is_anomalous() -> None:
    one = predicted("boolean", prediction=[True, False], anomaly_score=[0.5, -0.5])
    other = predicted("boolean", prediction=[False, False], anomaly_score=[-0.1, -0.3])
    answer = combined("mean", (1.0, one), (1.0, other))
    assert answer["prediction"] == [True, False]
    assert answer["anomaly_score"] == pytest.approx([0.2, -0.4])


def test_a_vote_goes_to_the_label_of_the_greatest_weight() -> None:
    answers = [(1.0, labels("a", "b")), (1.0, labels("a", "c")), (3.0, labels("b", "c"))]
    assert combined("vote", *answers) == {"prediction": ["b", "c"]}


def test_a_tied_vote_goes_to_the_first_label_whoever_is_asked_first() -> None:
    for answers in ((labels("b"), labels("a")), (labels("a"), labels("b"))):
        assert combined("vote", *((1.0, answer) for answer in answers)) == {"prediction": ["a"]}
    assert combined("vote", (1.0, labels(10, type_="integer")), (1.0, labels(9, type_="integer"))) == {
        "prediction": [9]
    }
    assert combined("vote", (1.0, labels(None)), (1.0, labels("z"))) == {"prediction": ["z"]}


def test_labels_without_probabilities_have_no_mean() -> None:
    assert "probabilities" in (explain_uncombined("mean", labels("a")) or "")
    assert explain_uncombined("vote", labels("a")) is None
