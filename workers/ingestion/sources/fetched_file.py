"""The result of fetching from a source: a file in the scratch folder, and what is known about it."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

from shared.ingestion import sources


@dataclasses.dataclass(frozen=True)
class WatermarkFilter:
    """The watermark of a load: rows below its value are not fetched."""

    column: str
    """The column whose values grow."""
    value: int | float | str | datetime.date | datetime.datetime | None
    """From which value on rows are fetched; None when the dataset has none yet, and all rows are."""


@dataclasses.dataclass(frozen=True)
class DatabaseSelection:
    """What a database that compares with the watermark in its own order says of its rows."""

    greatest: str | None = None
    """The greatest value that was fetched in the database's order, where this is a text."""
    below: int | None = 0
    """How many rows are below the watermark; None when counting them took too long."""
    missing: int = 0
    """How many rows have no value in the watermark's column."""
    is_filtered: bool = True
    """Whether these rows were left out."""

    @property
    def left_out(self) -> int:
        """How many rows were left out, as far as they were counted."""
        return (self.below or 0) + self.missing if self.is_filtered else 0


@dataclasses.dataclass(frozen=True)
class FetchedFile:
    """A file that was fetched from a source."""

    path: Path
    format: sources.Format | None
    """The format of its bytes; None when the source declares none."""
    compression: sources.Compression
    lineage: dict[str, Any]
    """Where it came from, without secrets: the source's type, its address or query, bytes and sha256."""
    notes: list[str] = dataclasses.field(default_factory=list)
    """What was noticed while fetching, each in a sentence."""
    csv: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Options of a CSV file that we wrote ourselves, such as `delimiter`; they override the command's."""
    charset: str | None = None
    """The encoding of its text, where the source declares one; the command's overrides it."""
    rows: int | None = None
    """How many rows it has, where that is known; 0 when a query returned none."""
    selection: DatabaseSelection | None = None
    """What the database did with the watermark; None for a source that fetches all rows."""
