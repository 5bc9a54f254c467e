"""A table loaded as a worker would, from bytes that a test writes down."""

import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from shared.ingestion.contract import Format, LoadDataset, UploadSource
from shared.ingestion.reading import CsvOptions
from workers.ingestion.limits import Limits
from workers.ingestion.load import LoadedTable, load_table


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What a load answered, and the rows that it stored."""

    result: LoadedTable
    table: pa.Table

    @property
    def types(self) -> dict[str, str]:
        """Each column's type."""
        return {column.name: column.type for column in self.result.columns}

    @property
    def values(self) -> dict[str, list[Any]]:
        """Each column's values."""
        return self.table.to_pydict()  # type: ignore[no-any-return]

    @property
    def profile(self) -> dict[str, dict[str, Any]]:
        """Each column's profile."""
        return {document["name"]: document for document in self.result.profile}

    @property
    def notes(self) -> str:
        """All notes in one text."""
        return "\n".join(self.result.notes)


Load = Callable[..., Loaded]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load data in a folder of the test's own."""

    def run(
        data: bytes | str,
        form: Format = "csv",
        *,
        packed: bool = False,
        types: dict[str, Any] | None = None,
        limits: Limits | None = None,
        **csv: Any,
    ) -> Loaded:
        raw = data.encode() if isinstance(data, str) else data
        source, scratch, target = tmp_path / "source", tmp_path / "scratch", tmp_path / "target"
        source.write_bytes(gzip.compress(raw) if packed else raw)
        scratch.mkdir(exist_ok=True)
        options = LoadDataset(
            name="table",
            source=UploadSource(type="upload", upload="0" * 26),
            format=form,
            compression="gzip" if packed else "none",
            types=types or {},
            csv=CsvOptions(**csv),
        )
        result = load_table(source, target=target, options=options, scratch=scratch, limits=limits)
        return Loaded(result, parquet.read_table(target))

    return run
