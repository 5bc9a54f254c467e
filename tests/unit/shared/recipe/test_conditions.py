"""A condition that doesn't fit the columns is refused by name, before any data is read."""

import pytest

from shared import contract, errors
from shared.recipe import conditions

COLUMNS = [
    contract.Column(name="region", type="string"),
    contract.Column(name="age", type="integer"),
    contract.Column(name="home town", type="string"),
    contract.Column(name="sold", type="boolean"),
    contract.Column(name="day", type="date"),
]


@pytest.mark.parametrize(
    "text",
    ['region == "north"', "sold", "not sold or age > 30", 'col("home town") in ["Oslo"]', 'day < time("2026-01-01")'],
)
def test_a_condition_on_columns_that_are_there_fits(text: str) -> None:
    conditions.check(text, columns=COLUMNS, pointer="#/params/where")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('regoin == "north"', "column 'regoin' .did you mean 'region'"),
        ("region == 3", "a text can't be compared with a number"),
        ("age + 1", "a condition is true or false, but this is a number"),
        ("None", "reads no column"),
        ("1 == 1", "reads no column"),
        ("lower(region)", "but this is a text"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(errors.BadDataError, match=told) as refused:
        conditions.check(text, columns=COLUMNS, pointer="#/params/where")
    assert refused.value.pointer == "#/params/where"
