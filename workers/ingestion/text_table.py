"""A table whose values are all still text: what the readers of CSV and JSON pass to type inference."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from shared import contract
from workers.ingestion.styles.style import Style

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
    styles: Sequence[Style | None] = ()
    """For each column how its numbers or dates are written, None in the plain form; empty when all are plain."""

    def style(self, position: int) -> Style | None:
        """Return how a column is written; None when in the plain form."""
        return self.styles[position] if self.styles else None

    def select(self, positions: Sequence[int]) -> "TextTable":
        """Return the table with only these columns, by position, in this order."""
        if list(positions) == list(range(len(self.names))):
            return self
        return dataclasses.replace(
            self,
            names=[self.names[position] for position in positions],
            candidates=[self.candidates[position] for position in positions],
            batches=lambda: ((fraction, batch.select(list(positions))) for fraction, batch in self.batches()),
        )
