"""Counts the values that steps make missing because they can't be read, for the notes of a job's result."""

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from shared.ml import row_numbers


@dataclasses.dataclass
class _Loss:
    """How many values of a column were lost in all tables together, and in the one with most; the first of each."""

    total: int
    first: str
    most: int
    first_of_most: str


class Losses:
    """The values that were lost while they were counted, by column and reason."""

    def __init__(self) -> None:
        """Begin at none."""
        self._losses: dict[tuple[str, str], _Loss] = {}

    def add(self, values: pd.Series, *, column: str, reason: str) -> None:
        """Add the values of a column of one table that were lost."""
        if values.empty:
            return
        example = f"{str(values.iloc[0])[:100]!r} in {row_numbers.name_first(values)}"
        loss = self._losses.setdefault((column, reason), _Loss(0, example, 0, example))
        loss.total += len(values)
        if len(values) > loss.most:
            loss.most, loss.first_of_most = len(values), example

    def to_document(self) -> list[dict[str, Any]]:
        """Describe the losses in JSON."""
        return [
            {"column": column, "reason": reason, **dataclasses.asdict(loss)}
            for (column, reason), loss in self._losses.items()
        ]

    def add_document(self, document: Iterable[Mapping[str, Any]]) -> None:
        """Add the losses of later tables, as `to_document` has described them."""
        for fields in document:
            later = _Loss(**{field.name: fields[field.name] for field in dataclasses.fields(_Loss)})
            loss = self._losses.setdefault((fields["column"], fields["reason"]), later)
            if loss is later:
                continue
            loss.total += later.total
            if later.most > loss.most:
                loss.most, loss.first_of_most = later.most, later.first_of_most

    def describe(self, *, in_batches: bool) -> list[str]:
        """Describe the losses, a sentence each.

        `in_batches`: each row was in one of the tables. Else the same rows were in several, of which one had all.
        """
        sentences = []
        for (column, reason), loss in self._losses.items():
            count, example = (loss.total, loss.first) if in_batches else (loss.most, loss.first_of_most)
            sentences.append(
                f"Column {column!r} holds values that {reason}, such as {example}: {count:,} became missing."
            )
        return sentences


_active: contextvars.ContextVar[Losses | None] = contextvars.ContextVar("losses", default=None)


@contextlib.contextmanager
def counted(losses: Losses | None = None) -> Iterator[Losses]:
    """Count what is lost in the block, in addition to what was counted before."""
    losses = Losses() if losses is None else losses
    token = _active.set(losses)
    try:
        yield losses
    finally:
        _active.reset(token)


def note(values: pd.Series, *, column: str, reason: str) -> None:
    """Note that these values of a column became missing, if somebody counts."""
    losses = _active.get()
    if losses is not None:
        losses.add(values, column=column, reason=reason)
