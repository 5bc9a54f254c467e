"""The rules for column names, whatever the format of the table."""

import collections
from collections.abc import Collection, Iterable

from shared import errors, storable
from shared.ml import frames
from workers.ingestion.limits import Limits

MAX_SHOWN = 5


def resolve_names(
    header: list[str], *, limits: Limits, kept: Collection[int] | None = None
) -> tuple[list[str], list[str]]:
    """Replace blank names with `column_<position>`, refuse duplicates, and return the names and notes on changes.

    The notes tell of the columns at the positions `kept`, counted from 0, or of all.
    """
    limits.check_columns(len(header))
    readable = [name.replace("\0", storable.NUL_SYMBOL) for name in header]
    names = [name if name.strip() else f"column_{position}" for position, name in enumerate(readable, start=1)]
    for position, name in enumerate(names, start=1):
        if len(name) > limits.name_characters:
            raise errors.LimitExceededError(
                f"The name of column {position:,} has {len(name):,} characters, starting {name[:40]!r}; "
                f"at most {limits.name_characters} are allowed. Is the first row the header?"
            )
        if not name.isprintable() and any("\ud800" <= character <= "\udfff" for character in name):
            raise errors.BadDataError(
                f"The name of column {position:,} contains half of a surrogate pair, such as '\\ud800' alone, "
                "which is not a valid character."
            )
    _refuse_duplicates(names)
    blank = [
        name
        for position, (name, original) in enumerate(zip(names, readable, strict=True))
        if name != original and (kept is None or position in kept)
    ]
    notes = [f"Columns without a name in the header were named {_join_some(blank)}."] if blank else []
    replaced = [name for name, original in zip(readable, header, strict=True) if name != original]
    if replaced:
        notes.append(f"U+0000 in the names of columns was replaced by {storable.NUL_SYMBOL}: {_join_some(replaced)}.")
    return names, notes


def require_columns(required: Iterable[str], *, names: list[str], field: str) -> None:
    """Refuse columns that a field of the command names and the table does not have."""
    present = set(names)
    if absent := [name for name in required if name not in present]:
        problems = "; ".join(frames.describe_absent(name, present=names) for name in absent[:MAX_SHOWN])
        raise errors.BadDataError(f"`{field}` names columns that the table does not have: {problems}")


def _refuse_duplicates(names: list[str]) -> None:
    counts = collections.Counter(names)
    if len(counts) == len(names):
        return
    name = next(name for name in names if counts[name] > 1)
    positions = [position for position, candidate in enumerate(names, start=1) if candidate == name]
    raise errors.BadDataError(
        f"The header has the name {name!r} {counts[name]} times, in columns {_join_some(positions)}; "
        "every column needs a unique name."
    )


def _join_some(items: list[str] | list[int]) -> str:
    shown = ", ".join(str(item) for item in items[:MAX_SHOWN])
    return shown if len(items) <= MAX_SHOWN else f"{shown} and {len(items) - MAX_SHOWN:,} more"
