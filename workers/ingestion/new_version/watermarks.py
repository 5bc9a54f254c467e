"""Where a load with a watermark goes on: at the greatest value that is loaded, less the lag.

docs/decisions/ingestion.md, "A watermark reads again what it can't be sure of"
"""

import dataclasses
import datetime
import decimal
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared import contract, errors
from shared.ingestion import lags
from shared.ingestion.contract import Incremental
from workers.ingestion import base

ISO_TEXT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:([T ])([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.([0-9]{1,6}))?)?)(.*))?"
)


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a load goes on in the column of its watermark."""

    greatest: Any
    """The greatest value of the latest version."""
    value: Any
    """The value from which rows are read again, the greatest or a lower one."""
    quarantined: int = 0
    """How many rows the load of the latest version put into quarantine."""
    quarantined_from: Any = None
    """The lowest watermark of these, if it is below the greatest."""

    @property
    def is_window(self) -> bool:
        """Whether rows below the greatest value are read again."""
        return bool(self.value != self.greatest)


def find_start(
    latest: Path, *, columns: list[contract.Column], lineage: Mapping[str, Any], watermark: Incremental
) -> Start | None:
    """Find where a load goes on after a version; None when no row of it has a value.

    BadDataError when the version lacks the column, or its type has no such lag.
    """
    known = lineage.get("watermark") or {}
    known = known if known.get("column") == watermark.column else {}
    types = {column.name: column.type for column in columns}
    column_type = types.get(watermark.column, "string")
    greatest = None
    if column_type == "string" and (lineage.get("source") or {}).get("type") == "sql":
        # The greatest in the database's order; the greatest by bytes may be far below it.
        greatest = known.get("value")
    if greatest is None:
        greatest = base.find_greatest(latest, column=watermark.column)
    if greatest is None:
        return None
    value = _subtract(greatest, watermark)
    quarantined_from = _from_json(known.get("quarantined_from"), column_type)
    if quarantined_from is not None:
        # A text was quarantined at or below the greatest in the order in which it was read.
        value = min(value, quarantined_from) if column_type != "string" or value != greatest else quarantined_from
    quarantined = int((lineage.get("counts") or {}).get("quarantined") or 0)
    return Start(greatest, value, quarantined, quarantined_from)


def _from_json(value: Any, column_type: contract.ColumnType) -> Any:
    if isinstance(value, str) and column_type in ("date", "timestamp"):
        moment = datetime.datetime.fromisoformat(value)
        return moment.date() if column_type == "date" else moment
    return value


def _subtract(greatest: Any, watermark: Incremental) -> Any:
    lag = watermark.lag
    if lag is None:
        return greatest
    if isinstance(greatest, int | float):
        if isinstance(lag, str):
            raise _lag_error(watermark, "holds numbers; give a number, such as 1000")
        if isinstance(greatest, int) and isinstance(lag, int):
            return greatest - lag
        # As floats, 6249.35 - 0.1 has more digits than either.
        return float(decimal.Decimal(repr(greatest)) - decimal.Decimal(repr(lag)))
    length = _to_length(greatest, lag)
    if isinstance(greatest, str):
        return _subtract_from_text(greatest, length, watermark)
    return _subtract_length(greatest, length)


def _to_length(greatest: Any, lag: float | str) -> datetime.timedelta:
    if isinstance(lag, str):
        return lags.parse(lag)
    unit = (
        1 if isinstance(greatest, datetime.datetime) or (isinstance(greatest, str) and len(greatest) > 10) else 86_400
    )
    return datetime.timedelta(seconds=min(lag * unit, lags.MAX_SECONDS))


def _subtract_length(greatest: datetime.date, length: datetime.timedelta) -> Any:
    if isinstance(greatest, datetime.datetime):
        return greatest - min(length, greatest - datetime.datetime.min.replace(tzinfo=greatest.tzinfo))
    midnight = datetime.datetime.combine(greatest, datetime.time())
    return (midnight - min(length, midnight - datetime.datetime.min)).date()  # noqa: DTZ901  # Days have no zone.


def _subtract_from_text(greatest: str, length: datetime.timedelta, watermark: Incremental) -> str:
    """Subtract from a date or time that is text, as in SQLite, and write it in the same form."""
    match = ISO_TEXT.fullmatch(greatest)
    try:
        moment = datetime.datetime.fromisoformat(f"{match[1]} {match[3] or '00:00'}") if match else None
    except ValueError:
        moment = None
    if match is None or moment is None:
        raise _lag_error(watermark, f"holds texts such as {greatest[:60]!r}, which have no distance; leave `lag` out")
    earlier: datetime.datetime = _subtract_length(moment, length)
    if match[2] is None:
        return earlier.date().isoformat()
    digits = len(match[4] or "")
    seconds = "minutes" if match[3].count(":") == 1 else "seconds"
    text = earlier.isoformat(match[2], timespec="microseconds" if digits else seconds)
    return f"{text[: len(text) - 6 + digits] if digits else text}{match[5]}"


def _lag_error(watermark: Incremental, problem: str) -> errors.BadDataError:
    return errors.BadDataError(f"The `lag` of the watermark is {watermark.lag!r}, but {watermark.column!r} {problem}.")
