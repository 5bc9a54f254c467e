"""Joins the rows of a request with the features of their keys."""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from shared import contract, errors
from shared.objects.lookups import keys
from shared.prediction import overlays
from workers.prediction.online import measures
from workers.prediction.online.lookups.sources import Holder, Reader, Source
from workers.prediction.online.rows import MAX_CELLS, Columns

_SHOWN = 3


class StaleError(errors.UnavailableError):
    """The features of a key were published longer ago than the deployment allows."""


@dataclasses.dataclass(frozen=True)
class Freshness:
    """Which features were looked up, and since when the oldest of them holds."""

    features: str
    """The version of the feature set, as `name@version`."""
    since: int
    """When the oldest row that was used was published or pushed, in epoch milliseconds by the database's clock."""

    @property
    def age_seconds(self) -> int:
        """How old it is now, in whole seconds, by this host's clock."""
        return max(0, round(time.time() - self.since / 1000))

    @staticmethod
    def oldest(parts: "Sequence[Freshness | None]") -> "Freshness | None":
        """Take the oldest of several; None where nothing was looked up."""
        return min((part for part in parts if part is not None), key=lambda part: part.since, default=None)


class Lookup:
    """What a deployment looks up; used from any thread."""

    def __init__(self, state: Mapping[str, Any], holder: Holder, *, deployment: tuple[str, str]) -> None:
        """Look up as a deployment's state says, in what a holder holds; `deployment` is its tenant and name."""
        self.state = state
        self._holder = holder
        self._key: list[str] = state["key"]
        self._missing: str = state["missing"]
        self._defaults: Mapping[str, Any] = state["defaults"] or {}
        age = state["max_age_seconds"]
        self._max_age_ms = math.inf if age is None else age * 1000
        self._deployment = deployment

    @property
    def features(self) -> str:
        """The version of the feature set, as `name@version`."""
        return str(self.state["features"])

    @property
    def is_loaded(self) -> bool:
        """Whether there is a table to look rows up in."""
        return self._holder.source is not None

    def describe_inputs(self, columns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Describe what a request has to have where a version takes these columns: the key, and what isn't found."""
        source = self._holder.source
        if source is None:
            return list(columns)
        by_name = {column["name"]: column for column in columns}
        key = [by_name.get(column.name, column.model_dump()) for column in source.table.layout.key]
        found = source.names.union(self._key)
        return [*key, *(column for column in columns if column["name"] not in found)]

    @property
    def example(self) -> dict[str, Any]:
        """The key of some row."""
        return {} if self._holder.source is None else self._holder.source.table.layout.example

    def join(self, given: Columns, *, rows_count: int, wanted: tuple[str, ...]) -> tuple[Columns, Freshness | None]:
        """Join rows with those of the `wanted` columns that they lack; what they have themselves holds.

        A missing value counts as lacking. Where no row lacks anything, nothing is looked up, and None is returned.
        BadDataError for a key that can't be one; for one that is absent or unknown, BadDataError or what the deployment
        says, and for one whose features are too old StaleError or the same.
        """
        source = self._holder.source
        if source is None:
            # A version of an earlier revision may have looked nothing up, and answers who sends all columns.
            if all(name in given for name in wanted):
                return given, None
            raise errors.UnavailableError(f"{self.features} is not loaded on this copy yet.", retry_after_seconds=1)
        lacking = source.list_found(wanted)
        rows: range | list[int] = range(rows_count)
        has_some = not source.names.isdisjoint(given)
        if has_some:
            lacking = tuple(name for name in lacking if _has_gap(given.get(name)))
            rows = _list_lacking(given, lacking, rows_count)
        if not rows or not lacking:
            return given, None
        if rows_count * len(wanted) > MAX_CELLS:
            raise errors.BadDataError(
                f"{rows_count:,} rows would have more than {MAX_CELLS:,} values with what is looked up; send at most "
                f"{MAX_CELLS // len(wanted):,} rows at once"
            )
        found = _Found(self, source, lacking)
        looked_up = found.read_all(given, rows)
        if has_some:
            joined = _merge(given, lacking, rows, looked_up)
        else:
            joined = {**given, **dict(zip(lacking, zip(*looked_up, strict=True), strict=True))}
        return joined, Freshness(source.features, found.since)


def _merge(given: Columns, lacking: Sequence[str], rows: Sequence[int], looked_up: Sequence[Sequence[Any]]) -> Columns:
    """Put what was looked up for some rows into the cells that they lack."""
    joined = dict(given)
    by_row = dict(zip(rows, looked_up, strict=True))
    for index, name in enumerate(lacking):
        own = given.get(name)
        if own is None:
            joined[name] = [values[index] for values in looked_up]
        else:
            joined[name] = [
                by_row[row][index] if row in by_row and _is_missing(value) else value for row, value in enumerate(own)
            ]
    return joined


class _Found:
    """What is found for the rows of one request."""

    def __init__(self, lookup: Lookup, source: Source, names: tuple[str, ...]) -> None:
        self._lookup = lookup
        self._source = source
        self._names = names
        self._read: Reader = source.reader_of(names)
        self._oldest_allowed = time.time() * 1000 - lookup._max_age_ms
        self._times: list[int] = []

    @property
    def since(self) -> int:
        """When the oldest row that was found was published or pushed; of none, when the table was."""
        return min(self._times, default=self._source.published_at)

    def read_all(self, given: Columns, rows: Sequence[int]) -> list[list[Any]]:
        columns = self._source.table.layout.key
        nothing: list[Any] = []
        values = [given.get(column.name) for column in columns]
        found: list[list[Any]] = []
        unknown, stale = [], []
        for row in rows:
            key_hash = _hash_key(columns, values, row)
            result = None if key_hash is None else self._read_one(key_hash)
            if result is None:
                unknown.append(row)
                found.append(nothing)
                continue
            self._times.append(result[0])
            if result[0] < self._oldest_allowed:
                stale.append(row)
                found.append(nothing)
            else:
                found.append(result[1])
        counts = (len(rows) - len(unknown) - len(stale), len(unknown), len(stale))
        measures.note_lookups(self._lookup._deployment, counts)
        if unknown or stale:
            nothing += [self._lookup._defaults.get(name) for name in self._names]
        if self._lookup._missing == "error":
            if unknown:
                raise self._refuse_unknown(values, unknown)
            if stale:
                raise self._refuse_stale(min(self._times))
        return found

    def _read_one(self, key_hash: bytes) -> tuple[int, list[Any]] | None:
        """Read a row, and since when it holds; None when there is none."""
        position = self._source.table.find(key_hash)
        pushed = self._source.find_pushed(key_hash) if self._source.pushed else None
        if pushed is None:
            return None if position is None else (self._source.published_at, self._read(position))
        return self._merge(pushed, None if position is None else self._read(position))

    def _merge(self, pushed: overlays.Row, published: list[Any] | None) -> tuple[int, list[Any]]:
        pushed_at, values = pushed
        if published is None:
            return pushed_at, [values.get(name) for name in self._names]
        is_whole = all(name in values for name in self._names)
        merged = [values.get(name, value) for name, value in zip(self._names, published, strict=True)]
        return pushed_at if is_whole else self._source.published_at, merged

    def _refuse_unknown(self, values: Sequence[Sequence[Any] | None], rows: Sequence[int]) -> errors.BadDataError:
        names = self._lookup._key
        shown = []
        for row in rows[:_SHOWN]:
            parts = [f"{name} {_show(each and each[row])}" for name, each in zip(names, values, strict=True)]
            shown.append(f"{', '.join(parts)} (row {row + 1})")
        more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return errors.BadDataError(
            f"{self._source.features} has no features of {'; '.join(shown)}{more}; send a key that is published, or "
            f"the columns themselves: {', '.join(self._names[:10])}{' …' if len(self._names) > 10 else ''}"
        )

    def _refuse_stale(self, oldest: int) -> StaleError:
        age = time.time() - oldest / 1000
        return StaleError(
            f"These features of {self._source.features} were published {age:,.0f} s ago, and the deployment takes none "
            f"that are older than {self._lookup._max_age_ms / 1000:,.0f} s; publish them again, or push these rows."
        )


def _hash_key(columns: Sequence[contract.Column], values: Sequence[Sequence[Any] | None], row: int) -> bytes | None:
    """Hash the key of a row; None where a part of it is missing."""
    parts = []
    for column, each in zip(columns, values, strict=True):
        value = None if each is None else each[row]
        try:
            part = keys.to_text(value, column.type)
        except (ValueError, OverflowError) as error:
            raise errors.BadDataError(
                f"column {column.name!r} is a key of type {column.type}, but holds {_show(value)} in row {row + 1}"
            ) from error
        if part is None:
            return None
        parts.append(part)
    return keys.hash_parts(parts)


def _list_lacking(given: Columns, names: Sequence[str], rows_count: int) -> range | list[int]:
    """List the rows that lack one of some columns."""
    own = [given.get(name) for name in names]
    if any(values is None for values in own):
        return range(rows_count)
    return [row for row in range(rows_count) if any(_is_missing(values[row]) for values in own if values is not None)]


def _has_gap(values: Sequence[Any] | None) -> bool:
    return values is None or any(_is_missing(value) for value in values)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _show(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
