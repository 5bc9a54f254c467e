"""The SQL of aggregations. It holds names of ours and whole numbers alone, and the names of time zones that exist.

It reads `source_rows`, a view of what `source` prepares. `grouped_rows` has the columns of the group as `k0`, `k1`…,
the last of them the window's number, and what is measured as the source names it.
"""

import dataclasses
from collections.abc import Sequence

from shared.processing import periods
from shared.processing.aggregates import AggregateDataset, Plan, Window
from shared.processing.measures import Measure
from workers.processing.aggregates import windows
from workers.processing.aggregates.source import Source

_HOLISTIC = frozenset({"count_distinct", "median", "quantile", "mode"})
_NUMBERS = {"mean": ("avg", "favg"), "std": ("stddev_samp",) * 2, "var": ("var_samp",) * 2, "sum": ("sum", "fsum")}
"""duckdb's functions of whole numbers, and of those with fractions, whose sums are compensated (Kahan)."""


@dataclasses.dataclass(frozen=True)
class Statements:
    """The statements of one aggregation."""

    command: AggregateDataset
    plan: Plan
    source: Source

    def group_rows(self) -> str:
        """Select each row, once for each window that it is in, with its group; rows without a time are left out."""
        keys = [self._value(name) for name in self.command.by]
        window = self.command.window
        if window is None:
            return f"SELECT {_name(keys, end=', ')}* FROM source_rows"
        time, kind = self.source.columns[window.time]
        number = windows.number_of(window, time, kind)
        if window.windows_per_row == 1:
            return f"SELECT {_name([*keys, number], end=', ')}* FROM source_rows WHERE {time} IS NOT NULL"
        return (
            f"SELECT {_name([*keys, f'{number} - back.range'], end=', ')}source_rows.* FROM source_rows, "
            f"range({window.windows_per_row}) AS back WHERE {time} IS NOT NULL"
        )

    @property
    def keys(self) -> list[str]:
        """The columns of a group, the window's number included."""
        return [f"k{at}" for at in range(len(self.command.by) + (self.command.window is not None))]

    def measure_groups(self) -> str:
        """Compute in one pass, as `m0`, `m1`… by position, the measures that need no values to be held."""
        columns = [
            f"{self._aggregate(measure)} AS m{at}"
            for at, measure in enumerate(self.command.measures)
            if measure.function not in _HOLISTIC
        ]
        return f"SELECT {', '.join([*self.keys, *columns, 'count(*) AS n'])} FROM grouped_rows{self._group_by()}"

    def measure_by_sorting(self) -> dict[int, str]:
        """Compute by position, each as `m`, the measures for which duckdb would hold all values in memory."""
        computed = {"count_distinct": self._count_distinct, "mode": self._find_mode}
        return {
            at: computed.get(measure.function, self._find_quantile)(measure)
            for at, measure in enumerate(self.command.measures)
            if measure.function in _HOLISTIC
        }

    def select_groups(self, sorted_tables: dict[int, str]) -> str:
        """Select the result of `measured`, a table of the groups, and of those of the measures that were sorted for."""
        columns = [f"g.{key}" for key in self.keys[: len(self.command.by)]]
        window = self.command.window
        if window is not None:
            _, kind = self.source.columns[window.time]
            number = f"g.{self.keys[-1]}"
            columns += [windows.start_of(window, number, kind), windows.end_of(window, number, kind)]
        for at, measure in enumerate(self.command.measures):
            value = f"{sorted_tables[at]}.m" if at in sorted_tables else f"g.m{at}"
            columns.append(f"coalesce({value}, 0)" if measure.function == "count_distinct" else self._finite(value, at))
        joins = "".join(f" LEFT JOIN {table} ON {self._same_group(table)}" for table in sorted_tables.values())
        order = ", ".join(f"g.{key} ASC NULLS LAST" for key in self.keys)
        selected = ", ".join(f"{column} AS o{at}" for at, column in enumerate(columns))
        return f"SELECT {selected} FROM measured g{joins}{f' ORDER BY {order}' if order else ''}"

    def _same_group(self, table: str) -> str:
        return " AND ".join(f"{table}.{key} IS NOT DISTINCT FROM g.{key}" for key in self.keys) or "TRUE"

    def measure_rows(self) -> str:
        """Compute for each row that has a time, as `row` and `m0`…, the measures of those before it."""
        window = self._window()
        keys = [self._value(name) for name in self.command.by]
        length = periods.parse(window.length or "").microseconds or 0
        frame = (
            f"RANGE BETWEEN {length - 1} PRECEDING AND CURRENT ROW EXCLUDE TIES"
            if window.include_row
            else f"RANGE BETWEEN {length} PRECEDING AND 1 PRECEDING"
        )
        time = self._microseconds(window)
        partition = f"PARTITION BY {', '.join(keys)} " if keys else ""
        columns = ", ".join(
            f"{self._aggregate(measure)} OVER w AS m{at}" for at, measure in enumerate(self.command.measures)
        )
        return (
            f"SELECT row, {columns} FROM source_rows WHERE {time} IS NOT NULL "
            f"WINDOW w AS ({partition}ORDER BY {time} {frame})"
        )

    def select_rows(self) -> str:
        """Select the rows of the view `all_rows` with their measures, from a table of what `measure_rows` selects."""
        columns = [f"a.c{at}" for at in range(len(self.plan.kept))]
        columns += [self._finite(f"m.m{at}", at) for at in range(len(self.command.measures))]
        selected = ", ".join(f"{column} AS o{at}" for at, column in enumerate(columns))
        return f"SELECT {selected} FROM all_rows a LEFT JOIN measured m ON m.row = a.row ORDER BY a.row"

    def count_missing(self) -> str:
        """Count the rows without a time, and those with a missing value in the group's columns, one by one."""
        window = self.command.window
        names = [*([window.time] if window else []), *self.command.by]
        return f"SELECT {', '.join(f'count(*) - count({self._value(name)})' for name in names)} FROM source_rows"

    def _window(self) -> Window:
        assert self.command.window is not None  # noqa: S101 - only windows before each row come here.
        return self.command.window

    def _microseconds(self, window: Window) -> str:
        time, kind = self.source.columns[window.time]
        return f"epoch_us({time}::TIMESTAMP)" if kind == "date" else f"epoch_us({time})"

    def _value(self, name: str) -> str:
        column, kind = self.source.columns[name]
        # To duckdb a NaN is a value; to us it is a missing one.
        return f"(CASE WHEN isnan({column}) THEN NULL ELSE {column} END)" if kind == "number" else column

    def _finite(self, value: str, at: int) -> str:
        """Return a measure's value, or raise an error with its position; compensated sums that overflow are NaN."""
        if self.plan.measured[at].type != "number":
            return value
        return f"(CASE WHEN isfinite({value}) OR {value} IS NULL THEN {value} ELSE error('{at}') END)"

    def _aggregate(self, measure: Measure) -> str:
        condition = "" if measure.where is None else f" FILTER (WHERE {self.source.conditions[measure.where]})"
        if measure.column is None:
            return f"count(*){condition}"
        value, kind = self._value(measure.column), self.source.columns[measure.column][1]
        if measure.function in ("first", "last"):
            return self._end(measure, value)
        if measure.function in _NUMBERS:
            whole, fractions = _NUMBERS[measure.function]
            number = f"{value}::BIGINT" if kind == "boolean" else value
            return f"{fractions if kind == 'number' else whole}({number}){condition}"
        return f"{measure.function}({value}){condition}"

    def _end(self, measure: Measure, value: str) -> str:
        window = self.command.window
        order = measure.order or (window.time if window else None)
        parts = [*([] if order is None else [self._value(order)]), "row"]
        needed = [f"{value} IS NOT NULL", *(f"{part} IS NOT NULL" for part in parts[:-1])]
        if measure.where is not None:
            needed.append(self.source.conditions[measure.where])
        function = "arg_min" if measure.function == "first" else "arg_max"
        return f"{function}({value}, row({', '.join(parts)})) FILTER (WHERE {' AND '.join(needed)})"

    def _values(self, measure: Measure) -> tuple[str, str]:
        """Return a measure's value, and the condition on which it counts."""
        value = self._value(measure.column or "")
        conditions = [f"{value} IS NOT NULL"]
        if measure.where is not None:
            conditions.append(self.source.conditions[measure.where])
        return value, " AND ".join(conditions)

    def _count_distinct(self, measure: Measure) -> str:
        value, condition = self._values(measure)
        distinct = f"SELECT DISTINCT {_list([*self.keys, f'{value} AS x'])} FROM grouped_rows WHERE {condition}"
        return f"SELECT {_list([*self.keys, 'count(*) AS m'])} FROM ({distinct}){self._group_by()}"

    def _find_mode(self, measure: Measure) -> str:
        value, condition = self._values(measure)
        counted = (
            f"SELECT {_list([*self.keys, f'{value} AS x', 'count(*) AS n'])} FROM grouped_rows WHERE {condition} "
            f"GROUP BY {_list([*self.keys, value])}"
        )
        return f"SELECT {_list([*self.keys, 'arg_min(x, row(-n, x)) AS m'])} FROM ({counted}){self._group_by()}"

    def _find_quantile(self, measure: Measure) -> str:
        value, condition = self._values(measure)
        share = 0.5 if measure.quantile is None else measure.quantile
        partition = f"PARTITION BY {_list(self.keys)} " if self.keys else ""
        ranked = (
            f"SELECT {_list([*self.keys, 'x'])}, row_number() OVER ({partition}ORDER BY x) - 1 AS place, "
            f"(count(*) OVER ({partition}) - 1) * {share!r}::DOUBLE AS wanted FROM "
            f"(SELECT {_list([*self.keys, f'{value}::DOUBLE AS x'])} FROM grouped_rows WHERE {condition})"
        )
        low, high = "max(x) FILTER (WHERE place = floor(wanted))", "max(x) FILTER (WHERE place = ceil(wanted))"
        interpolated = f"{low} + ({high} - {low}) * (max(wanted) - floor(max(wanted)))"
        return f"SELECT {_list([*self.keys, f'{interpolated} AS m'])} FROM ({ranked}){self._group_by()}"

    def _group_by(self) -> str:
        return f" GROUP BY {_list(self.keys)}" if self.keys else ""


def _list(parts: Sequence[str]) -> str:
    return ", ".join(parts)


def _name(keys: Sequence[str], *, end: str = "") -> str:
    return ", ".join(f"{key} AS k{at}" for at, key in enumerate(keys)) + (end if keys else "")
