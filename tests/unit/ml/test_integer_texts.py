"""A batch of codes that holds digits only is read as the text that the model has, exactly and with a note."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet
from sklearn import linear_model

from shared import contract, errors
from shared.ml import frames, inference, integer_texts, signatures
from shared.recipe.language import Recipe
from tests.unit.ml import tables
from workers.evaluation import score
from workers.ingestion import values
from workers.prediction.batches import batch
from workers.processing import apply, fit

pytestmark = pytest.mark.slow
BIG = 2**53 + 1


@pytest.fixture
def trained(tmp_path: Path) -> tuple[tables.Stored, Path]:
    """Store a classifier whose `code` was 1, 2 or A in training, and whose labels are the texts 0 and 1."""
    codes = ["1", "2", "A"] * 20
    dataset = tables.write(
        tmp_path / "d",
        {"x": "number", "code": "string", "y": "string"},
        x=[float(row % 7) for row in range(60)],
        code=codes,
        y=["1" if code == "1" or row % 7 > 4 else "0" for row, code in enumerate(codes)],
    )
    return tables.fit(dataset, tmp_path, linear_model.LogisticRegression(), target="y"), dataset


def predict(stored: tables.Stored, dataset: Path) -> tuple[list[Any], list[str]]:
    """Predict a dataset, and return the probabilities and the warnings."""
    output = dataset.with_suffix(".predicted")
    found = batch.predict_batch(
        stored.path,
        sha256=stored.sha256,
        dataset=dataset,
        signature=stored.signature,
        problem=stored.problem,
        output_path=output,
    )
    return parquet.read_table(output)["probability_1"].to_pylist(), found.warnings


@pytest.mark.parametrize(
    ("codes", "arrow_type"),
    [
        ([1], pa.int64()),
        ([2, 1], pa.int64()),
        ([1, None], pa.int8()),
        ([1, 2, 1], pa.dictionary(pa.int8(), pa.int64())),
    ],
)
def test_a_batch_of_digits_is_predicted_as_its_texts(
    trained: tuple[tables.Stored, Path], tmp_path: Path, codes: list[int | None], arrow_type: pa.DataType
) -> None:
    stored, _ = trained
    numbers = pa.array([2.0] * len(codes))
    texts = pa.array([None if code is None else str(code) for code in codes], pa.string())
    plain = (
        pa.array(codes, arrow_type) if not pa.types.is_dictionary(arrow_type) else pa.array(codes).dictionary_encode()
    )
    parquet.write_table(pa.table({"x": numbers, "code": texts}), tmp_path / "texts")
    parquet.write_table(pa.table({"x": numbers, "code": plain}), tmp_path / "integers")
    expected, warnings = predict(stored, tmp_path / "texts")
    found, told = predict(stored, tmp_path / "integers")
    assert found == expected
    assert told[1:] == warnings
    assert told[0] == (
        f"Column 'code' holds whole numbers, but was text in training; each was read as its text, such as '{codes[0]}'."
    )


def test_an_evaluation_takes_features_and_truth_that_are_digits(
    trained: tuple[tables.Stored, Path], tmp_path: Path
) -> None:
    stored, dataset = trained
    table = parquet.read_table(dataset)
    digits = table.filter(pc.not_equal(table["code"], "A"))
    parquet.write_table(digits, tmp_path / "texts")
    for name in ("code", "y"):
        position = digits.schema.get_field_index(name)
        digits = digits.set_column(position, name, digits[name].cast(pa.int64()))
    parquet.write_table(digits, tmp_path / "integers")

    def evaluate(path: Path) -> score.Scores:
        return score.score_model(
            stored.path,
            sha256=stored.sha256,
            dataset=path,
            signature=stored.signature,
            target="y",
            problem=stored.problem,
        )

    expected, found = evaluate(tmp_path / "texts"), evaluate(tmp_path / "integers")
    assert found.metrics == expected.metrics
    assert [warning.split()[1] for warning in found.warnings] == ["'y'", "'code'"]
    assert expected.warnings == []


def test_a_feature_set_takes_digits_where_it_was_fitted_on_text(tmp_path: Path) -> None:
    types: dict[str, contract.ColumnType] = {"code": "string", "y": "string"}
    dataset = tables.write(tmp_path / "d", types, code=["1", "2", "A", "2"], y=["0", "1", "0", "z"])
    recipe = Recipe.model_validate({"steps": [{"op": "one_hot", "columns": ["code"]}]})
    fitted = fit.fit_features(
        dataset,
        recipe=recipe,
        columns=frames.read_columns(dataset),
        target="y",
        transformer_path=tmp_path / "t",
        output_path=tmp_path / "o",
    )

    def transform(path: Path) -> tuple[list[Any], list[str]]:
        applied = apply.apply_features(
            path, transformer=tmp_path / "t", sha256=fitted.transformer_sha256, output_path=tmp_path / "applied"
        )
        return parquet.read_table(tmp_path / "applied").to_pylist(), applied.notes

    expected, quiet = transform(tables.write(tmp_path / "s", types, code=["2", None], y=["1", "0"]))
    found, notes = transform(
        tables.write(tmp_path / "i", {"code": "integer", "y": "integer"}, code=[2, None], y=[1, 0])
    )
    assert found == expected
    assert quiet == []
    assert [note.split()[1] for note in notes] == ["'code'", "'y'"]


def test_integers_keep_every_digit_and_other_types_stay() -> None:
    converted = integer_texts.IntegerTexts(["a", "b"])
    table = pa.table({"a": [BIG, -7, None], "b": [1.0, 2.5, None], "c": [1, 2, 3]})
    assert converted.convert(table).to_pydict() == {
        "a": [str(BIG), "-7", None],
        "b": [1.0, 2.5, None],
        "c": [1, 2, 3],
    }
    assert len(converted.notes()) == 1


def test_values_in_memory_are_taken_as_strictly_as_before(trained: tuple[tables.Stored, Path]) -> None:
    stored, dataset = trained
    model = inference.Model(stored.path, sha256=stored.sha256, signature=stored.signature, problem=stored.problem)
    frame = frames.read_frame(dataset).assign(code=1.0)
    with pytest.raises(errors.BadDataError, match="'code' was of type string in training, but holds numbers"):
        model.predict(frame)
    assert signatures.has_text_labels(stored.signature)


@pytest.mark.parametrize("text", ["007", "+1", "1.0", "-0", "1e3", "1_000", "٣", str(2**63)])
def test_only_texts_in_plain_decimal_form_are_inferred_to_be_integers(text: str) -> None:
    assert values.convert_strictly(pa.array([text, "1"]), "integer") is None


@pytest.mark.parametrize("text", ["0", "-1", "10", str(2**63 - 1), str(-(2**63))])
def test_what_is_inferred_to_be_an_integer_has_that_very_text(text: str) -> None:
    integers = values.convert_strictly(pa.array([text]), "integer")
    assert integers is not None
    assert integer_texts.IntegerTexts(["a"]).convert(pa.table({"a": integers})).to_pydict() == {"a": [text]}
