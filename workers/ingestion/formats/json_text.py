"""Reads JSON lines and JSON documents as columns of text."""

from pathlib import Path
from typing import TextIO

from workers.ingestion import names, text_table
from workers.ingestion.formats import json_rows, json_spill, not_data, text_encoding, unpack
from workers.ingestion.limits import Limits

# The types that may be inferred from a column's text, by the kinds of its JSON values. A number that was sent as a
# string stays a string; columns of several kinds, arrays or objects become text.
CANDIDATES: dict[frozenset[str], text_table.CandidateTypes] = {
    frozenset({"boolean"}): ("boolean",),
    frozenset({"whole"}): ("integer", "number"),
    frozenset({"fractional"}): ("number",),
    frozenset({"whole", "fractional"}): ("integer", "number"),
    frozenset({"string"}): ("date", "timestamp"),
}


def open_json(path: Path, *, lines: bool, scratch: Path, limits: Limits) -> text_table.TextTable:
    """Read JSON lines, or a document `[{"column": value}]` or `{"column": [values]}`, as a table of text."""
    unpack.refuse_foreign_file(path, format_name="JSON")
    encoding = text_encoding.find_encoding(path, allow_fallback=False)
    utf8_path, skip_bytes = text_encoding.to_utf8(path, encoding=encoding, scratch=scratch)
    not_data.refuse(utf8_path, skip_bytes=skip_bytes, format_name="JSON")
    spill = json_spill.Spill(scratch, limits=limits)
    with json_rows.open_utf8(utf8_path, skip_bytes=skip_bytes) as file:
        if lines:
            spill.add(json_rows.iterate_lines(file))
        elif _is_object(file):
            spill.add(json_rows.iterate_columns(file, limits=limits))
        else:
            spill.add(json_rows.iterate_array(file))
    column_names, notes = names.resolve_names(spill.names, limits=limits)
    return text_table.TextTable(
        names=column_names,
        batches=spill.batches,
        candidates=[CANDIDATES.get(frozenset(kinds), ()) for kinds in spill.kinds],
        missing=[],
        notes=[*([encoding.note] if encoding.note else []), *notes, *_describe_kinds(column_names, spill.kinds)],
        locate_row=lambda row: f"Row {row:,}",
    )


def _is_object(file: TextIO) -> bool:
    """Check whether the first character that is not whitespace opens an object, and go back to the start."""
    start = file.tell()
    character = file.read(1)
    while character and character in json_rows.WHITESPACE:
        character = file.read(1)
    file.seek(start)
    return character == "{"


def _describe_kinds(column_names: list[str], kinds: list[set[str]]) -> list[str]:
    notes = []
    for name, column_kinds in zip(column_names, kinds, strict=True):
        if "nested" in column_kinds:
            notes.append(f"Column {name!r} holds arrays or objects, which are stored as JSON text.")
        elif len(column_kinds) > 1 and frozenset(column_kinds) not in CANDIDATES:
            listed = ", ".join(sorted(column_kinds))
            notes.append(f"Column {name!r} holds values of several kinds ({listed}), stored as text.")
    return notes
