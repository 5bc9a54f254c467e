"""How a table of text is read: the options that uploads and sources take by the same names."""

from typing import Annotated, Any, Literal, Self

import pydantic

from shared import contract, date_formats
from shared.ingestion import encodings

DEFAULT_NULL_VALUES = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
MAX_SKIPPED_ROWS = 100_000
Character = Annotated[str, pydantic.Field(min_length=1, max_length=1)]


class ReadingOptions(pydantic.BaseModel):
    """How to read a table; what is omitted is detected, and noted where it is not plain."""

    delimiter: Character | None = pydantic.Field(
        default=None, description="CSV: the single character between fields, such as `;`."
    )
    encoding: Annotated[str, pydantic.Field(max_length=40), pydantic.AfterValidator(encodings.validate)] | None = (
        pydantic.Field(default=None, description="CSV: the text's encoding, such as `utf-8`, `latin-1` or `utf-16`.")
    )
    quote: Annotated[str, pydantic.Field(max_length=1)] | None = pydantic.Field(
        default=None, description="CSV: the character around fields, such as `'`; empty when no field is quoted."
    )
    escape: Character | None = pydantic.Field(
        default=None, description="CSV: the character that takes the meaning from the next one, such as a backslash."
    )
    comment: Character | None = pydantic.Field(
        default=None, description="CSV: the character that begins a line to leave out, such as `#`."
    )
    header: Annotated[int, pydantic.Field(ge=1, le=MAX_SKIPPED_ROWS)] | bool | None = pydantic.Field(
        default=None,
        description="CSV: the line of the columns' names, counted from 1; what stands above it is left out. `true`: "
        "the first line that is not skipped; `false`: there is none. With it, no title or row of units is looked for.",
    )
    skip_rows: int | None = pydantic.Field(
        default=None, ge=0, le=MAX_SKIPPED_ROWS, description="CSV: how many lines to leave out at the start."
    )
    skip_footer: int | None = pydantic.Field(
        default=None,
        ge=0,
        le=MAX_SKIPPED_ROWS,
        description="CSV: how many rows to leave out at the end; when given, no footer is looked for.",
    )
    short_rows: Literal["fail", "fill", "skip"] | None = pydantic.Field(
        default=None,
        description="CSV: what to do with a row that has fewer fields than the header: `fail` (the default) refuses "
        "the file, `fill` reads the others as missing, `skip` leaves the row out. All are counted in a note.",
    )
    columns: list[Annotated[str, pydantic.Field(min_length=1, max_length=500)]] | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="The columns to keep, by name, in this order; with `header` false, the names of all columns.",
    )
    decimal: Literal[".", ","] | None = pydantic.Field(
        default=None, description="The character before the decimals of numbers that are written as text."
    )
    thousands: Literal[",", ".", " ", "'", "_", ""] | None = pydantic.Field(
        default=None,
        description="The character between thousands of numbers that are written as text; a space and an apostrophe "
        "stand for all of their kinds; empty when there is none.",
    )
    date_format: Annotated[str, pydantic.AfterValidator(date_formats.check)] | None = pydantic.Field(
        default=None,
        max_length=60,
        description="How dates and times in text are written, such as `%d.%m.%Y` or `%m/%d/%Y %H:%M`.",
    )
    null_values: list[Annotated[str, pydantic.Field(max_length=100)]] | None = pydantic.Field(
        default=None,
        max_length=50,
        description="CSV: fields that mean a missing value, once spaces at both ends are removed; when omitted, "
        f"these: {', '.join(repr(value) for value in DEFAULT_NULL_VALUES)}.",
    )

    @property
    def given(self) -> dict[str, Any]:
        """The options that are given, by name."""
        values = {name: getattr(self, name) for name in ReadingOptions.model_fields}
        return {name: value for name, value in values.items() if value is not None}

    @pydantic.model_validator(mode="after")
    def _characters_differ(self) -> Self:
        names: dict[str, str] = {}
        for name in ("delimiter", "quote", "escape", "comment"):
            character = getattr(self, name)
            if character and names.setdefault(character, name) != name:
                raise ValueError(f"{names[character]!r} and {name!r} are both {character!r}, but must differ")
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError(f"'decimal' and 'thousands' are both {self.decimal!r}, but must differ")
        if self.columns and len(set(self.columns)) < len(self.columns):
            raise ValueError("'columns' names a column twice")
        if self.skip_rows and type(self.header) is int and self.header <= self.skip_rows:
            raise ValueError(f"the header stands in line {self.header}, but {self.skip_rows} lines are skipped")
        return self


class CsvOptions(ReadingOptions, contract.Document):
    """How to read a CSV file; the same options may be given beside `csv`."""
