"""Styles that options declare, for columns of text in sources with types of their own, such as Parquet and SQL.

There a column's type is the source's, so only a column of text that `types` makes a number, a date or a time is read
in a style; nothing is guessed.
"""

from collections.abc import Collection

from shared import contract
from shared.ingestion.reading import CsvOptions
from workers.ingestion.styles.dates import DateStyle
from workers.ingestion.styles.number_evidence import COMPLEMENT
from workers.ingestion.styles.numbers import NumberStyle
from workers.ingestion.styles.style import Style

_NUMBERS = ("integer", "number")
_TIMES = ("date", "timestamp")


def find_style(options: CsvOptions, column_type: contract.ColumnType | None) -> Style | None:
    """Find the style that the options declare for columns of a type; None when they declare none."""
    if column_type in _NUMBERS and (options.decimal or options.thousands):
        decimal = options.decimal or COMPLEMENT.get(options.thousands or "", ".")
        return NumberStyle(decimal, COMPLEMENT[decimal] if options.thousands is None else options.thousands)
    if column_type in _TIMES and options.date_format is not None:
        return DateStyle(options.date_format)
    return None


def describe_unused(options: CsvOptions, used: Collection[contract.ColumnType]) -> list[str]:
    """Describe the options that no column is read by, given the types of the columns that one is read by."""
    signs = [name for name in ("decimal", "thousands") if getattr(options, name)]
    notes = []
    if signs and not set(used) & set(_NUMBERS):
        notes.append((" and ".join(f"`{name}`" for name in signs), "'number' or 'integer'"))
    if options.date_format is not None and not set(used) & set(_TIMES):
        notes.append(("`date_format`", "'date' or 'timestamp'"))
    return [
        f"No column was read by {names}: this source has types of its own, so give the columns of text that are meant "
        f"the type {types} in `types`."
        for names, types in notes
    ]
