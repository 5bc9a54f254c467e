"""A signature is JSON, and new data is held against it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared import contract, errors
from shared.ml import frames, signatures
from tests.unit.ml import tables


def signature_of(path: Path) -> signatures.Signature:
    """Describe the mixed table, with `bought` as the target."""
    types = frames.read_columns(path)
    [target] = [column for column in types if column.name == "bought"]
    made = signatures.make_signature(
        frames.read_frame(path), columns=types, target=target, problem="classification", classes=["no", "yes"]
    )
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    return made


def test_a_signature_tells_types_categories_and_what_may_be_missing(tmp_path: Path) -> None:
    made = signature_of(tables.mixed(tmp_path / "d.parquet"))
    assert made["target"] == {"name": "bought", "type": "string"}
    assert made["classes"] == ["no", "yes"]
    assert signatures.list_columns(made) == ["age", "weight", "member", "town", "joined", "seen", "spent"]
    assert signatures.list_categories(made) == {"town": ["Bergen", "Bodø", "Oslo"]}
    assert signatures.list_never_missing(made) == ["seen", "spent"]


def test_categories_are_left_out_when_there_are_many() -> None:
    frame = pd.DataFrame({"x": [f"v{n}" for n in range(101)]}, dtype=object)
    target = contract.Column(name="y", type="number")
    made = signatures.make_signature(
        frame, columns=tables.columns(x="string"), target=target, problem="regression", classes=None
    )
    assert signatures.list_categories(made) == {}


def test_conforming_orders_columns_and_ignores_extra_ones(tmp_path: Path) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    frame, made = frames.read_frame(path), signature_of(path)
    turned = frame[list(reversed(frame.columns))].assign(extra=1.0)
    pd.testing.assert_frame_equal(signatures.conform(turned, signature=made), frame[signatures.list_columns(made)])


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    with pytest.raises(errors.BadDataError, match=r"missing: column 'age'.*; column 'town'"):
        signatures.conform(frames.read_frame(path).drop(columns=["age", "town"]), signature=signature_of(path))


def test_text_that_reads_as_numbers_becomes_numbers(tmp_path: Path) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    frame = frames.read_frame(path)
    frame["age"] = pd.Series(["41", " 7 ", np.nan] + ["1"] * 77, dtype=object)
    made = signatures.conform(frame, signature=signature_of(path))["age"]
    assert made.iloc[:2].tolist() == [41.0, 7.0]
    assert np.isnan(made.iloc[2])


@pytest.mark.parametrize("text", ["old", "inf", "1e999"])
def test_text_that_is_no_finite_number_is_refused_with_the_value(tmp_path: Path, text: str) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    frame = frames.read_frame(path)
    frame["age"] = pd.Series(["1", np.nan, text] + ["1"] * 77, dtype=object)
    with pytest.raises(
        errors.BadDataError, match=rf"column 'age' was of type integer.*holds the text '{text}' in row 3; every"
    ):
        signatures.conform(frame, signature=signature_of(path))


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        (
            "town",
            "age",
            "'town' was of type string in training, but holds numbers here, such as '20' in row 1; .* types {'town'",
        ),
        ("town", "seen", "'town' was of type string in training, but holds dates.* types {'town': 'string'}"),
        (
            "age",
            "seen",
            "'age' was of type integer in training, but holds dates here.*; every value must be a finite number",
        ),
        (
            "joined",
            "town",
            "'joined' was of type date in training, but holds text here, such as 'Oslo' in row 1; .*types {'joined'",
        ),
        (
            "seen",
            "age",
            "'seen' was of type timestamp in training, but holds numbers here, such as '20' in row 1; .*'2026-01-31T12",
        ),
        (
            "member",
            "town",
            "'member' was of type boolean in training, but holds the text 'Oslo' in row 1; .* be true, false, 1",
        ),
    ],
)
def test_another_type_is_refused_with_what_to_do(tmp_path: Path, name: str, source: str, message: str) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    frame = frames.read_frame(path)
    changed = frame.assign(**{name: frame[source]})
    with pytest.raises(errors.BadDataError, match=message):
        signatures.conform(changed, signature=signature_of(path))


@pytest.mark.parametrize("odd", [7.0, -1.0, 0.5])
def test_a_number_that_is_no_boolean_is_refused_where_one_is_wanted(tmp_path: Path, odd: float) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    frame = frames.read_frame(path)
    frame["member"] = [0.0, 1.0, np.nan, odd] * 20
    with pytest.raises(
        errors.BadDataError, match=f"'member' was of type boolean in training, but holds {odd:g} in row 4;"
    ):
        signatures.conform(frame, signature=signature_of(path))
    frame["member"] = [0.0, 1.0, np.nan, 1.0] * 20
    signatures.conform(frame, signature=signature_of(path))


def test_a_column_without_any_value_becomes_whatever_is_needed(tmp_path: Path) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    frame = frames.read_frame(path)
    empty = frame.assign(age=pd.Series([np.nan] * 80, dtype=object), town=np.nan, joined=np.nan)
    made = signatures.conform(empty, signature=signature_of(path))
    assert (made.dtypes == frame[made.columns].dtypes).all()
    assert made[["age", "town", "joined"]].isna().all().all()
