"""A dataset's versions made one after the other, as the jobs of a test would make them."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from shared.ingestion.contract import Incremental, LoadDataset
from shared.ml import frames
from shared.progress import no_progress
from workers.ingestion import assembly
from workers.ingestion.new_version import refine, watermarks
from workers.ingestion.sources.fetched_file import DatabaseSelection, FetchedFile, WatermarkFilter


@dataclasses.dataclass
class Dataset:
    """A dataset in a folder of the test's own; `latest` is its latest version's file."""

    folder: Path
    latest: Path | None = None
    version: int = 0
    last: assembly.Assembled | None = None
    is_of_query: bool = False
    """Whether the latest version's rows came from a query."""

    def load_query(
        self, fetch: Callable[[WatermarkFilter], FetchedFile], *, watermark: Any, **command: Any
    ) -> assembly.Assembled | None:
        """Load the next version from what a query gives from the watermark on."""
        incremental = Incremental.model_validate(watermark)
        start = self._find_start(incremental)
        fetched = fetch(WatermarkFilter(incremental.column, start.value if start else None))
        loaded = self.load(
            fetched.path.read_bytes(),
            database=fetched.selection,
            format="parquet",
            mode="append",
            watermark=watermark,
            **command,
        )
        self.is_of_query = True
        return loaded

    def load(
        self, data: str | bytes, *, database: DatabaseSelection | None = None, **command: Any
    ) -> assembly.Assembled | None:
        """Load the next version from bytes."""
        load_command = LoadDataset.model_validate(
            {"name": "d", "source": {"type": "upload", "upload": "0" * 26}, "format": "csv", **command}
        )
        folder = self.folder / f"{next(_counter)}"
        (folder / "scratch").mkdir(parents=True)
        source, target = folder / "source", folder / "target"
        source.write_bytes(data.encode() if isinstance(data, str) else data)
        extended = self.latest if load_command.mode == "append" else None
        assembled = assembly.assemble(
            source,
            files=refine.Files(
                loaded=folder / "scratch" / "read" if extended else target,
                previous=extended,
                latest=self.latest,
                target=target,
                quarantine=folder / "quarantine",
                scratch=folder / "scratch",
            ),
            command=load_command,
            previous=self._previous(load_command),
            threads=2,
            progress=no_progress,
            database=database,
        )
        if assembled is not None and assembled.table is not None:
            self.latest, self.version, self.last = target, self.version + 1, assembled
        return assembled

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the latest version."""
        assert self.latest is not None
        return table_of(self.latest).to_pylist()  # type: ignore[no-any-return]

    @property
    def kept_out(self) -> list[dict[str, Any]]:
        """The rows that the last load put into quarantine."""
        assert self.latest is not None
        return table_of(self.latest.with_name("quarantine")).to_pylist()  # type: ignore[no-any-return]

    @property
    def types(self) -> dict[str, str]:
        """The types of the latest version's columns."""
        assert self.last is not None
        assert self.last.table is not None
        return {column.name: column.type for column in self.last.table.columns}

    def _previous(self, load_command: LoadDataset) -> assembly.PreviousVersion | None:
        if self.latest is None:
            return None
        start = self._find_start(load_command.watermark) if load_command.watermark else None
        return assembly.PreviousVersion(self.version, frames.read_columns(self.latest), start)

    def _find_start(self, watermark: Incremental) -> watermarks.Start | None:
        if self.latest is None:
            return None
        columns = frames.read_columns(self.latest)
        return watermarks.find_start(self.latest, columns=columns, lineage=self.lineage, watermark=watermark)

    @property
    def lineage(self) -> dict[str, Any]:
        """What the latest version's lineage says of how its rows were chosen."""
        source = {"source": {"type": "sql" if self.is_of_query else "upload"}}
        return {} if self.last is None else {**source, **self.last.describe_selection()}


def table_of(path: Path) -> pa.Table:
    """Read a version's file."""
    return parquet.read_table(path)


_counter = itertools.count()
