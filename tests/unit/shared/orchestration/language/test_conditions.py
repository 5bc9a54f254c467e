"""The language of `when`: what it means, of null too, and what is refused with which words."""

from typing import Any

import pytest

from shared.orchestration.language import condition_values, conditions, references, values

_VALUES = {
    "params": {"region": "eu", "none": None, "list": [1, "a", None]},
    "fit": {"state": "succeeded", "auc": 0.9, "rows": 10, "deep": {"x": [1, {"y": 2}]}},
    "fit-eu": {"ok": True},
}


def _look_up(reference: references.Reference) -> Any:
    try:
        return values.follow(_VALUES.get(reference.head), reference)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fit.auc > 0.8 and params.region in ['eu', \"us\"]", True),
        ("not fit.auc > 0.8 or fit.rows == 10.0", True),
        ('fit.state == "succeeded"', True),
        ("${fit-eu.ok}", True),
        ("fit.deep.x[1].y * 2 + 1 - -1 == 6", True),
        ("7 // 2 == 3 and 7 % 4 == 3 and 1 / 4 == .25", True),
        ("2 + 3 * 4 == 14 and (2 + 3) * 4 == 20", True),
        ("len(params.list) == 3 and len('ab') == 2", True),
        ("'u' in params.region and 'x' not in params.region", True),
        ("1 in params.list and null in params.list and true not in params.list", True),
        ("'a' + 'b' == 'ab' and 'a' < 'b'", True),
        ("true == 1", False),
        ("'1' == 1", False),
        # Null: what isn't there.
        ("fit.gone == null and params.none == null", True),
        ("fit.gone != 0.8", True),
        ("fit.gone > 0.8 or fit.gone <= 0.8", False),
        ("fit.gone in [1] or 1 in fit.gone or 1 not in fit.gone", False),
        ("fit.gone + 1 == null and len(fit.gone) == null and -fit.gone == null", True),
        ("fit.gone or not fit.gone", True),
        ("1 / 0 == null and 1 % 0 == null", True),
        ("coalesce(fit.gone, params.none, 3) == 3", True),
        ("fit.gone", False),
        # What decides ends it.
        ("false and 1 < 'a'", False),
    ],
)
def test_conditions_mean_what_they_say(text: str, expected: bool) -> None:
    assert condition_values.holds(conditions.parse(text), _look_up) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fit.auc = 1", "'=' at character 9: write == to compare"),
        ("a < b < c", "write a < b and b < c"),
        ("a && b", "write `and`"),
        ("(a", "is needed at character 3, where the end stands"),
        ("", "a value is needed"),
        ("a b", "an operator"),
        ("not", "a value is needed"),
        ("a not b", "`in` after `not`"),
        ("'a", "the text has no end"),
        ("eval('1')", "there is no function 'eval'; these are: len, coalesce"),
        ("len(a, b)", "len takes 1 values, not 2"),
        ("a.__class__()", "there is no function"),
        ("lambda: 1", "at character 7: it is not part of the language"),
        ("a[b]", "an operator"),
        ("1e999 > 0", "too large"),
        ("{1}", "there are no objects"),
        ("${a.}", "is not a reference"),
        ("(" * 50 + "a" + ")" * 50, "nested deeper than 40"),
        ("+".join("a" * 400), "too large"),
        ("a" * 2001, "2001 characters"),
        ("2 ** 9", "a value is needed"),
        ("é", "not part of the language"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        conditions.parse(text)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 < 'a'", "< compares two numbers or two texts, not the number 1 and the text 'a'"),
        ("fit.auc", "the condition is the number 0.9, which is neither true nor false"),
        ("'a' * 1000000000", "* takes numbers"),
        ("*".join(["9999999999"] * 20), "too large"),
        ("*".join(["1e300"] * 3) + " > 1", "too large"),
        ("len(3)", "len takes"),
        ("1 in 3", "not in the number 3"),
    ],
)
def test_what_has_no_meaning_is_said(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        condition_values.holds(conditions.parse(text), _look_up)
    assert message in str(refused.value)
