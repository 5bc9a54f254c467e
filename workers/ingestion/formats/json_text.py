"""Gives JSON lines and JSON documents as columns of text."""

from pathlib import Path
from typing import TextIO

from workers.ingestion import names, text_table
from workers.ingestion.formats import json_rows, json_spill, text_encoding, unpack
from workers.ingestion.limits import Limits

# Which types a column's text may turn out to be, by the kinds of JSON values in it. A number that was sent as a
# string stays a string; columns of several kinds, arrays or objects become text as a whole.
CANDIDATES: dict[frozenset[str], text_table.FromText] = {
    frozenset({"boolean"}): ("boolean",),
    frozenset({"whole"}): ("integer", "number"),
    frozenset({"fractional"}): ("number",),
    frozenset({"whole", "fractional"}): ("integer", "number"),
    frozenset({"string"}): ("date", "timestamp"),
}


def open_json(path: Path, *, lines: bool, scratch: Path, limits: Limits) -> text_table.Texts:
    """Read JSON lines, or a document `[{"column": value}]` or `{"column": [values]}`, and give it as text."""
    unpack.refuse_foreign_file(path, format_name="JSON")
    found = text_encoding.find_encoding(path, allow_fallback=False)
    text, skip_bytes = text_encoding.to_utf8(path, encoding=found, scratch=scratch)
    spill = json_spill.Spill(scratch, limits=limits)
    with json_rows.opened(text, skip_bytes=skip_bytes) as file:
        if lines:
            spill.add(json_rows.iterate_lines(file))
        elif _is_object(file):
            spill.add(json_rows.iterate_columns(file, limits=limits))
        else:
            spill.add(json_rows.iterate_array(file))
    column_names, notes = names.settle_names(spill.names, limits=limits)
    return text_table.Texts(
        names=column_names,
        batches=spill.batches,
        candidates=[CANDIDATES.get(frozenset(kinds), ()) for kinds in spill.kinds],
        missing=[],
        notes=[*([found.note] if found.note else []), *notes, *_notes_on_kinds(column_names, spill.kinds)],
        place=lambda row: f"Row {row:,}",
    )


def _is_object(file: TextIO) -> bool:
    """Look at the first character that is no space, and go back to the start."""
    start = file.tell()
    character = file.read(1)
    while character and character in json_rows.SPACE:
        character = file.read(1)
    file.seek(start)
    return character == "{"


def _notes_on_kinds(column_names: list[str], kinds: list[set[str]]) -> list[str]:
    notes = []
    for name, found in zip(column_names, kinds, strict=True):
        if "nested" in found:
            notes.append(f"Column {name!r} holds arrays or objects, which are stored as JSON text.")
        elif len(found) > 1 and frozenset(found) not in CANDIDATES:
            notes.append(f"Column {name!r} holds values of several kinds ({', '.join(sorted(found))}), stored as text.")
    return notes
