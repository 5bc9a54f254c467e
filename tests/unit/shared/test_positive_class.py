"""The positive class is the requested one, else 1, true or yes, else the rarer one; and the choice is said."""

from typing import Any

import pytest

from shared import errors, positive_class

CHOSEN: list[tuple[list[Any], list[int], Any, str]] = [
    (["fraud", "ok"], [50, 950], "fraud", "the rarer one, with 50 of 1,000 rows"),
    (["good", "wrong"], [30, 10], "wrong", "the rarer one, with 10 of 40 rows"),
    (["N", "Y"], [10, 30], "N", "the rarer one"),
    ([2, 3], [5, 6], 2, "the rarer one"),
    (["a", "b"], [7, 7], "b", "the last in sorted order, because each has 7 rows"),
    ([0, 1], [10, 90], 1, "by convention"),
    ([1, 2], [90, 10], 1, "by convention"),
    ([-1, 1], [10, 90], 1, "by convention"),
    ([False, True], [10, 90], True, "by convention"),
    (["No", "Yes"], [10, 90], "Yes", "by convention"),
    (["NO", "YES"], [10, 90], "YES", "by convention"),
    (["0", "1"], [10, 90], "1", "by convention"),
    (["FALSE", "TRUE"], [10, 90], "TRUE", "by convention"),
    (["true", "untrue"], [90, 10], "true", "by convention"),
    (["yes", "yes, later"], [90, 10], "yes", "by convention"),
    # Where both are positive words, none is.
    (["true", "yes"], [90, 10], "yes", "the rarer one"),
]


@pytest.mark.parametrize(("classes", "counts", "label", "reason"), CHOSEN)
def test_without_a_request_it_follows_from_the_labels_or_their_rows(
    classes: list[Any], counts: list[int], label: Any, reason: str
) -> None:
    choice = positive_class.choose(classes, counts=counts)
    assert choice is not None
    assert (type(choice.label), choice.label) == (type(label), label)
    assert choice.note is not None
    assert reason in choice.note
    assert "give `positive`" in choice.note


@pytest.mark.parametrize(("classes", "counts"), [(["a"], [3]), (["a", "b", "yes"], [3, 2, 1])])
def test_there_is_none_unless_there_are_two_classes(classes: list[Any], counts: list[int]) -> None:
    assert positive_class.choose(classes, counts=counts) is None


REQUESTED: list[tuple[Any, list[Any], Any]] = [
    ("ok", ["fraud", "ok"], "ok"),
    (1, [0, 1], 1),
    (0, [0, 1], 0),
    ("0", [0, 1], 0),
    (1.0, [0, 1], 1),
    (True, [0, 1], 1),
    (False, [False, True], False),
    ("true", [False, True], True),
    (1, [False, True], True),
    ("False", [False, True], False),
    (0, ["0", "1"], "0"),
    (True, ["false", "true"], "true"),
]


@pytest.mark.parametrize(("requested", "classes", "label"), REQUESTED)
def test_a_request_is_met_by_the_label_of_its_text(requested: Any, classes: list[Any], label: Any) -> None:
    choice = positive_class.choose(classes, counts=[1, 1], requested=requested)
    assert choice is not None
    assert (type(choice.label), choice.label, choice.note) == (type(label), label, None)


@pytest.mark.parametrize(
    ("requested", "classes", "message"),
    [
        ("Fraud", ["fraud", "ok"], "'Fraud', which is no class of the target; the classes are 'fraud' and 'ok'"),
        (2, [0, 1], "'2', which is no class of the target; the classes are 0 and 1"),
        (0.5, [0, 1], "'0.5', which is no class"),
        ("maybe", [False, True], "the classes are false and true"),
        ("a", ["a", "b", "c"], "names one of two classes, but the target has 3"),
    ],
)
def test_a_request_for_no_class_is_refused_where_it_stands(requested: Any, classes: list[Any], message: str) -> None:
    with pytest.raises(errors.BadModelError, match=message) as refused:
        positive_class.choose(classes, counts=[1] * len(classes), requested=requested, pointer="#/params/positive")
    assert refused.value.pointer == "#/params/positive"


def test_a_model_of_an_earlier_release_keeps_the_last_class() -> None:
    signature = {"problem": "classification", "classes": ["fraud", "ok"]}
    assert positive_class.of_signature(signature) == "ok"
    assert positive_class.of_signature({**signature, "positive": "fraud"}) == "fraud"
    assert positive_class.of_signature({**signature, "classes": [False, True], "positive": False}) is False
    assert positive_class.of_signature({**signature, "classes": ["a", "b", "c"]}) is None
    assert positive_class.of_signature({**signature, "problem": "multilabel"}) is None
    assert positive_class.of_signature({"problem": "regression", "classes": None}) is None
