"""Tables and models for the tests of shared/ml and of the roles that use models."""

import dataclasses
import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import pipeline

from shared import contract, digests
from shared.ml import artifacts, frames, signatures, targets
from shared.ml.metrics import measuring
from shared.ml.recipes import compiling
from shared.recipe.language import Recipe

DATA = Path(os.environ.get("MILLRACE_TEST_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))


@dataclasses.dataclass(frozen=True)
class Stored:
    """A model as a worker finds it."""

    path: Path
    sha256: str
    signature: signatures.Signature
    problem: measuring.Problem


def columns(**types: contract.ColumnType) -> list[contract.Column]:
    """Make columns from their types by name."""
    return [contract.Column(name=name, type=kind) for name, kind in types.items()]


def write(path: Path, types: dict[str, contract.ColumnType], **values: Sequence[Any]) -> Path:
    """Write lists as a Parquet file, with the types that a stored dataset has."""
    arrays = {name: pa.array(values[name], type=frames.PHYSICAL_TYPES[kind]) for name, kind in types.items()}
    parquet.write_table(pa.table(arrays), path)
    return path


def mixed(path: Path, *, rows: int = 80) -> Path:
    """Write a table with a column of every type, some values missing, and two targets."""
    days = [datetime.date(2026, 1, 1) + datetime.timedelta(days=row % 60) for row in range(rows)]
    return write(
        path,
        {
            "age": "integer",
            "weight": "number",
            "member": "boolean",
            "town": "string",
            "joined": "date",
            "seen": "timestamp",
            "bought": "string",
            "spent": "number",
        },
        age=[None if row % 9 == 4 else 20 + row % 50 for row in range(rows)],
        weight=[None if row % 7 == 3 else 50.0 + (row * 37 % 41) / 2 for row in range(rows)],
        member=[None if row % 11 == 5 else row % 3 == 0 for row in range(rows)],
        town=[None if row % 13 == 6 else ("Oslo", "Bergen", "Bodø")[row % 3] for row in range(rows)],
        joined=[None if row % 10 == 2 else day for row, day in enumerate(days)],
        seen=[datetime.datetime(2026, 5, 1, row % 24, 30, tzinfo=datetime.UTC) for row in range(rows)],
        bought=["yes" if (row * 37 % 41) > 20 else "no" for row in range(rows)],
        spent=[1.0 + row * 37 % 41 for row in range(rows)],
    )


def telco(path: Path) -> Path:
    """Write Telco churn as ingestion stores it, its blank total charges missing; skip where the data is absent."""
    source = DATA / "telco_churn.csv"
    if not source.exists():
        pytest.skip(f"{source} is absent; set MILLRACE_TEST_DATA to the folder of the real data sets")
    frame = pd.read_csv(source, na_values=[" "], keep_default_na=False)
    frame.to_parquet(path, index=False)
    return path


def fit(
    dataset: Path,
    folder: Path,
    estimator: Any,
    *,
    target: str,
    problem: measuring.Problem = "classification",
    wanted: Recipe | None = None,
    without: tuple[str, ...] = (),
) -> Stored:
    """Fit and store a model the way that training does, with the inferred recipe when none is given."""
    [truth] = [column for column in frames.read_columns(dataset) if column.name == target]
    given = [column for column in frames.read_columns(dataset) if column.name not in (target, *without)]
    values, known = targets.read_target(dataset, target=target, problem=problem)
    frame = frames.read_frame(dataset, columns=[column.name for column in given])[known]
    wanted = wanted or compiling.infer_recipe(frame, columns=given, target=None).recipe
    used = compiling.list_used_columns(wanted, columns=given)
    model = pipeline.Pipeline(
        [("recipe", compiling.compile_recipe(wanted, columns=given, numbers_only=True)), ("estimator", estimator)]
    )
    model.fit(frame[[column.name for column in used]], values)
    classes = targets.to_json(model.classes_) if problem == "classification" else None
    artifacts.save(model, folder / "model.skops")
    return Stored(
        path=folder / "model.skops",
        sha256=digests.of_file(folder / "model.skops"),
        signature=signatures.make_signature(frame, columns=used, target=truth, problem=problem, classes=classes),
        problem=problem,
    )
