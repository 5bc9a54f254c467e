"""A table whose values are all still text: what the readers of CSV and JSON pass to type inference."""

import dataclasses
from collections.abc import Callable, Iterator

import pyarrow as pa

from shared import contract

CandidateTypes = tuple[contract.ColumnType, ...]
ANY_TYPE: CandidateTypes = ("boolean", "integer", "number", "date", "timestamp")


@dataclasses.dataclass(frozen=True)
class TextTable:
    """Columns of text that can be read several times, in batches of a few megabytes, in the order of the rows."""

    names: list[str]
    """The columns' names."""
    batches: Callable[[], Iterator[tuple[float, pa.RecordBatch]]]
    """Reads from the start: the fraction read (0 to 1), and columns of strings in the order of `names`."""
    candidates: list[CandidateTypes]
    """For each column, the types that may be inferred from its text, the strictest first."""
    missing: list[str]
    """Texts that mean a missing value, without spaces at their ends; in the batches these are null."""
    notes: list[str]
    """What was detected or changed while reading."""
    locate_row: Callable[[int], str]
    """Names the place of a row (counted from 1 after the header), such as `Row 3 (line 4)`."""
