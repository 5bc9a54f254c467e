"""Tables of identifiers beyond 2^53, which float64 merges, and what is right for them, told by duckdb."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from shared import digests
from shared.ml import frames
from shared.recipe.language import Recipe
from tests.unit.ml import tables
from workers.processing import apply, fit

ALIKE = [
    [1790000000000000001, 1790000000000000002],
    [2**53, 2**53 + 1, 2**53 + 2],
    [-(2**63), -(2**63) + 1, 2**63 - 2, 2**63 - 1],
    [7, 8, 2**60 + 1, 2**60 + 2],
]
SIXTY = 2**60 + 1
ROWS = 24


def select(query: str, given: pa.Table) -> list[Any]:
    """Ask duckdb of the table, whose rows have their numbers as `n`."""
    with duckdb.connect() as connection:
        connection.register("given", given)
        numbered = "SELECT *, row_number() OVER () AS n FROM given"
        return connection.execute(f"WITH numbered AS ({numbered}) {query} ORDER BY n").fetchall()


def make(folder: Path, ids: list[int], *, rows: int = ROWS, gaps: bool = True) -> pa.Table:
    """Write a table of identifiers, each with a time of its own and a value."""
    random = np.random.default_rng(0)
    chosen = [ids[index] for index in random.integers(0, len(ids), rows)]
    if gaps:
        chosen[3::7] = [None] * len(chosen[3::7])
    tables.write(
        folder / "d.parquet",
        {"id": "integer", "t": "integer", "v": "number", "y": "number"},
        id=chosen,
        t=random.permutation(rows).tolist(),
        v=random.integers(0, 50, rows).astype(float).tolist(),
        y=[float(index % 3) for index in range(rows)],
    )
    return parquet.read_table(folder / "d.parquet")


def run(folder: Path, *steps: dict[str, Any], target: str | None = None, **given: Any) -> pa.Table:
    """Fit the steps, apply them in small batches too, and return what fitting has made, which must be the same."""
    dataset = folder / "d.parquet"
    made = fit.fit_features(
        dataset,
        recipe=Recipe.model_validate_json(json.dumps({"steps": steps})),
        columns=frames.read_columns(dataset),
        transformer_path=folder / "t.skops",
        output_path=folder / "out.parquet",
        target=target,
        **given,
    )
    rounded = [note for note in made.notes if "2^53" in note]
    assert rounded == [], f"{rounded}"
    table = parquet.read_table(folder / "out.parquet")
    if target is None:
        for batch_rows in (None, 1, 7):
            assert apply_to(folder, dataset, batch_rows=batch_rows).equals(table)
    return table


def apply_to(folder: Path, dataset: Path, **given: Any) -> pa.Table:
    """Apply the stored feature set."""
    sha256, output = digests.of_file(folder / "t.skops"), folder / "applied.parquet"
    apply.apply_features(dataset, transformer=folder / "t.skops", sha256=sha256, output_path=output, **given)
    return parquet.read_table(output)
