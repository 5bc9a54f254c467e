"""The result of fetching from a source: a file in the scratch folder, and what is known about it."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

from shared.ingestion import sources


@dataclasses.dataclass(frozen=True)
class WatermarkFilter:
    """The watermark of a dataset's latest version: rows at or below its value are not fetched."""

    column: str
    """The column whose values only grow."""
    value: int | float | str | datetime.date | datetime.datetime
    """The column's greatest value in the latest version."""


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
    csv: dict[str, str] = dataclasses.field(default_factory=dict)
    """Options of a CSV file that we wrote ourselves (`delimiter`, `encoding`); they override the command's."""
    charset: str | None = None
    """The encoding of its text, where the source declares one; the command's overrides it."""
    rows: int | None = None
    """How many rows it has, where that is known; 0 when a query returned none."""
    is_filtered: bool = False
    """Whether rows at or below the watermark have already been left out."""
