"""What a source gives: a file in the scratch folder, and what is known of it."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

from shared.ingestion import sources


@dataclasses.dataclass(frozen=True)
class Watermark:
    """Up to where a dataset is loaded already."""

    column: str
    """The column that only grows."""
    value: int | float | str | datetime.date | datetime.datetime
    """Its greatest value so far."""


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A file that came from a source."""

    path: Path
    format: sources.Format | None
    """What its bytes are; None when the source doesn't tell."""
    compression: sources.Compression
    lineage: dict[str, Any]
    """Where it came from, without secrets: the source's type, its address or query, bytes and sha256."""
    notes: list[str] = dataclasses.field(default_factory=list)
    """What was noticed on the way, each in a sentence."""
    csv: dict[str, str] = dataclasses.field(default_factory=dict)
    """What is certain of a CSV file that we wrote ourselves (`delimiter`, `encoding`), whatever the command says."""
    charset: str | None = None
    """The encoding of its text, where the source says one; the command's own comes before it."""
    rows: int | None = None
    """How many rows it has, where that is known; 0 when a query found nothing."""
    is_filtered: bool = False
    """Whether rows at or below the watermark are left out already."""
