"""Excel's first line, such as `sep=;`, which says the delimiter and is no header."""

import dataclasses
import re
from pathlib import Path

HINT = re.compile(rb'("?)sep=([^"\r\n])\1(\r\n|\r|\n)', re.IGNORECASE)
MOST_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Hint:
    """What a first line says, if it is one of Excel's."""

    delimiter: str | None
    """The delimiter declared, or else that of the line."""
    bytes: int = 0
    """Bytes of the line, 0 when there is none."""
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def lines(self) -> int:
        """Lines to skip."""
        return 1 if self.bytes else 0


def read(path: Path, *, skip_bytes: int, declared: str | None) -> Hint:
    """Read the first line; one that says another delimiter than the declared one is no hint but a header."""
    with path.open("rb") as file:
        file.seek(skip_bytes)
        found = HINT.match(file.read(MOST_BYTES))
    if found is None:
        return Hint(declared)
    said = found.group(2).decode("latin-1")
    if declared not in (None, said):
        return Hint(declared)
    notes = [f"The delimiter is {said!r} by the file's first line, 'sep={said}'."] if declared is None else []
    return Hint(said, found.end(), notes)
