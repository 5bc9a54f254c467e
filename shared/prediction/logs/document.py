"""What a client says of a deployment's log: which share of what is answered is kept, of which columns, for how long."""

import dataclasses
import datetime
import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

import pydantic

from shared import contract

WRITE = "prediction.log"
"""The kind of the jobs that write what copies have stored into Parquet files."""
DATASET = "prediction.log_dataset"
"""The kind of the jobs that make datasets of these files."""
MAX_COLUMNS = 10_000
DAY_MS = 86_400_000
_ALL = 100.0

ColumnName = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=1000)]


class PredictionLog(contract.Document):
    """Which of the requests that a deployment answers are kept, as rows of Parquet files in the object store."""

    # PostgreSQL keeps no sign of 0, and the ledger's hash is of what is kept.
    percent: Annotated[float, pydantic.AfterValidator(lambda percent: percent + 0.0)] = pydantic.Field(
        default=_ALL,
        ge=0,
        le=_ALL,
        allow_inf_nan=False,
        description="The share of the requests that is kept, in percent, drawn by chance. At 0 nothing more is kept.",
    )
    columns: list[ColumnName] | None = pydantic.Field(
        default=None,
        max_length=MAX_COLUMNS,
        description="The columns of the rows that are kept; those that no version takes are kept as texts. When left "
        "out, the columns that the version takes which answered, and no others that a client sends.",
    )
    exclude: list[ColumnName] | None = pydantic.Field(
        default=None,
        max_length=MAX_COLUMNS,
        description="Columns that are not kept; instead of `columns`. They never leave the process that answers.",
    )
    retention_days: int = pydantic.Field(
        default=30, ge=1, le=3650, description="How many days files are kept; a dataset that is made of them stays."
    )

    @pydantic.model_validator(mode="after")
    def _check_columns(self) -> Self:
        if self.columns is not None and self.exclude is not None:
            raise ValueError("`columns` says already which columns are kept; take one of `columns`, `exclude`")
        named = self.columns or self.exclude or []
        twice = sorted({name for name in named if named.count(name) > 1}) if len(set(named)) < len(named) else []
        if twice:
            raise ValueError(f"the column {twice[0]!r} is named twice; name each once")
        return self


@dataclasses.dataclass(frozen=True)
class Sampling:
    """What a copy keeps of the requests that it answers."""

    percent: float
    columns: tuple[str, ...] | None
    exclude: frozenset[str]

    @classmethod
    def of_state(cls, state: Mapping[str, Any] | None) -> "Sampling | None":
        """Read it from a deployment's state; None where nothing is kept."""
        if not state or not state["percent"]:
            return None
        columns = state["columns"]
        return cls(state["percent"], None if columns is None else tuple(columns), frozenset(state["exclude"] or ()))

    def choose(self, taken: tuple[str, ...]) -> tuple[str, ...]:
        """Choose the columns that are kept, where a version takes some."""
        if self.columns is not None:
            return self.columns
        return tuple(name for name in taken if name not in self.exclude)


def parse_time(text: str) -> int:
    """Read a time of RFC 3339 as epoch milliseconds; ValueError for any other text. Without an offset it is in UTC."""
    try:
        if "T" not in text.upper() or "W" in text.upper():
            # Python reads dates and weeks too.
            raise ValueError("the form is none of RFC 3339")
        moment = datetime.datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return max(0, math.ceil(moment.timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text[:100]!r} is no time; write it as RFC 3339, in UTC without an offset: 2026-11-30T08:00:00Z"
        ) from error


def check_time(text: str) -> str:
    """Return a text that is a time, as `parse_time` reads it; ValueError for any other."""
    parse_time(text)
    return text
