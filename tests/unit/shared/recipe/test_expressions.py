"""Expressions are held against our own list before anything is done with them."""

import ast

import pydantic
import pytest

from shared.recipe import expressions, functions, kinds
from shared.recipe.tables import Filter

TYPES = {"a": "number", "n": "integer", "flag": "boolean", "town": "string", "seen": "timestamp", "col d": "date"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__import__('os').system('touch canary')", "no function"),
        ("a.__class__.__mro__", "a dot (attribute) is not part"),
        ("().__class__", "a dot (attribute) is not part"),
        ("a[0]", "an index in brackets"),
        ("lambda: a", "a lambda"),
        ("[x for x in town]", "a list comprehension"),
        ("{1: 2}", "a dictionary"),
        ("{1}", "a set"),
        ("f'{a}'", "an f-string"),
        ("(yield)", "`yield`"),
        ("await a", "`await`"),
        ("(a := 1)", "`:=`"),
        ("a if flag else 0", "use where(…)"),
        ("*a", "can't be read"),
        ("import os", "can't be read"),
        ("a; a", "can't be read"),
        ("a\n+ 1", "can't be read"),
        ("", "can't be read"),
        ("   ", "can't be read"),
        ("a +", "can't be read"),
        ("eval('1')", "no function 'eval'"),
        ("open('/etc/passwd')", "no function 'open'"),
        ("a(1)", "no function 'a'"),
        ("lower()", "lower takes 1 arguments, not 0"),
        ("lower(town, town)", "lower takes 1 arguments, not 2"),
        ("round(a, digits=2)", "without names or stars"),
        ("concat(*town)", "without names or stars"),
        ("round(a, n)", "literal"),
        ("round(a, 'x')", "literal whole number"),
        ("replace(town, town, 'x')", "literal"),
        ("col(town)", "literal"),
        ("col('')", "1 to 500 characters"),
        ("a ** n", "** needs a literal number"),
        ("a ** 11", "** needs a literal number from -10 to 10"),
        ("9 ** 9 ** 9", "** needs a literal number"),
        ("a << 2", "<< is not part"),
        ("a @ a", "@ is not part"),
        ("~n", "use `not`"),
        ("a is None", "`is` is not part"),
        ("town in town", "`in` needs a list of literals"),
        ("town in []", "`in` needs a list of literals"),
        ("town in ['x', town]", "literal"),
        ("[1, 2]", "a list is allowed only to the right of `in`"),
        ("1 < n in [2]", "can't be part of a chain"),
        ("1j", "neither a number"),
        ("b'x'", "neither a number"),
        ("...", "neither a number"),
        ("1e999", "too large"),
        ("9223372036854775809", "no column of integers can hold"),
        ("'x\\n'", "no backslashes"),
        ("a\0", "no backslashes"),
        ("ﬁ + 1", "with its exact characters"),
        ("'" + "x" * 501 + "'", "at most 500"),
        ("a in [" + "1," * 201 + "]", "at most 200"),
        ("(" * 150 + "a" + ")" * 150 + "+ 0" * 200, "too large"),
        ("(" * 300, "can't be read"),
        ("-" * 1500 + "1", "too large"),
        ("not " * 450 + "flag", "too large"),
        ("abs" + "()" * 900, "too large"),
        ("a" + " + a" * 300, "too large"),
        ("a" * 2001, "at most 2000"),
    ],
)
def test_what_is_not_on_the_list_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is looked at below.
        expressions.parse(text)
    assert said in str(caught.value)
    with pytest.raises(pydantic.ValidationError):
        Filter(op="filter", where=text)


def test_a_zone_that_is_not_known_is_refused_with_the_recipe() -> None:
    for zone in ("Mars/Olympus", "localtime"):
        with pytest.raises(pydantic.ValidationError, match=f"there is no time zone '{zone}'"):
            Filter(op="filter", where=f"hour(seen, '{zone}') > 3")
    Filter(op="filter", where="hour(seen, 'Europe/Berlin') > 3")


@pytest.mark.parametrize(
    "text",
    [
        "a",
        'col("col d") > time("2026-01-01")',
        "a + 1 - n * 2 / 3 // 4 % 5 ** -2",
        "not flag and (a > 1 or town in ('x', 'y')) or n not in [1, -2]",
        "0 < a <= n != 7",
        "where(is_null(town), 'none', lower(town))",
        "round(a, -2)",
    ],
)
def test_the_language_itself_is_taken(text: str) -> None:
    assert isinstance(expressions.parse(text), ast.expr)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a + n", "number"),
        ("a > 1", "boolean"),
        ("flag", "boolean"),
        ("upper(town)", "text"),
        ("where(flag, seen, None)", "time"),
        ('coalesce(None, col("col d"))', "time"),
        ("None", "null"),
        ("hour(seen, 'Europe/Berlin')", "number"),
        ("days_between(seen, time('2026-01-01'))", "number"),
        ("-n", "number"),
    ],
)
def test_kinds_follow_from_the_columns_types(text: str, kind: str) -> None:
    assert kinds.kind_of(expressions.parse(text), types=TYPES) == kind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("town + 1", "arithmetic needs a number, but 'town' is a text"),
        ("'ab' * 1000", "arithmetic needs a number, but \"'ab'\" is a text"),
        ("flag + flag", "arithmetic needs a number"),
        ("a and flag", "and, or and not needs a boolean, but 'a' is a number"),
        ("a == town", "a number can't be compared with a text"),
        ("seen > '2026-01-01'", 'write a time as time("2026-01-31")'),
        ("a == None", "use is_null"),
        ("n in ['x']", "a number can't be compared with a text"),
        ("flag < True", "booleans have no order"),
        ("lower(a)", "lower needs a text as argument 1, not a number"),
        ("where(flag, a, town)", "where needs values of one kind"),
        ("coalesce(None, None)", "only None to choose from"),
        ("hour(town)", "hour needs a time as argument 1, not a text"),
        ("abs('x' < 'y')", "abs needs a number"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is looked at below.
        kinds.kind_of(expressions.parse(text), types=TYPES)
    assert said in str(caught.value)


def test_the_columns_that_are_read_are_known() -> None:
    tree = expressions.parse("where(a > 1, lower(town), col('col d x')) == 'abs' and abs in [1] or a < 2")
    assert set(expressions.columns_of(tree)) == {"a", "town", "col d x", "abs"}


def test_every_function_says_what_it_does_and_literals_come_last() -> None:
    for name, known in functions.FUNCTIONS.items():
        assert known.about, name
        assert all(place < len(known.takes) for place in known.literals)
