"""References in a step's parameters: `${load.dataset}`, `${params.region}`, `${item.name}`, `${run.id}`, `${run.at}`.

A text that is one reference stands for its value, of whatever type; within a text the value is inserted as text. `$${`
is a plain `${`. `["…"]` takes a field whose name has other characters than letters, digits, '_' and '-', and `[0]` an
item of a list.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from shared.orchestration.language.located import Path

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
BODY = re.compile(rf'(?P<head>{_NAME})(?P<parts>(?:\.{_NAME}|\[[0-9]{{1,6}}\]|\["[^"\]]{{1,200}}"\])*)')
_PART = re.compile(rf'\.({_NAME})|\[([0-9]+)\]|\["([^"]+)"\]')
_MAX_PARTS = 20
STATE = "state"
ERROR = "error"
ABOUT_THE_STEP = frozenset({STATE, ERROR})
"""What `step.…` says of the step itself, whether or not it has a result."""
OF_THE_RUN = ("id", "at")


@dataclasses.dataclass(frozen=True)
class Reference:
    """A reference: where it begins (a step, `params`, `item`, `run`), and the way from there."""

    head: str
    parts: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        """Write it as in a pipeline, without `${` and `}`."""
        return self.head + "".join(map(_write_part, self.parts))

    @property
    def step(self) -> str | None:
        """The step it refers to; None when it refers to none."""
        return None if self.head in ("params", "item", "run") else self.head

    @property
    def takes_result(self) -> bool:
        """Whether it takes something from a step's result, and not only the step's state or error."""
        return self.step is not None and not (self.parts and self.parts[0] in ABOUT_THE_STEP)


def _write_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if re.fullmatch(_NAME, part) else f'["{part}"]'


def read(text: str) -> Reference:
    """Read a reference without its `${` and `}`; ValueError, with what would be right, for what is none."""
    match = BODY.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"${{{text[:100]}}} is not a reference; write ${{step.field}}, ${{params.name}}, ${{item}}, ${{run.id}} or "
            "${run.at}, and $${ for a plain ${"
        )
    parts = tuple(int(index) if index else name or quoted for name, index, quoted in _PART.findall(match["parts"]))
    if len(parts) > _MAX_PARTS:
        raise ValueError(f"${{{text[:100]}}} has {len(parts)} parts; at most {_MAX_PARTS} are followed")
    return Reference(match["head"], parts)


def split(text: str) -> list[str | Reference]:
    """Split a text into plain pieces and references; ValueError for a reference that can't be read."""
    pieces: list[str | Reference] = []
    plain, at = "", 0
    while (found := text.find("${", at)) >= 0:
        if found > at and text[found - 1] == "$":
            plain += text[at : found - 1] + "${"
            at = found + 2
            continue
        end = text.find("}", found)
        if end < 0:
            raise ValueError(f"{text[found : found + 40]!r} has no end; write }} after it, or $${{ for a plain ${{")
        plain += text[at:found]
        pieces += [plain] if plain else []
        pieces.append(read(text[found + 2 : end]))
        plain, at = "", end + 1
    plain += text[at:]
    return [*pieces, plain] if plain or not pieces else pieces


def read_whole(text: str) -> Reference | None:
    """Read a text that is one reference and nothing else; None for all other texts."""
    if not (text.startswith("${") and text.endswith("}")):
        return None
    pieces = split(text)
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], Reference) else None


def list_texts(value: Any, *, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """List the texts of a document that have a `${`, each with its path; the names of fields are no such texts."""
    pending: list[tuple[Path, Any]] = [(path, value)]
    while pending:
        at, found = pending.pop()
        if isinstance(found, str):
            if "${" in found:
                yield at, found
        elif isinstance(found, dict):
            pending += [((*at, name), member) for name, member in reversed(found.items())]
        elif isinstance(found, list):
            pending += [((*at, index), found[index]) for index in reversed(range(len(found)))]
