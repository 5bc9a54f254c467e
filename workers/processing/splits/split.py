"""Splits a table into parts, so that each of its rows is in exactly one of them."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb

from shared import errors
from shared.processing.splits import SplitBy, require_rows
from shared.progress import Progress, no_progress
from workers.processing.splits import at_random, by_time, draw, grouped, part_files, stratified
from workers.processing.splits.shares import Shares
from workers.tabular import table_views, table_writer

_MOST_BYTES = 128 * 1024 * 1024
"""What duckdb may take to order row numbers: the process keeps it, and needs as much again for writing the parts."""
_FAR = 0.01
"""A share that is further from what was asked is noted."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A part to make."""

    name: str
    share: float
    path: Path
    """A new file for its rows."""


@dataclasses.dataclass(frozen=True)
class Split:
    """The parts that were written, in the order in which they were asked for, and what was noticed."""

    tables: list[table_writer.StoredTable]
    shares: list[float]
    """The share of the rows that each part got."""
    notes: list[str]


def split_table(
    dataset: Path,
    *,
    parts: Sequence[Part],
    by: SplitBy | None,
    seed: int,
    scratch: Path,
    threads: int,
    progress: Progress = no_progress,
) -> Split:
    """Write the parts of a dataset; the same rows, shares and seed make the same files on any machine.

    BadDataError, before anything is written, when a part would have no row, and for data that the rule can't divide.
    """
    with tempfile.TemporaryFile(dir=scratch) as assigned:
        with table_views.open_views({"t": dataset}, scratch=scratch, threads=threads, most_bytes=_MOST_BYTES) as (
            connection,
            views,
        ):
            progress(0.0, "dividing the rows")
            view = views["t"]
            notes = _assign(connection, view, parts, by=by, seed=seed)
            counts = draw.count_parts(connection, parts=len(parts))
            _require_rows(parts, counts)
            part_files.save_assigned(connection, assigned, rows=view.rows)
        # From here on duckdb has let go of its memory.
        paths = [part.path for part in parts]
        writers = part_files.write(dataset, assigned, paths, columns=view.columns, progress=progress)
    tables = [writer.describe(threads=threads) for writer in writers]
    shares = [count / sum(counts) for count in counts]
    return Split(tables, shares, notes + _note_far(parts, counts))


def _assign(
    connection: duckdb.DuckDBPyConnection,
    view: table_views.TableView,
    parts: Sequence[Part],
    *,
    by: SplitBy | None,
    seed: int,
) -> list[str]:
    require_rows(view.rows, parts=len(parts))
    shares = Shares([part.share for part in parts])
    if by is None:
        return at_random.assign(connection, view, shares=shares, seed=seed)
    if by.rule == "time":
        names = [part.name for part in parts]
        return by_time.assign(connection, view, shares=shares, names=names, column=by.column)
    if by.rule == "stratify":
        return stratified.assign(connection, view, shares=shares, seed=seed, column=by.column)
    return grouped.assign(connection, view, shares=shares, seed=seed, column=by.column)


def _require_rows(parts: Sequence[Part], counts: list[int]) -> None:
    empty = [part for part, count in zip(parts, counts, strict=True) if not count]
    if empty:
        described = ", ".join(f"{part.name!r} ({part.share:g})" for part in empty)
        raise errors.BadDataError(
            f"of {draw.plural(sum(counts), 'row')} none would be left for {described}; ask for a larger share, or "
            "for fewer parts",
            pointer="#/params/parts",
        )


def _note_far(parts: Sequence[Part], counts: list[int]) -> list[str]:
    """Write a note on each part whose share is far from what was asked, by more than whole rows explain."""
    rows, asked_in_all = sum(counts), sum(part.share for part in parts)
    far = []
    for part, count in zip(parts, counts, strict=True):
        asked = part.share / asked_in_all
        if abs(count / rows - asked) > _FAR and abs(count - rows * asked) >= 1:
            far.append(f"{part.name!r} has {count / rows:.1%} of the rows instead of {asked:.1%}")
    return [f"Rows that belong together don't divide by these shares: {'; '.join(far)}."] if far else []
