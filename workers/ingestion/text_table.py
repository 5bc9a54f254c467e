"""A table of which every value is still text: what the readers of CSV and JSON hand to the finding of types."""

import dataclasses
from collections.abc import Callable, Iterator

import pyarrow as pa

from shared import contract

FromText = tuple[contract.ColumnType, ...]
ANY_TYPE: FromText = ("boolean", "integer", "number", "date", "timestamp")


@dataclasses.dataclass(frozen=True)
class Texts:
    """Columns of text that can be read several times, in batches of a few megabytes, in the order of the rows."""

    names: list[str]
    """The columns' names."""
    batches: Callable[[], Iterator[tuple[float, pa.RecordBatch]]]
    """Reads from the start: how far it is (0 to 1), and columns of strings in the order of `names`."""
    candidates: list[FromText]
    """For each column, the types that its text may turn out to be, the strictest first."""
    missing: list[str]
    """Texts that mean a missing value, with no spaces at their ends; in the batches these are null."""
    notes: list[str]
    """What was detected or changed while reading."""
    place: Callable[[int], str]
    """Says where a row is (rows are counted from 1 after the header), such as `Row 3 (line 4)`."""
