"""Finds how the numbers and dates of a table of text are written, from a sample of its rows and all columns together.

docs/decisions/ingestion.md, "One file has one decimal sign"
"""

import dataclasses
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract
from shared.ingestion.reading import CsvOptions
from workers.ingestion import values
from workers.ingestion.styles import date_evidence, number_evidence, numbers
from workers.ingestion.styles.dates import DateStyle
from workers.ingestion.styles.number_evidence import COMPLEMENT
from workers.ingestion.styles.numbers import NumberStyle
from workers.ingestion.styles.style import Style

SAMPLE_ROWS = 4000
SAMPLE_CELLS = 400_000
NUMERIC: frozenset[contract.ColumnType] = frozenset({"integer", "number"})
TEMPORAL: frozenset[contract.ColumnType] = frozenset({"date", "timestamp"})


@dataclasses.dataclass
class Found:
    """The styles of all columns, by position, and what follows from them."""

    styles: list[Style | None]
    """None for a column that is written in the plain form."""
    as_text: set[str] = dataclasses.field(default_factory=set)
    """Columns that are kept as text, since their numbers may mean one or the other."""
    notes: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column, with a sample of its texts."""

    name: str
    texts: pa.Array
    """Trimmed texts, none of them missing."""
    is_number: bool
    """Whether its type is declared as one of numbers, or may be inferred as one."""
    is_date: bool
    is_declared: bool


def find_styles(
    names: Sequence[str],
    *,
    sample: Sequence[pa.RecordBatch],
    missing: pa.Array,
    candidates: Sequence[Sequence[contract.ColumnType]],
    types: Mapping[str, contract.ColumnType],
    options: CsvOptions,
    surprises: Mapping[str, str],
) -> Found:
    """Find the styles of a table's columns from its first batches.

    `types` are those that are already decided, and `surprises` texts of later rows by column.
    """
    columns = []
    for position, (name, candidate) in enumerate(zip(names, candidates, strict=True)):
        possible = {types[name]} if name in types else {*candidate}
        # Numbers of JSON are none that people wrote.
        is_free_text = not set(candidate) <= NUMERIC or not candidate
        is_number, is_date = bool(possible & NUMERIC) and is_free_text, bool(possible & TEMPORAL)
        texts = _take(sample, position, missing=missing) if is_number or is_date else pa.array([], pa.string())
        if name in surprises:
            texts = pa.concat_arrays([texts, pa.array([surprises[name]])])
        if name in types and is_number:
            texts = texts.filter(pc.match_substring_regex(texts, numbers.ANY_NUMBER))
        columns.append(Column(name, texts, is_number=is_number, is_date=is_date, is_declared=name in types))
    found = Found([None] * len(columns))
    _find_numbers(columns, options=options, found=found)
    _find_dates(columns, options=options, found=found)
    return found


def _take(sample: Sequence[pa.RecordBatch], position: int, *, missing: pa.Array) -> pa.Array:
    """Take the first texts of each batch."""
    rows = max(
        1, min(SAMPLE_ROWS, SAMPLE_CELLS // max(1, sample[0].num_columns if sample else 1)) // max(1, len(sample))
    )
    parts = [batch.column(position).slice(0, rows) for batch in sample]
    texts = pa.concat_arrays([part.cast(pa.string()) for part in parts]) if parts else pa.array([], pa.string())
    return values.find_missing(texts, missing=missing).trimmed.drop_null()


def _find_numbers(columns: Sequence[Column], *, options: CsvOptions, found: Found) -> None:
    evidence = [number_evidence.find(column.texts) if column.is_number else None for column in columns]
    proved = {sign for of_column in evidence if of_column and of_column.decides for sign in of_column.proves}
    declared = options.decimal or (COMPLEMENT.get(options.thousands, ".") if options.thousands else None)
    for position, (column, of_column) in enumerate(zip(columns, evidence, strict=True)):
        decimal = declared or (next(iter(proved)) if len(proved) == 1 else None)
        if of_column is None:
            is_open = column.is_number and (len(column.texts) == 0 or column.is_declared)
            if is_open and decimal is not None and (decimal == "," or declared):
                thousands = COMPLEMENT[decimal] if options.thousands is None else options.thousands
                found.styles[position] = NumberStyle(decimal, thousands)
            continue
        if decimal is None:
            decimal = next(iter(of_column.proves)) if of_column.decides else None
        if decimal is None and not of_column.has:
            decimal = "."
        if decimal is None:
            _note_ambiguous(column, of_column, is_contested=len(proved) > 1, found=found)
            continue
        if not declared and of_column.groups in (" ", "'") and not of_column.is_varied:
            continue  # Three groups of three digits each may as well be a telephone number.
        style = of_column.to_style(decimal, options.thousands)
        is_needed = decimal == "," or not of_column.is_plain or of_column.groups or "," in of_column.has
        if is_needed or declared:
            found.styles[position] = style


def _note_ambiguous(column: Column, evidence: number_evidence.Evidence, *, is_contested: bool, found: Found) -> None:
    """Keep a column as text when the file doesn't tell whether a sign is before decimals or between thousands."""
    example = next(text for text in column.texts.to_pylist() if "." in text or "," in text)
    signs = "' and '".join(sorted(evidence.has))
    if evidence.proves:
        reason = f"has '{signs}' both before decimals and between thousands"
    elif is_contested:
        reason = "may have its sign before decimals or between thousands, and other columns have either"
    elif evidence.has == {"."} and evidence.is_plain:
        if not column.is_declared and values.fits(column.texts, "number"):
            found.notes.append(
                f"Column {column.name!r}: its first numbers with a point have three digits after it, such as "
                f"{example!r}, and were read with decimals. Set `thousands` to '.' if the point is between thousands."
            )
        return
    else:
        reason = "may have its sign before decimals or between thousands"
    if not column.is_declared:
        found.as_text.add(column.name)
        found.notes.append(
            f"Column {column.name!r} is stored as text: it holds numbers such as {example!r}, but {reason}. Set "
            "`decimal` or `thousands`."
        )


def _find_dates(columns: Sequence[Column], *, options: CsvOptions, found: Found) -> None:
    if options.date_format is not None:
        _find_declared_dates(columns, DateStyle(options.date_format), found=found)
    evidence = [
        date_evidence.find(column.texts)
        if column.is_date and found.styles[position] is None and len(column.texts)
        else None
        for position, column in enumerate(columns)
    ]
    orders = {of_column.day_first for of_column in evidence if of_column and of_column.day_first is not None}
    for position, (column, of_column) in enumerate(zip(columns, evidence, strict=True)):
        if of_column is None:
            continue
        formats = [
            date_format
            for date_format in of_column.formats
            if len(of_column.formats) == 1 or orders == {date_format.startswith("%d")}
        ]
        if len(formats) == 1 and of_column.has_century:
            found.styles[position] = DateStyle(formats[0])
            continue
        if not of_column.formats:
            reason = "in which day and month change places"
        elif len(formats) == 1:
            reason = "whose years have two digits, so their century is open"
        else:
            reason = "in which no day is above 12, so day and month may change places"
        choices = " or ".join(repr(date_format) for date_format in of_column.formats) or "a format"
        found.notes.append(
            f"Column {column.name!r} is stored as text: it holds dates such as {of_column.example!r}, {reason}. Set "
            f"`date_format` to {choices}."
        )


def _find_declared_dates(columns: Sequence[Column], style: DateStyle, *, found: Found) -> None:
    for position, column in enumerate(columns):
        if column.is_date and found.styles[position] is None:
            fitting = len(column.texts) - style.rewrite(column.texts).null_count
            if fitting == len(column.texts) > 0 or (column.is_declared and fitting):
                found.styles[position] = style
    if style not in found.styles:
        found.notes.append(f"No column has dates written like {style.date_format!r}, the `date_format`.")
