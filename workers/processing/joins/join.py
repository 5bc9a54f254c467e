"""Joins two datasets' files, out of core: what the join makes is counted before any row of it is written."""

import dataclasses
from pathlib import Path
from typing import Any

import duckdb

from shared import contract, errors
from shared.processing import join_keys, joins
from shared.progress import Progress, no_progress
from workers.processing.joins import statements
from workers.tabular import query_results, table_views, table_writer

_COUNTED = 0.1


@dataclasses.dataclass(frozen=True)
class Joined:
    """The file that was written, what became of the rows of both sides, and what was noticed."""

    table: table_writer.StoredTable
    left: joins.Side
    right: joins.Side
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class _Inputs:
    """The views of both sides, and the plan."""

    command: joins.JoinDatasets
    plan: joins.Plan
    tables: statements.Tables
    left: contract.DatasetPin
    right: contract.DatasetPin


def join_tables(
    command: joins.JoinDatasets,
    *,
    left: contract.DatasetPin,
    right: contract.DatasetPin,
    left_path: Path,
    right_path: Path,
    output_path: Path,
    scratch: Path,
    threads: int = 1,
    progress: Progress = no_progress,
) -> Joined:
    """Join two files of pinned versions, and write the result in the left's order.

    BadDataError where the columns don't allow the join, or a left row matches several right ones and `expect` is one;
    LimitExceededError when the result would have more rows or cells than allowed.
    """
    plan = joins.plan(command, left=left, right=right)
    files = {"left_rows": left_path, "right_rows": right_path}
    with table_views.open_views(files, scratch=scratch, threads=threads) as (connection, views):
        tables = statements.Tables(views["left_rows"].columns, views["right_rows"].columns, command.keys)
        inputs = _Inputs(command, plan, tables, left, right)
        progress(0.0, "counting matches")
        counts = _count_equal(connection, inputs) if command.as_of is None else _find_latest(connection, inputs)
        rows = _count_rows(command.how, counts)
        _refuse_too_many(inputs, rows=rows, counts=counts)
        progress(_COUNTED, f"joining, {rows:,} rows")
        table = query_results.store(
            connection,
            _write_query(connection, inputs),
            columns=[output.source.model_copy(update={"name": output.name}) for output in plan.outputs],
            path=output_path,
            threads=threads,
            rows=rows,
            progress=lambda fraction, message: progress(_COUNTED + (1 - _COUNTED) * fraction, message),
        )
    notes = [*plan.notes, *_write_notes(inputs, counts)]
    return Joined(table, counts.left, counts.right, notes)


@dataclasses.dataclass(frozen=True)
class _Counts:
    """What a join matches."""

    left: joins.Side
    right: joins.Side
    pairs: int
    left_several: int = 0
    """Left rows that match several right ones."""
    right_repeated: int = 0
    """Right rows that a later one of the same key and time hides."""


def _count_equal(connection: duckdb.DuckDBPyConnection, inputs: _Inputs) -> _Counts:
    found = _fetch_one(connection, statements.count_pairs(inputs.tables))
    return _Counts(
        _side(found, "left", rows=inputs.left.rows),
        _side(found, "right", rows=inputs.right.rows),
        pairs=found["pairs"],
        left_several=found["left_several"],
    )


def _find_latest(connection: duckdb.DuckDBPyConnection, inputs: _Inputs) -> _Counts:
    as_of = _as_of(inputs)
    connection.execute(f"CREATE TABLE matches AS {statements.find_latest(inputs.tables, as_of)}")
    found = _fetch_one(connection, statements.count_latest(inputs.tables, as_of))
    found["left_most"] = int(found["left_matched"] > 0)
    return _Counts(
        _side(found, "left", rows=inputs.left.rows),
        _side(found, "right", rows=inputs.right.rows),
        pairs=found["left_matched"],
        right_repeated=found["right_repeated"],
    )


def _write_query(connection: duckdb.DuckDBPyConnection, inputs: _Inputs) -> str:
    how, outputs = inputs.command.how, inputs.plan.outputs
    if inputs.command.as_of is None:
        return statements.join_equal(inputs.tables, how=how, outputs=outputs)
    # One step after another, on disk: all in one query would share the memory, and run out of it.
    connection.execute(f"CREATE TABLE matched AS {statements.take_matched(outputs, inputs.tables)}")
    return statements.join_latest(inputs.tables, how=how, outputs=outputs)


def _as_of(inputs: _Inputs) -> join_keys.AsOf:
    assert inputs.command.as_of is not None  # noqa: S101 - only a join as of a time comes here.
    return inputs.command.as_of


def _fetch_one(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or []]
    return dict(zip(names, map(int, cursor.fetchone() or ()), strict=True))


def _side(found: dict[str, Any], side: str, *, rows: int) -> joins.Side:
    matched = found[f"{side}_matched"]
    return joins.Side(
        rows=rows,
        matched=matched,
        unmatched=rows - matched,
        without_key=found[f"{side}_without"],
        most_matches=found[f"{side}_most"],
    )


def _count_rows(how: joins.How, counts: _Counts) -> int:
    return {
        "left": counts.pairs + counts.left.unmatched,
        "inner": counts.pairs,
        "right": counts.pairs + counts.right.unmatched,
        "full": counts.pairs + counts.left.unmatched + counts.right.unmatched,
        "semi": counts.left.matched,
        "anti": counts.left.unmatched,
    }[how]


def _refuse_too_many(inputs: _Inputs, *, rows: int, counts: _Counts) -> None:
    command, left, right = inputs.command, inputs.left.label, inputs.right.label
    if command.expect == "one" and counts.left_several:
        raise errors.BadDataError(
            f"{counts.left_several:,} rows of {left} match several rows of {right}, one of them "
            f"{counts.left.most_matches:,}, and `expect` is 'one'; make the right dataset one row for each key first, "
            "or expect 'many'"
        )
    columns = len(inputs.plan.outputs)
    if rows > command.max_rows or rows * columns > joins.MAX_CELLS:
        limit = f"{command.max_rows:,} rows" if rows > command.max_rows else f"{joins.MAX_CELLS:,} cells"
        raise errors.LimitExceededError(
            f"The join would make {rows:,} rows of {columns:,} columns, but at most {limit} are allowed: a row of "
            f"{left} matches up to {counts.left.most_matches:,} rows of {right}, and one of {right} up to "
            f"{counts.right.most_matches:,} of {left}. Add columns to the key, or make one side one row for each key "
            "first."
        )


def _write_notes(inputs: _Inputs, counts: _Counts) -> list[str]:
    command, left, right = inputs.command, inputs.left.label, inputs.right.label
    what = "key" if command.as_of is None else "key or the time" if command.on else "time"
    notes = [
        f"{side.without_key:,} of the {side.rows:,} rows of {label} have no value in the {what}, and match nothing."
        for label, side in ((left, counts.left), (right, counts.right))
        if side.without_key
    ]
    if not counts.left.matched and counts.left.rows and counts.right.rows:
        notes.append(f"No row of {left} matches a row of {right}.")
    if counts.left_several and command.how not in ("semi", "anti"):
        notes.append(
            f"{counts.left_several:,} rows of {left} match several rows of {right} (up to "
            f"{counts.left.most_matches:,}), and come as often: {counts.pairs:,} pairs of {counts.left.matched:,} rows."
        )
    if counts.right_repeated:
        notes.append(
            f"{counts.right_repeated:,} rows of {right} have the same key and time as a later row of it, which alone "
            "counts."
        )
    return notes
