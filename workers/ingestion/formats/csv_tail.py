"""Looks at the end of a CSV file for what may be no row: totals, sources, notes and blank rows."""

from pathlib import Path

from workers.ingestion.formats import csv_dialect, value_forms

TAIL_BYTES = 16 * 1024
MAX_LINES = 20


def read(path: Path, *, skip_bytes: int, dialect: csv_dialect.Dialect) -> list[list[str]]:
    """Read the last lines, each on its own, as fields; blank lines are left out."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(skip_bytes, size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return [fields for line in lines[-MAX_LINES:] for fields in dialect.read([line]) if fields]


def is_plain(lines: list[list[str]]) -> bool:
    """Check whether each of the last lines seems to be a row."""
    return not any(is_suspicious(fields) if len(fields) > 1 else value_forms.is_remark(fields[0]) for fields in lines)


def has_total(lines: list[list[str]]) -> bool:
    """Check whether any of the last lines begins like a total."""
    return any(len(fields) > 1 and value_forms.is_total(fields[0]) for fields in lines)


def is_suspicious(fields: list[str]) -> bool:
    """Check whether a row of several fields is blank, or begins like a remark or a total."""
    filled = [text.strip() for text in fields if text.strip()]
    if not filled:
        return True
    return value_forms.is_total(filled[0]) or (len(filled) == 1 and value_forms.is_remark(filled[0]))
