"""What a sample of a column's texts says about the order of days and months in its dates."""

import dataclasses

import pyarrow as pa
import pyarrow.compute as pc

SEPARATORS = ".-/"
TIMES = (
    ("", ""),
    (r"[T ][0-9]{1,2}:[0-9]{2}", " %H:%M"),
    (r"[T ][0-9]{1,2}:[0-9]{2}:[0-9]{2}", " %H:%M:%S"),
    (r"[T ][0-9]{1,2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,6}", " %H:%M:%S.%f"),
    (r" [0-9]{1,2}:[0-9]{2} ?[AaPp][Mm]", " %I:%M %p"),
    (r" [0-9]{1,2}:[0-9]{2}:[0-9]{2} ?[AaPp][Mm]", " %I:%M:%S %p"),
)
NAMED = (
    (r"[0-9]{1,2}-[A-Za-z]{3}-[0-9]{4}", "%d-%b-%Y"),
    (r"[0-9]{1,2} [A-Za-z]{3} [0-9]{4}", "%d %b %Y"),
    (r"[A-Za-z]{3} [0-9]{1,2}, [0-9]{4}", "%b %d, %Y"),
    (r"[0-9]{1,2} [A-Za-z]{3,9} [0-9]{4}", "%d %B %Y"),
    (r"[A-Za-z]{3,9} [0-9]{1,2}, [0-9]{4}", "%B %d, %Y"),
)
MONTHS = 12
ANY_DATE = r"^[0-9A-Za-z]{1,9}[-/. ][0-9A-Za-z]{1,9},?[-/. ][0-9]{1,4}"
ISO_8601 = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
# Most columns of text are told by their first values.
FIRST = 50


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The formats that fit all dates of a column."""

    formats: tuple[str, ...]
    """One when the dates prove it, two when no day is above 12; none when they contradict one another."""
    has_century: bool
    """Whether years have four digits."""
    example: str

    @property
    def day_first(self) -> bool | None:
        """Whether the day stands before the month; None when that is open."""
        return self.formats[0].startswith("%d") if len(self.formats) == 1 else None


def find(texts: pa.Array) -> Evidence | None:
    """Find the formats of trimmed texts, none of which is missing; None when they are not dates of one form.

    ISO 8601 is none of these forms.
    """
    if not _all(texts[:FIRST], ANY_DATE) or _all(texts[:FIRST], ISO_8601):
        return None
    example = texts[0].as_py()
    for time_pattern, time_format in TIMES:
        for date_pattern, date_format in NAMED:
            if _all(texts, f"^{date_pattern}{time_pattern}$"):
                return Evidence((date_format + time_format,), has_century=True, example=example)
        for separator in SEPARATORS:
            sign = "\\." if separator == "." else separator
            if separator != "-" and _all(texts, f"^[0-9]{{4}}{sign}[0-9]{{1,2}}{sign}[0-9]{{1,2}}{time_pattern}$"):
                date_format = separator.join(("%Y", "%m", "%d"))
                return Evidence((date_format + time_format,), has_century=True, example=example)
            for digits, year in ((4, "%Y"), (2, "%y")):
                pattern = f"^([0-9]{{1,2}}){sign}([0-9]{{1,2}}){sign}[0-9]{{{digits}}}{time_pattern}$"
                if _all(texts, pattern):
                    formats = _order(texts, pattern, separator=separator, year=year)
                    times = tuple(date_format + time_format for date_format in formats)
                    return Evidence(times, has_century=digits > len("yy"), example=example)
    return None


def _order(texts: pa.Array, pattern: str, *, separator: str, year: str) -> tuple[str, ...]:
    """Find the possible orders of day and month; with points, the day always stands first."""
    named = pattern.replace("([0-9]", "(?P<a>[0-9]", 1).replace("([0-9]", "(?P<b>[0-9]", 1)
    parts = pc.extract_regex(texts, pattern=named)
    first, second = (pc.max(pc.struct_field(parts, name).cast(pa.int64())).as_py() for name in ("a", "b"))
    orders = []
    if second <= MONTHS:
        orders.append(("%d", "%m", year))
    if first <= MONTHS and separator != ".":
        orders.append(("%m", "%d", year))
    return tuple(separator.join(order) for order in orders)


def _all(texts: pa.Array, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(texts, pattern)).as_py() is True
