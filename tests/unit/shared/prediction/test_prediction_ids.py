"""Ids of predictions: they say what they were made of, and nobody can change or forge them."""

import base64
import math
from typing import Any

import pytest

from shared import errors
from shared.prediction import prediction_ids
from shared.prediction.prediction_ids import Answer, Predicted

SECRET = b"s" * 32
AT = 1_764_540_000_123
FIRST = Answer("churn", 3, "churn@3")
ALIAS = Answer("churn", 4, "churn@champion")
ELSEWHERE = Answer("spare", 1, "churn@3")
CHOSEN = Answer("churn", 3, "")


def sign(values: list[Any], *answers: Answer, tenant_id: str = "acme", key: int = 7, **options: Any) -> str:
    head = prediction_ids.pack_head("risk", 12, answers or (FIRST,))
    signer = prediction_ids.Signer(key, SECRET)
    return signer.sign(tenant_id, head, at_ms=AT, values=values, **{"is_number": False, **options})


def read(text: str, *, tenant_id: str = "acme") -> Predicted:
    return prediction_ids.read(text, tenant_id=tenant_id, secrets={7: SECRET})


@pytest.mark.parametrize("answer", [FIRST, ALIAS, ELSEWHERE, CHOSEN])
def test_an_id_says_what_it_was_made_of(answer: Answer) -> None:
    predicted = read(sign(["Yes"], answer, units=b"customer"))
    assert (predicted.deployment, predicted.revision, predicted.answer) == ("risk", 12, answer)
    assert (predicted.unit, predicted.predicted_at, predicted.label) == (b"customer".hex(), AT, "Yes")
    assert predicted.number is None


@pytest.mark.parametrize(
    ("label", "right", "wrong"),
    [
        ("Yes", "Yes", "No"),
        (True, True, False),
        (1, 1.0, 2),
        (2.0, "2", 3),
        ("é" * 60, "é" * 60, "é" * 59),
        ("", "", "a"),
    ],
)
def test_a_label_is_correct_however_it_is_written(label: Any, right: Any, wrong: Any) -> None:
    predicted = read(sign([label]))
    assert predicted.is_correct(prediction_ids.to_text(right)) is True
    assert predicted.is_correct(prediction_ids.to_text(wrong)) is False


def test_a_number_is_kept_to_the_last_bit_and_one_that_is_missing_is_none() -> None:
    text = sign([0.1, -1e300, None], is_number=True)
    assert [read(f"{text}.{row}").number for row in range(3)] == [0.1, -1e300, None]
    assert read(f"{text}.0").is_correct("0.1") is None


def test_each_row_has_its_own_unit_version_and_label() -> None:
    labels = ["no", "x" * 200, "yes", "no"]
    units = b"".join(bytes([65 + row]) * 8 for row in range(4))
    text = sign(labels, FIRST, ALIAS, units=units, answered_by=bytes([0, 1, 1, 0]))
    rows = [read(f"{text}.{row}") for row in range(4)]
    assert [row.label for row in rows] == ["no", None, "yes", "no"]
    assert [row.is_correct(label) for row, label in zip(rows, labels, strict=True)] == [True] * 4
    assert [row.answer for row in rows] == [FIRST, ALIAS, ALIAS, FIRST]
    assert [bytes.fromhex(row.unit) for row in rows] == [bytes([65 + row]) * 8 for row in range(4)]
    assert len({row.key for row in rows}) == 4


def test_rows_without_units_share_the_requests_own_which_no_other_request_has() -> None:
    one, other = sign(["a", "b"]), sign(["a", "b"])
    assert read(f"{one}.0").unit == read(f"{one}.1").unit != read(f"{other}.0").unit
    assert read(f"{one}.0").key != read(f"{other}.0").key


def test_64_rows_of_20_versions_fit_into_an_id() -> None:
    answers = [Answer("m" * 63, 10**9 + each, "n" * 63 + "@" + "a" * 63) for each in range(20)]
    rows = prediction_ids.MAX_ROWS
    text = sign(
        ["x" * 40] * rows, *answers, units=b"12345678" * rows, answered_by=bytes(row % 20 for row in range(rows))
    )
    assert len(text) <= prediction_ids.MAX_CHARACTERS
    assert read(f"{text}.63").answer == answers[3]


def test_no_changed_byte_is_taken() -> None:
    text = sign(["Yes"], units=b"customer")
    content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        with pytest.raises(errors.BadDataError):
            read(base64.urlsafe_b64encode(bytes(changed)).rstrip(b"=").decode())


def test_another_tenants_id_is_refused() -> None:
    with pytest.raises(errors.BadDataError, match="another tenant's"):
        read(sign(["Yes"], tenant_id="other"))


def test_a_key_that_is_unknown_is_named_as_the_reason() -> None:
    with pytest.raises(errors.BadDataError, match="key"):
        read(sign(["Yes"], key=8))


@pytest.mark.parametrize(
    ("suffix", "words"), [("", "say which: `<id>.0` to `<id>.1`"), (".2", "the last is `.1`, not `.2`")]
)
def test_a_row_must_be_named_and_be_there(suffix: str, words: str) -> None:
    with pytest.raises(errors.BadDataError, match=words):
        read(sign(["a", "b"]) + suffix)


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", "é" * 60, "A" * 60, "A" * 61, "-" * 100 + ".100", "A" * 13_000, "\0" * 50]
)
def test_what_is_no_id_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(errors.BadDataError):
        read(text)


def test_nan_is_no_number() -> None:
    assert read(sign([math.nan], is_number=True)).number is None
