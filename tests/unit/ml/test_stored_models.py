"""Models that an earlier release has stored load and say what they said then.

`stored_models.zip` was made by the code of 2026-11-21, before its modules moved: a table, a model for each way of
training and for each step of a recipe that is stored as a class of ours, a feature set, and what they said of the
table. It is never made anew; what a later release stores differently is added to it, with a `table` of its own where
it needs one: `exact-integers` and `dates-of-texts` on 2026-11-30, the two `onnx-…` on 2026-12-01.
"""

import json
import pathlib
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared.ml import artifact_types, frames, inference
from workers.processing import feature_set

ARCHIVE = pathlib.Path(__file__).parent / "stored_models.zip"
with zipfile.ZipFile(ARCHIVE) as _archive:
    STORED: dict[str, Any] = json.loads(_archive.read("stored.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Unpack everything that was stored into a folder."""
    unpacked = tmp_path_factory.mktemp("stored")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(unpacked)
    return unpacked


@pytest.mark.parametrize("name", STORED)
def test_a_stored_model_says_what_it_said(folder: pathlib.Path, name: str) -> None:
    stored = STORED[name]
    model = inference.Model(
        folder / f"{name}.skops", sha256=stored["sha256"], signature=stored["signature"], problem=stored["problem"]
    )
    said = model.predict(frames.read_frame(folder / stored.get("table", "table.parquet")))
    for field, expected in stored["answers"].items():
        assert_same(np.asarray(getattr(said, field)), np.asarray(expected), what=f"{name}: {field}")


def assert_same(said: np.ndarray, expected: np.ndarray, *, what: str) -> None:
    """Compare answers: classes exactly, numbers but for the last digits, in which processors differ."""
    if np.issubdtype(expected.dtype, np.floating):
        np.testing.assert_allclose(said, expected, rtol=1e-9, atol=1e-12, err_msg=what)
    else:
        np.testing.assert_array_equal(said, expected, err_msg=what)


def test_a_stored_feature_set_makes_what_it_made(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    sha256 = json.loads((folder / "features.json").read_text())["sha256"]
    fitted = feature_set.FeatureSet.load(folder / "features.skops", sha256=sha256)
    fitted.transform(
        folder / "table.parquet", output_path=tmp_path / "out", batch_rows=None, progress=lambda _done, _what: None
    )
    made, expected = parquet.read_table(tmp_path / "out"), parquet.read_table(folder / "features.parquet")
    assert made.column_names == expected.column_names
    assert made.cast(expected.schema).equals(expected, check_metadata=False)
    assert isinstance(made, pa.Table)


def test_every_class_of_ours_that_may_be_stored_is_in_the_archive() -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        stored = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".skops")).decode(
            "latin-1"
        )
    ours = [path for path in artifact_types.OWN["ObjectNode"] if path.startswith("shared.")]
    classes = [path.rpartition(".") for path in ours]
    lacking = [f"{module}.{name}" for module, _, name in classes if f'"{name}","__module__":"{module}"' not in stored]
    assert lacking == []
