"""Excel's first line, such as `sep=;`, which declares the delimiter and is not a header."""

import dataclasses
import re
from pathlib import Path

HINT = re.compile(rb'("?)sep=([^"\r\n])\1(\r\n|\r|\n)', re.IGNORECASE)
MAX_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Hint:
    """What the first line declares, if it is one of Excel's."""

    delimiter: str | None
    """The delimiter of the line, or else the declared one."""
    bytes: int = 0
    """Bytes of the line, 0 when there is none."""
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def lines(self) -> int:
        """Lines to skip."""
        return 1 if self.bytes else 0


def read(path: Path, *, skip_bytes: int, declared: str | None) -> Hint:
    """Read the first line; one with another delimiter than the declared one is a header, not a hint."""
    with path.open("rb") as file:
        file.seek(skip_bytes)
        match = HINT.match(file.read(MAX_BYTES))
    if match is None:
        return Hint(declared)
    delimiter = match.group(2).decode("latin-1")
    if declared not in (None, delimiter):
        return Hint(declared)
    notes = (
        [f"The delimiter is {delimiter!r} according to the first line, 'sep={delimiter}'."] if declared is None else []
    )
    return Hint(delimiter, match.end(), notes)
