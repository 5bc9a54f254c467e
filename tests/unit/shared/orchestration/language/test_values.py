"""References and what is put in their place."""

from typing import Any

import pytest

from shared.orchestration.language import references, values

_VALUES = {
    "fit": {"model": {"name": "churn", "version": 3}, "auc": 0.5, "folds": [1, 2], "with space": "x", "none": None},
    "all": [{"n": 1}, {"n": 2}],
}


def _resolve(value: Any, *, wants: bool = False) -> Any:
    def look_up(reference: references.Reference) -> Any:
        return values.follow(_VALUES[reference.head], reference)

    return values.resolve(value, look_up, wants=lambda _: wants)


def test_a_whole_reference_keeps_its_type_and_one_within_a_text_becomes_text() -> None:
    given = {"a": ["${fit.auc}", "auc ${fit.auc}, ${fit.folds[1]}", "${fit.folds}", '${fit["with space"]}', 1, None]}
    assert _resolve(given) == {"a": [0.5, "auc 0.5, 2", [1, 2], "x", 1, None]}
    assert _resolve("${all.n}") == [1, 2]
    assert _resolve("${all[1].n}") == 2


def test_a_version_becomes_a_reference_where_one_is_wanted_and_in_texts() -> None:
    assert _resolve("${fit.model}", wants=True) == "churn@3"
    assert _resolve("${fit.model}") == {"name": "churn", "version": 3}
    assert _resolve("of ${fit.model}") == "of churn@3"
    assert _resolve("${fit.auc}", wants=True) == 0.5


def test_a_plain_dollar_and_brace_can_be_written() -> None:
    assert _resolve("$${fit.auc} $ {} $5 ${fit.auc}") == "${fit.auc} $ {} $5 0.5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "${fit.modl}",
            "${fit.modl} is not there; ${fit} has model, auc, folds, with space, none; did you mean 'model'?",
        ),
        ("${fit.auc.x}", "${fit.auc.x} asks for a field, but ${fit.auc} is the number 0.5"),
        ("${fit.auc[0]}", "${fit.auc[0]} asks for an item, but ${fit.auc} is the number 0.5"),
        ("${fit.folds[2]}", "${fit.folds} has 2 items, counted from 0"),
        ("so ${fit.none}", "${fit.none} is null, which can't be put into a text"),
        ("${fit", "'${fit' has no end"),
        ("${fit..x}", "is not a reference; write ${step.field}"),
        ("${}", "is not a reference"),
        ("${" + ".".join("a" * 30) + "}", "at most 20 are followed"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        _resolve(text)
    assert message in str(refused.value)


def test_what_references_put_in_is_bounded() -> None:
    big = {"x": "a" * 1000}
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        values.resolve(["${a}"] * 2000, lambda _: big, wants=lambda _: False)
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        values.resolve("${a}" * 2000, lambda _: big, wants=lambda _: False)
