"""The SQL of joins. It holds names of ours and whole numbers alone: columns are `c0`, `c1`… by their positions.

It reads two relations, `left_rows` and `right_rows`, whose column `row` counts the rows of the dataset from 0.
"""

from collections.abc import Sequence

from shared import contract
from shared.processing import join_keys, joins

_MICROSECONDS = 1_000_000
_JOINS = {
    "left": "LEFT JOIN",
    "inner": "JOIN",
    "right": "RIGHT JOIN",
    "full": "FULL JOIN",
    "semi": "SEMI JOIN",
    "anti": "ANTI JOIN",
}


class Tables:
    """The columns of both sides by the names that SQL has for them, and the key that they are joined by."""

    def __init__(
        self,
        left: Sequence[contract.Column],
        right: Sequence[contract.Column],
        keys: Sequence[join_keys.KeyColumns],
    ) -> None:
        """Name the columns of both sides by their positions."""
        self._left = {column.name: (f"c{position}", column.type) for position, column in enumerate(left)}
        self._right = {column.name: (f"c{position}", column.type) for position, column in enumerate(right)}
        self._keys = keys

    @property
    def left_keys(self) -> list[str]:
        """The key of a left row, an expression for each of its columns."""
        return [_key("l", *self._left[key.left]) for key in self._keys]

    @property
    def right_keys(self) -> list[str]:
        """The key of a right row."""
        return [_key("r", *self._right[key.right]) for key in self._keys]

    def left_column(self, name: str) -> str:
        """Return a left column's name in SQL."""
        return self._left[name][0]

    def right_column(self, name: str) -> str:
        """Return a right column's name in SQL."""
        return self._right[name][0]

    def right_key_column(self, position: int) -> str:
        """Return the name in SQL of a right column of the key."""
        return self.right_column(self._keys[position].right)

    def left_time(self, name: str) -> str:
        """Return a left row's time, in microseconds since 1970."""
        return _time("l", *self._left[name])

    def right_time(self, name: str) -> str:
        """Return a right row's time, in microseconds since 1970."""
        return _time("r", *self._right[name])


def _key(alias: str, column: str, kind: contract.ColumnType) -> str:
    # To duckdb a NaN equals another; to us it is a missing value.
    name = f"{alias}.{column}"
    return f"(CASE WHEN isnan({name}) THEN NULL ELSE {name} END)" if kind == "number" else name


def _time(alias: str, column: str, kind: contract.ColumnType) -> str:
    return f"epoch_us({alias}.{column}::TIMESTAMP)" if kind == "date" else f"epoch_us({alias}.{column})"


def count_pairs(tables: Tables) -> str:
    """Count, without making them, the pairs that an equality join makes.

    The columns are `pairs`, `left_matched`, `right_matched`, `left_most`, `right_most`, `left_without`, `right_without`
    and `left_several`, the left rows that match several right ones.
    """
    left, right = (
        f"(SELECT {_list(keys)}, count(*) AS n FROM {side}_rows {alias} WHERE {_have(keys)} GROUP BY ALL)"
        for side, alias, keys in (("left", "l", tables.left_keys), ("right", "r", tables.right_keys))
    )
    using = ", ".join(f"k{index}" for index in range(len(tables.left_keys)))
    return (
        f"SELECT coalesce(sum(a.n::HUGEINT * b.n), 0) AS pairs, coalesce(sum(a.n), 0) AS left_matched, "
        f"coalesce(sum(b.n), 0) AS right_matched, coalesce(max(b.n), 0) AS left_most, "
        f"coalesce(max(a.n), 0) AS right_most, coalesce(sum(a.n) FILTER (WHERE b.n > 1), 0) AS left_several, "
        f"(SELECT count(*) FROM left_rows l WHERE NOT ({_have(tables.left_keys)})) AS left_without, "
        f"(SELECT count(*) FROM right_rows r WHERE NOT ({_have(tables.right_keys)})) AS right_without "
        f"FROM {left} a JOIN {right} b USING ({using})"
    )


def join_equal(tables: Tables, *, how: joins.How, outputs: Sequence[joins.Output]) -> str:
    """Join by equal keys, in the left's order and then in the right's; right rows that match nothing come last."""
    on = " AND ".join(f"{left} = {right}" for left, right in zip(tables.left_keys, tables.right_keys, strict=True))
    order = "l.row" if how in ("semi", "anti") else "l.row NULLS LAST, r.row"
    fills = how in ("right", "full")
    return (
        f"SELECT {_select(tables, outputs, right='r', fills=fills)} FROM left_rows l {_JOINS[how]} right_rows r "
        f"ON {on} ORDER BY {order}"
    )


def find_latest(tables: Tables, as_of: join_keys.AsOf) -> str:
    """Find, for each left row that has one, the last right row of its key that was known at its time.

    The columns are `left_row` and `right_row`. All rows of a key pass by in the order of time; of equal times the right
    rows come first, or last when the match is strict. Of right rows of one time the last one of the dataset counts.
    """
    known_after = _to_microseconds(as_of.known_after_seconds)
    left_time = tables.left_time(as_of.left)
    right_time = tables.right_time(as_of.right)
    left_side, right_side = (0, 1) if as_of.strict else (1, 0)
    partition = ", ".join(f"k{index}" for index in range(len(tables.left_keys)))
    window = f"{f'PARTITION BY {partition} ' if partition else ''}ORDER BY instant, side, row ROWS UNBOUNDED PRECEDING"
    tolerance = (
        ""
        if as_of.tolerance_seconds is None
        else f" AND instant - known_at + {known_after} <= {_to_microseconds(as_of.tolerance_seconds)}"
    )
    return (
        f"SELECT row AS left_row, known_row AS right_row FROM ("
        f"SELECT side, row, instant, "
        f"last_value(CASE WHEN side = {right_side} THEN row END IGNORE NULLS) OVER w AS known_row, "
        f"last_value(CASE WHEN side = {right_side} THEN instant END IGNORE NULLS) OVER w AS known_at FROM ("
        f"SELECT {_list(tables.left_keys, end=', ')}{left_time} AS instant, {left_side} AS side, row FROM left_rows l "
        f"WHERE {_have([*tables.left_keys, left_time])} UNION ALL "
        f"SELECT {_list(tables.right_keys, end=', ')}{right_time} + {known_after} AS instant, {right_side} AS side, "
        f"row FROM right_rows r WHERE {_have([*tables.right_keys, right_time])}) WINDOW w AS ({window})) "
        f"WHERE side = {left_side} AND known_row IS NOT NULL{tolerance}"
    )


def count_latest(tables: Tables, as_of: join_keys.AsOf) -> str:
    """Count what `matches`, a table of what `find_latest` selects, holds, and rows that can't be in it.

    The columns are `left_matched`, `right_matched`, `right_most`, `left_without`, `right_without` and `right_repeated`,
    the right rows that a later one of the same key and time hides.
    """
    left = _have([*tables.left_keys, tables.left_time(as_of.left)])
    right_parts = [*tables.right_keys, tables.right_time(as_of.right)]
    right = _have(right_parts)
    return (
        f"SELECT (SELECT count(*) FROM matches) AS left_matched, count(*) AS right_matched, "
        f"coalesce(max(n), 0) AS right_most, "
        f"(SELECT count(*) FROM left_rows l WHERE NOT ({left})) AS left_without, "
        f"(SELECT count(*) FROM right_rows r WHERE NOT ({right})) AS right_without, "
        f"(SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM right_rows r WHERE {right} "
        f"GROUP BY {', '.join(right_parts)})) AS right_repeated "
        f"FROM (SELECT count(*) AS n FROM matches GROUP BY right_row)"
    )


def take_matched(outputs: Sequence[joins.Output], tables: Tables) -> str:
    """Select for each of `matches` its `left_row` and the right columns that the result takes."""
    columns = "".join(f", r.{tables.right_column(output.source.name)}" for output in outputs if output.side == "right")
    return f"SELECT m.left_row{columns} FROM matches m JOIN right_rows r ON r.row = m.right_row"


def join_latest(tables: Tables, *, how: joins.How, outputs: Sequence[joins.Output]) -> str:
    """Join the left rows with `matched`, a table of what `take_matched` selects, in the left's order."""
    return (
        f"SELECT {_select(tables, outputs, right='m', fills=False)} FROM left_rows l {_JOINS[how]} matched m "
        f"ON m.left_row = l.row ORDER BY l.row"
    )


def _select(tables: Tables, outputs: Sequence[joins.Output], *, right: str, fills: bool) -> str:
    expressions = []
    for index, output in enumerate(outputs):
        if output.side == "right":
            expression = f"{right}.{tables.right_column(output.source.name)}"
        else:
            expression = f"l.{tables.left_column(output.source.name)}"
        if output.side == "key" and fills:
            expression = f"coalesce({expression}, {right}.{tables.right_key_column(output.key)})"
        expressions.append(f"{expression} AS o{index}")
    return ", ".join(expressions)


def _to_microseconds(seconds: float) -> int:
    return round(seconds * _MICROSECONDS)


def _list(keys: Sequence[str], *, end: str = "") -> str:
    return ", ".join(f"{key} AS k{index}" for index, key in enumerate(keys)) + (end if keys else "")


def _have(keys: Sequence[str]) -> str:
    return " AND ".join(f"{key} IS NOT NULL" for key in keys)
