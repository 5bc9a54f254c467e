"""JSON arrays in SQL: rows that a statement takes as one parameter, so that its text is the same for any number.

See docs/decisions/statements.md, "Statements of the hot path are built once, and accepting takes one JSON array".
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression

from shared.jobs import tables


class length_of(expression.FunctionElement[int]):  # noqa: N801 - it is an SQL function, and is named like one.
    """SQL for the number of elements of a JSON array."""

    type = sa.Integer()
    inherit_cache = True


@compiler.compiles(length_of, "postgresql")
def _postgresql(element: length_of, sql: Any, **options: Any) -> str:
    return f"jsonb_array_length({sql.process(element.clauses, **options)})"


@compiler.compiles(length_of, "sqlite")
def _sqlite(element: length_of, sql: Any, **options: Any) -> str:
    return f"json_array_length({sql.process(element.clauses, **options)})"


def unpack(
    dialect: str, parameter: str, types: Mapping[str, sa.types.TypeEngine[Any]]
) -> tuple[sa.FromClause, dict[str, sa.ColumnElement[Any]]]:
    """Unpack a JSON array of objects in the database: its rows, and their columns by name."""
    array = sa.bindparam(parameter, type_=tables.JSON)
    if dialect == "sqlite":
        elements = sa.func.json_each(array).table_valued("value", name=f"given_{parameter}")
        return elements, {
            name: sa.func.json_extract(elements.c.value, f"$.{name}", type_=type_) for name, type_ in types.items()
        }
    columns = [sa.column(name, type_) for name, type_ in types.items()]
    records = sa.func.jsonb_to_recordset(array).table_valued(*columns, name=f"given_{parameter}")
    rendered = records.render_derived(with_types=True)
    return rendered, dict(rendered.c)
