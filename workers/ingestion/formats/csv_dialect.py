"""Finds the dialect of a CSV file: the characters that separate, quote and escape its fields."""

import collections
import contextlib
import csv
import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from shared import errors
from shared.ingestion.reading import CsvOptions

DELIMITERS = (",", ";", "\t", "|")
DELIMITER_NAMES = {"\t": "tab"}
SAMPLE_RECORDS = 500
SURE_SHARE = 0.9
CHUNK_BYTES = 1024 * 1024
FIELD_CHARACTERS = 4 * 1024 * 1024
# A quote in the middle of a quoted field, which only a backslash can excuse.
ESCAPED_QUOTE = r'\\"(?!["\r\n{delimiter}]|$)'
# Writers that escape backslashes too leave none alone; others escape quotes only.
LONE_BACKSLASH = re.compile(rb"(?<!\\)(?:\\\\)*\\(?![\"\\])")
BACKSLASH_BEFORE_NO_QUOTE = re.compile(r"\\(?!\")")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How the fields of a file are written."""

    delimiter: str
    quote: str = '"'
    """The character around fields; empty when no field is quoted."""
    escape: str | None = None
    """The character that takes the meaning from the next one."""
    literal_escape: re.Pattern[str] | None = None
    """The escapes that stand for themselves."""

    def read(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Split lines into records of fields; a blank line is an empty record."""
        csv.field_size_limit(FIELD_CHARACTERS)
        if (literal := self.literal_escape) is not None:
            lines = (literal.sub(r"\\\\", line) if "\\" in line else line for line in lines)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            escapechar=self.escape,
        )


def find_dialect(lines: list[str], *, options: CsvOptions, is_complete: bool) -> tuple[Dialect, list[str]]:
    """Find how lines of a file are written, unless it is declared, and return the dialect and notes.

    Without `is_complete`, the last record may be cut off.
    """
    notes = []
    quote = options.quote
    if quote is None:
        quote = '"' if options.delimiter == "'" or not _has_single_quotes(lines, declared=options.delimiter) else "'"
        if quote != '"':
            notes.append("The fields are quoted with ' instead of \"; set `quote` to read them otherwise.")
    if options.delimiter is not None:
        delimiter = _check_delimiter(options.delimiter)
    else:
        delimiter = _find_delimiter(lines, quote=quote, escape=options.escape, is_complete=is_complete)
        if delimiter != ",":
            notes.append(f"The delimiter was detected as {DELIMITER_NAMES.get(delimiter, delimiter)!r}.")
    for name in ("quote", "escape", "comment"):
        character = getattr(options, name)
        if character and (not character.isascii() or character in "\r\n\0" or character == delimiter):
            raise errors.BadDataError(f"{character!r} can't be the `{name}`; it must be another ASCII character.")
    return Dialect(delimiter, quote, options.escape), notes


def find_escape(path: Path, *, dialect: Dialect) -> tuple[Dialect, list[str]]:
    """Find out whether backslashes escape quotes in a file, and whether all of them escape something."""
    pattern = re.compile(ESCAPED_QUOTE.format(delimiter=re.escape(dialect.delimiter)).encode(), re.MULTILINE)
    escapes = is_literal = False
    with path.open("rb") as file:
        rest = b""
        while chunk := file.read(CHUNK_BYTES):
            text = rest + chunk
            rest = text[len(text.rstrip(b'\\"')) - 1 :] if text[-1:] in b'\\"' else b""
            if b"\\" in text:
                escapes = escapes or (b'\\"' in text and pattern.search(text) is not None)
                is_literal = is_literal or LONE_BACKSLASH.search(text) is not None
    if not escapes:
        return dialect, []
    literal = BACKSLASH_BEFORE_NO_QUOTE if is_literal else None
    note = "Quotes within quoted fields are escaped with a backslash, which was removed; `escape` says otherwise."
    return dataclasses.replace(dialect, escape="\\", literal_escape=literal), [note]


def _check_delimiter(declared: str) -> str:
    if not declared.isascii() or declared in '"\r\n\0' or not declared:
        raise errors.BadDataError(
            f"The delimiter {declared!r} can't be used; it must be one ASCII character "
            "that is neither a quote nor a line break, such as ',' or ';'."
        )
    return declared


def _has_single_quotes(lines: list[str], *, declared: str | None) -> bool:
    """Check whether all fields that begin with a single quote end with one, and no field has double quotes."""
    text = "".join(lines)
    if text.count("'") < 4 or '"' in text:
        return False
    delimiters = re.escape(declared or "".join(DELIMITERS))
    begun = len(re.findall(rf"(?:^|(?<=[{delimiters}]))'", text, re.MULTILINE))
    quoted = len(re.findall(rf"(?:^|(?<=[{delimiters}]))'(?:[^']|'')*'(?=[{delimiters}\r\n]|$)", text, re.MULTILINE))
    return quoted > 1 and quoted == begun


def _find_delimiter(lines: list[str], *, quote: str, escape: str | None, is_complete: bool) -> str:
    """Choose the delimiter that splits the most records into as many fields as the first one has.

    Where none does that well, lines above the table may have other fields, so the most frequent width counts.
    """
    best, best_score = DELIMITERS[0], (0.0, 1)
    likely, likely_score = DELIMITERS[0], (0.0, 1)
    for delimiter in DELIMITERS:
        widths = _sample_widths(lines, dialect=Dialect(delimiter, quote, escape), is_complete=is_complete)
        if not widths:
            continue
        usual, count = max(collections.Counter(widths).items(), key=lambda item: (item[0] > 1, item[1], item[0]))
        if usual > 1:
            likely_score, likely = max((likely_score, likely), ((round(count / len(widths), 1), usual), delimiter))
        score = (round(widths.count(widths[0]) / len(widths), 1), widths[0])
        if widths[0] > 1 and score > best_score:
            best, best_score = delimiter, score
    return best if best_score[0] >= SURE_SHARE or likely_score[0] <= best_score[0] else likely


def _sample_widths(lines: list[str], *, dialect: Dialect, is_complete: bool) -> list[int]:
    widths: list[int] = []
    with contextlib.suppress(csv.Error):  # A field beyond the reader's own limit: judge by the records before it.
        widths.extend(len(record) for record in itertools.islice(dialect.read(lines), SAMPLE_RECORDS) if record)
    if not is_complete and 1 < len(widths) < SAMPLE_RECORDS:
        widths.pop()
    return widths
