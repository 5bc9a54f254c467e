"""Says in sentences what was left out of a CSV file, and which option reads it otherwise."""

from workers.ingestion.formats import value_forms

SHOWN_CHARACTERS = 80
MAX_SHOWN = 3


def describe_above(lines: list[str], *, line: int) -> list[str]:
    """Describe the lines above the names, which stand in `line`."""
    if not lines:
        return []
    left_out = f"{count(len(lines), 'line')} above the columns' names in line {line:,} {were(len(lines))} left out"
    shown = show([text.strip() for text in lines])
    return [f"{left_out}: {shown}. Set `header` to the line of the names if that is wrong."]


def describe_units(records: list[list[str]]) -> list[str]:
    """Describe the records between the names and the rows."""
    left_out = "The row below the columns' names was left out, since it reads like units"
    return [f"{left_out}: {show(units)}. Set `header` to true if it is a row of values." for units in records]


def describe_header(header: list[str], *, rows: list[list[str]], line: int) -> list[str]:
    """Say when the names read like values, or when a single name stands above several columns."""
    filled = [text.strip() for text in header if text.strip()]
    values = [text for text in filled if value_forms.is_value(text) and not value_forms.YEAR.fullmatch(text)]
    names = f"The columns' names in line {line:,}"
    if len(values) * 2 > len(filled) and filled != [str(position) for position in range(len(filled))]:
        return [f"{names} read like values ({show(values)}). Set `header` to false if that line is a row."]
    if len(filled) == 1 < len(header) and header[0].strip() and any(len(row) > 1 and row[1].strip() for row in rows):
        return [f"{names} are only one, {show(filled)}. If that is a title, set `header` to the line of the names."]
    return []


def describe_footer(texts: list[str]) -> list[str]:
    """Describe the rows at the end that were left out as a footer."""
    if not texts:
        return []
    they_read = "it reads" if len(texts) == 1 else "they read"
    left_out = f"{count(len(texts), 'row')} at the end {were(len(texts))} left out, since {they_read} like a footer"
    return [f"{left_out}: {show(texts)}. Set `skip_footer` to 0 to keep them."]


def show(texts: list[str]) -> str:
    """Join the first texts, quoted and cut."""
    shown = ", ".join(repr(text[:SHOWN_CHARACTERS]) for text in texts[:MAX_SHOWN])
    excess = len(texts) - MAX_SHOWN
    return f"{shown} and {excess:,} more" if excess > 0 else shown


def count(number: int, what: str) -> str:
    """Write a number with its noun."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def were(number: int) -> str:
    """Return the verb of a number of things."""
    return "was" if number == 1 else "were"
