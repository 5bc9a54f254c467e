"""The rules that names of columns must meet, whatever format they come in."""

import collections
from collections.abc import Iterable

from shared import errors
from shared.ml import frames
from workers.ingestion.limits import Limits

SHOWN = 5


def settle_names(given: list[str], *, limits: Limits) -> tuple[list[str], list[str]]:
    """Give each blank name the name `column_<position>`, refuse doubles, and note what was changed."""
    limits.check_columns(len(given))
    names = [name if name.strip() else f"column_{position}" for position, name in enumerate(given, start=1)]
    for position, name in enumerate(names, start=1):
        if len(name) > limits.name_characters:
            raise errors.LimitExceededError(
                f"The name of column {position:,} has {len(name):,} characters, starting {name[:40]!r}; "
                f"at most {limits.name_characters} are allowed. Is the first row the header?"
            )
        if not name.isprintable() and any("\ud800" <= character <= "\udfff" for character in name):
            raise errors.BadDataError(
                f"The name of column {position:,} holds half of a surrogate pair, such as '\\ud800' alone, "
                "which is no character."
            )
    _refuse_doubles(names)
    blank = [name for name, original in zip(names, given, strict=True) if name != original]
    notes = [f"Columns without a name in the header were named {_some(blank)}."] if blank else []
    return names, notes


def check_known(wanted: Iterable[str], *, names: list[str], field: str) -> None:
    """Refuse columns that a field of the command names and the table does not have."""
    present = set(names)
    if unknown := [name for name in wanted if name not in present]:
        problems = "; ".join(frames.describe_absent(name, present=names) for name in unknown[:SHOWN])
        raise errors.BadDataError(f"`{field}` names what the table does not have: {problems}")


def _refuse_doubles(names: list[str]) -> None:
    counts = collections.Counter(names)
    if len(counts) == len(names):
        return
    name = next(name for name in names if counts[name] > 1)
    positions = [position for position, other in enumerate(names, start=1) if other == name]
    raise errors.BadDataError(
        f"The header has the name {name!r} {counts[name]} times, in columns {_some(positions)}; "
        "every column needs a name of its own."
    )


def _some(items: list[str] | list[int]) -> str:
    shown = ", ".join(str(item) for item in items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN:,} more"
