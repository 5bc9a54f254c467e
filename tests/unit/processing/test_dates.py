"""Texts that are no dates are counted once for each row, however often and in whichever batches they are read."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import digests
from shared.ml import frames
from shared.recipe.language import Recipe
from workers.processing import apply, fit

PARSE = {"op": "parse_dates", "columns": ["seen"], "format": "dd.mm.yyyy", "on_error": "null"}
LOST = (
    "Column 'seen' holds values that are no dates written like '%d.%m.%Y', such as 'soon' in row 2: 3 became missing."
)


def write(path: Path) -> Path:
    """Write a table in which three texts are no dates."""
    seen = ["5.2.2024", "soon", "31.2.2024", None, "29.02.2024", "later"]
    parquet.write_table(pa.table({"seen": seen, "amount": [1, 2, 3, 4, 5, 6], "kind": ["a", "b"] * 3}), path)
    return path


@pytest.mark.parametrize(
    ("rest", "target"),
    [
        ([], None),
        ([{"op": "date_parts", "columns": ["seen"], "parts": ["week"]}], None),
        ([{"op": "lag", "columns": ["amount"], "order": "seen"}], None),
        ([{"op": "target_encode", "columns": ["amount"], "folds": 2}], "kind"),
    ],
)
def test_a_note_counts_what_became_missing(tmp_path: Path, rest: list[dict[str, Any]], target: str | None) -> None:
    dataset = write(tmp_path / "d.parquet")
    fitted = fit.fit_features(
        dataset,
        recipe=Recipe.model_validate_json(json.dumps({"steps": [PARSE, *rest]})),
        columns=frames.read_columns(dataset),
        target=target,
        transformer_path=tmp_path / "t.skops",
        output_path=tmp_path / "out.parquet",
        batch_rows=2,
    )
    assert [note for note in fitted.notes if "became missing" in note] == [LOST]
    applied = apply.apply_features(
        dataset,
        transformer=tmp_path / "t.skops",
        sha256=digests.of_file(tmp_path / "t.skops"),
        output_path=tmp_path / "again.parquet",
        batch_rows=2,
    )
    assert [note for note in applied.notes if "became missing" in note] == [LOST]
    if target is None:
        assert parquet.read_table(tmp_path / "again.parquet").equals(parquet.read_table(tmp_path / "out.parquet"))
