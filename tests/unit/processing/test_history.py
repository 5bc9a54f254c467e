"""Features of new rows with their history are those of one table, to the last bit, and never know the future."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from shared import contract, digests, errors
from shared.ml import frames
from shared.recipe.language import Recipe
from workers.processing import apply, feature_set, fit, history, reach

pytestmark = pytest.mark.slow

BIG = 2**53
DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
FUNCTIONS = ["mean", "sum", "min", "max", "std", "median", "count"]
LAG = {"op": "lag", "columns": ["x", "user", "word"], "by": ["user"], "order": "at", "lags": [1, 3]}
ROWS = {"op": "rolling", "columns": ["x"], "by": ["user"], "order": "at", "window": 4, "functions": FUNCTIONS}
DAYS = ROWS | {"window": 2, "unit": "days"}
RECIPES: dict[str, list[dict[str, Any]]] = {
    "lag": [LAG],
    "rows": [ROWS],
    "days": [DAYS],
    "hours of all": [ROWS | {"by": [], "window": 7200, "unit": "seconds"}],
    "by two": [ROWS | {"by": ["user", "word"]}],
    "by numbers": [ROWS | {"by": ["level"]}, {"op": "scale", "columns": ["x"]}],
    "in another order": [LAG | {"order": "turn"}],
    "differences": [
        {"op": "lag", "columns": ["x"], "by": ["user"], "order": "at"},
        {"op": "derive", "name": "change", "expression": "x - x_lag1"},
        {"op": "rolling", "columns": ["change"], "by": ["user"], "order": "at", "window": 3, "functions": FUNCTIONS},
    ],
    "days of days": [DAYS, DAYS | {"columns": ["x_sum_2d"], "by": ["word"], "functions": ["std"]}],
    "after a filter": [{"op": "filter", "where": "x > -0.5"}, ROWS, LAG],
    "before a filter": [ROWS, {"op": "filter", "where": "x_count_4 > 1"}, {"op": "impute", "columns": ["x_mean_4"]}],
    "of dates in text": [
        {"op": "parse_dates", "columns": ["day"], "format": "dd.mm.yyyy"},
        ROWS | {"order": "day"},
        {"op": "date_parts", "columns": ["day"], "parts": ["week"]},
        {"op": "one_hot", "columns": ["word"]},
    ],
    "of a renamed group": [{"op": "rename", "names": {"user": "who"}}, DAYS | {"by": ["who"]}],
}


def make_table(rows: int = 240, *, seed: int = 3) -> pa.Table:
    """Make a table in no order, with ties, with gaps, and with users that float64 would merge."""
    dice = np.random.default_rng(seed)
    hours = dice.integers(0, 240, rows)
    values = {
        "x": dice.normal(size=rows) * 10.0 ** dice.integers(-3, 12, rows),
        "word": dice.choice(["a", "b", "c"], rows).tolist(),
        "user": (BIG + dice.integers(0, 4, rows)).tolist(),
        "level": dice.choice([0.0, -0.0, 1.5], rows),
        "at": [DAY + datetime.timedelta(hours=int(hour)) for hour in hours],
        "turn": dice.integers(0, 60, rows).tolist(),
        "day": [f"{1 + hour // 24}.1.2026" for hour in hours],
        "id": list(range(rows)),
    }
    for place, name in enumerate(("x", "word", "user", "at")):
        values[name] = [None if row % 23 == place else value for row, value in enumerate(values[name])]
    types = {"at": frames.INSTANT, "user": pa.int64()}
    return pa.table({name: pa.array(value, type=types.get(name)) for name, value in values.items()})


class Kitchen:
    """A folder with a feature set, and what is made of tables by it."""

    def __init__(self, folder: Path) -> None:
        """Work in this folder."""
        self.folder = folder

    def fit(self, table: pa.Table, steps: list[dict[str, Any]]) -> pa.Table:
        """Fit a recipe on a table."""
        dataset = self.write(table, "fitted")
        fit.fit_features(
            dataset,
            recipe=Recipe.model_validate_json(json.dumps({"steps": steps})),
            columns=frames.read_columns(dataset),
            target=None,
            transformer_path=self.folder / "t.skops",
            output_path=self.folder / "out.parquet",
        )
        return parquet.read_table(self.folder / "out.parquet")

    def apply(self, table: pa.Table, past: pa.Table | None = None, *key: str) -> tuple[pa.Table, list[str]]:
        """Apply the feature set; return its table and its notes."""
        earlier = history.History(self.write(past, "past"), "past@1", key) if past is not None else None
        applied = apply.apply_features(
            self.write(table, "new"),
            transformer=self.folder / "t.skops",
            sha256=digests.of_file(self.folder / "t.skops"),
            output_path=self.folder / "applied.parquet",
            earlier=earlier,
        )
        return parquet.read_table(self.folder / "applied.parquet"), applied.notes

    def write(self, table: pa.Table, name: str) -> Path:
        """Write a table."""
        path = self.folder / f"{name}.parquet"
        parquet.write_table(table, path)
        return path


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def by_time(table: pa.Table, hours: int) -> tuple[pa.Table, pa.Table]:
    """Cut a table at a time; rows without a time are new ones."""
    moment = pa.scalar(DAY + datetime.timedelta(hours=hours), type=frames.INSTANT)
    is_old = pc.fill_null(pc.less(table["at"], moment), fill_value=False)
    return table.filter(is_old), table.filter(pc.invert(is_old))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("cut", ["by time", "in the middle", "few"])
def test_new_rows_have_the_features_of_one_table(kitchen: Kitchen, name: str, cut: str) -> None:
    table = make_table()
    kitchen.fit(make_table(90, seed=8), [*RECIPES[name]])
    cuts = {
        "by time": by_time(table, 160),
        "in the middle": (table[:150], table[150:]),
        "few": (table[:236], table[236:]),
    }
    past, new = cuts[cut]
    whole, _ = kitchen.apply(pa.concat_tables([past, new]))
    expected = whole.filter(pc.is_in(whole["id"], value_set=new["id"]))
    made, notes = kitchen.apply(new, past)
    assert made["id"].to_pylist() == expected["id"].to_pylist()
    assert made.equals(expected)
    if cut == "by time" and name in ("lag", "rows"):
        alone, _ = kitchen.apply(new)
        assert not alone.equals(expected)
        assert any("were put before the" in note for note in notes)


def test_the_data_that_was_fitted_on_is_a_history_of_itself_and_of_a_part_of_it(kitchen: Kitchen) -> None:
    table = make_table()
    fitted = kitchen.fit(table, [LAG, ROWS])
    made, notes = kitchen.apply(table, table)
    assert made.equals(fitted)
    left_out = "rows of the history past@1 were left out, because rows of the dataset are equal in every column."
    # The others have no time, and so are in nobody's past.
    assert f"229 {left_out}" in notes
    some = table.take(pa.array([5, 77, 78, 200, 239]))
    made, notes = kitchen.apply(some, table)
    # The past is in front, so rows of one time are in the order of the past first, as on one table in that order.
    order = [row for row in range(240) if row not in (5, 77, 78, 200, 239)] + [5, 77, 78, 200, 239]
    whole, _ = kitchen.apply(table.take(pa.array(order)))
    assert made.equals(whole[235:])
    assert f"5 {left_out}" in notes


def test_equal_rows_stand_for_one_another_once_each(kitchen: Kitchen) -> None:
    row = {"user": 1, "at": DAY, "x": 2.0, "id": 7}
    later = row | {"at": DAY + datetime.timedelta(days=1), "id": 9}
    past = pa.Table.from_pylist([row, row, row])
    kitchen.fit(past, [ROWS | {"functions": ["count"]}])
    made, notes = kitchen.apply(pa.Table.from_pylist([row, later]), past)
    assert made["x_count_4"].to_pylist() == [0.0, 3.0]
    assert any(note.startswith("1 rows of the history past@1 were left out") for note in notes)


def test_a_column_that_no_step_takes_tells_rows_apart(kitchen: Kitchen) -> None:
    past = pa.table({"user": [1, 1], "at": [1, 2], "x": [1.0, 2.0], "other": ["a", "b"]})
    kitchen.fit(past, [{"op": "select", "columns": ["user", "at", "x"]}, ROWS | {"functions": ["sum"]}])
    new = pa.table({"user": [1, 1], "at": [2, 3], "x": [2.0, 4.0], "other": ["c", "d"]})
    made, notes = kitchen.apply(new, past)
    assert made["x_sum_4"].to_pylist() == [1.0, 5.0]
    assert any("1 rows of the history past@1 have the group and the time of a row" in note for note in notes)
    assert any("`history_key`" in note for note in notes)
    made, _ = kitchen.apply(new.set_column(3, "other", pa.array(["b", "d"])), past)
    assert made["x_sum_4"].to_pylist() == [1.0, 3.0]


def test_a_key_says_which_rows_were_corrected(kitchen: Kitchen) -> None:
    past = pa.table({"user": [1, 1, 1], "at": [1, 2, 2], "x": [1.0, 2.0, 8.0], "id": [BIG, BIG + 1, None]})
    kitchen.fit(past, [ROWS | {"functions": ["sum"]}])
    new = pa.table({"user": [1, 1], "at": [2, 3], "x": [64.0, 4.0], "id": [BIG + 1, None]})
    made, notes = kitchen.apply(new, past, "id")
    assert made["x_sum_4"].to_pylist() == [1.0, 73.0]
    assert any("1 rows of the history past@1 were left out" in note and "equal in 'id'" in note for note in notes)


@pytest.mark.parametrize(
    "name", [name for name, steps in RECIPES.items() if all(step.get("order", "at") == "at" for step in steps)]
)
def test_rows_of_the_future_change_nothing(kitchen: Kitchen, name: str) -> None:
    table = make_table()
    past, later = by_time(table, 120)
    new, future = by_time(later, 180)
    kitchen.fit(make_table(90, seed=8), RECIPES[name])
    assert kitchen.apply(new, past)[0].equals(kitchen.apply(new, pa.concat_tables([future, past]))[0])


def test_only_groups_and_times_that_new_rows_need_are_held(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_table()
    past, new = by_time(table, 200)
    one = new.filter(pc.equal(new["user"], BIG + 2))
    kitchen.fit(table, [DAYS])
    expected, notes = kitchen.apply(one, past)
    cut = pc.and_(pc.equal(past["user"], BIG + 2), pc.greater_equal(past["at"], DAY + datetime.timedelta(hours=100)))
    assert kitchen.apply(one, past.filter(cut))[0].equals(expected)
    kept = int(next(note for note in notes if "were put before" in note).split()[0])
    assert 0 < kept < past.num_rows / 8
    monkeypatch.setattr(feature_set, "MAX_CELLS", (one.num_rows + kept) * len(table.column_names))
    assert kitchen.apply(one, past)[0].equals(expected)
    monkeypatch.setattr(feature_set, "MAX_CELLS", (one.num_rows + kept) * len(table.column_names) - 1)
    with pytest.raises(errors.LimitExceededError, match=r"with those of the history past@1.*or false for none"):
        kitchen.apply(one, past)


def test_what_steps_have_made_bounds_no_group_and_no_time() -> None:
    columns = [
        contract.Column(name="user", type="integer"),
        contract.Column(name="at", type="timestamp"),
        contract.Column(name="x", type="number"),
        contract.Column(name="text", type="string"),
    ]

    def find(*steps: dict[str, Any]) -> tuple[Any, ...]:
        found = reach.Reach.of(Recipe.model_validate_json(json.dumps({"steps": steps})), columns=columns)
        return found.by, found.order, found.microseconds

    def count(*steps: dict[str, Any]) -> tuple[Any, ...]:
        found = reach.Reach.of(Recipe.model_validate_json(json.dumps({"steps": steps})), columns=columns)
        return found.rows, found.blocks

    lag = {"op": "lag", "columns": ["x"], "by": ["user"], "order": "at"}
    days = {"op": "rolling", "columns": ["x"], "by": ["user"], "order": "at", "window": 2, "unit": "days"}
    assert find(lag) == (("user",), "at", None)
    assert find(days, days | {"columns": ["x_mean_2d"]}) == (("user",), "at", 4 * 86_400_000_000)
    assert find(days, days | {"by": [], "order": "at", "functions": ["sum"]}) == ((), "at", 4 * 86_400_000_000)
    assert find({"op": "parse_dates", "columns": ["text"], "format": "%d.%m.%Y"}, days | {"order": "text"})[1] is None
    assert find({"op": "rename", "names": {"user": "who"}}, days | {"by": ["who"]})[0] == ("user",)
    assert find({"op": "derive", "name": "user", "expression": "user % 10"}, lag)[0] == ()
    rows = days | {"window": 6, "unit": "rows"}
    assert count(lag | {"lags": [3, 7]}) == ((7,), 1)
    assert count(lag, rows, rows | {"window": 4, "functions": ["sum"]}) == ((4, 6, 1), 12)
    assert count(lag, {"op": "filter", "where": "x > 1"}, rows)[0] is None
    assert count(lag, days)[0] is None
    assert count(lag, rows | {"by": []})[0] is None
    assert count({"op": "derive", "name": "user", "expression": "user % 10"}, lag)[0] is None


def test_only_the_last_rows_of_a_group_are_held(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    past = pa.table({"at": [row // 3 for row in range(3000)], "x": [row**0.5 for row in range(3000)]})
    new = pa.table({"at": [1001, 1000, 5000], "x": [1.5, 2.5, 3.5]})
    lag = {"op": "lag", "columns": ["x"], "order": "at", "lags": [2, 5]}
    rolling = {"op": "rolling", "columns": ["x_lag2"], "order": "at", "window": 4, "functions": FUNCTIONS}
    kitchen.fit(past, [lag, rolling])
    whole, _ = kitchen.apply(pa.concat_tables([past, new]))
    monkeypatch.setattr(feature_set, "MAX_CELLS", 3003 * 2)
    made, notes = kitchen.apply(new, past)
    assert made.equals(whole[3000:])
    kept = int(next(note for note in notes if "were put before" in note).split()[0])
    # Four rows of the window, five of the lag, and what fills up times of three rows and blocks of four.
    assert 9 <= kept <= 9 + 2 + 2 + 3


def test_a_misfit_in_the_history_is_named_as_such(kitchen: Kitchen) -> None:
    table = make_table(40)
    kitchen.fit(table, RECIPES["of dates in text"])
    past = table.set_column(table.schema.get_field_index("day"), "day", pa.array(["1.1.2026"] * 30 + ["x"] * 10))
    with pytest.raises(errors.BadDataError, match="'day' holds 'x' in row 31 of the history"):
        kitchen.apply(table, past)
    with pytest.raises(errors.BadDataError, match="'user'"):
        kitchen.apply(table, table.drop_columns(["user"]))


@pytest.mark.parametrize("name", ["at", "user"])
@pytest.mark.parametrize("steps", [[LAG], [DAYS]])
def test_a_history_with_a_column_of_another_type_is_refused(
    kitchen: Kitchen, steps: list[dict[str, Any]], name: str
) -> None:
    table = make_table(40)
    kitchen.fit(table, steps)
    past = table.set_column(table.schema.get_field_index(name), name, pa.array(["x"] * 40))
    with pytest.raises(errors.BadDataError, match=rf"column '{name}'.*of the history"):
        kitchen.apply(table, past)


def test_codes_of_digits_are_read_as_text_in_the_history_too(kitchen: Kitchen) -> None:
    text = pa.table({"code": ["1", "2", "x"], "at": [1, 2, 3], "x": [1.0, 2.0, 3.0]})
    kitchen.fit(text, [{"op": "lag", "columns": ["x"], "by": ["code"], "order": "at"}])
    new = pa.table({"code": [1, 2], "at": [5, 6], "x": [7.0, 8.0]})
    assert kitchen.apply(new, text)[0]["x_lag1"].to_pylist() == [1.0, 2.0]
    assert kitchen.apply(text, new)[0]["x_lag1"].to_pylist() == [None, None, None]
