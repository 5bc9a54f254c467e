"""Dates and times in formats other than ISO 8601."""

import dataclasses
import functools

import pyarrow as pa
import pyarrow.compute as pc

from shared import date_formats

MONTHS = pa.array([name[:3].lower() for name in date_formats.MONTHS])


@dataclasses.dataclass(frozen=True)
class DateStyle:
    """A format of dates, or of dates with a time."""

    date_format: str

    @functools.cached_property
    def _pattern(self) -> str:
        return date_formats.to_pattern(self.date_format)

    def rewrite(self, texts: pa.Array) -> pa.Array:
        """Rewrite dates as ISO 8601; null where a text is not in the format."""
        parts = pc.extract_regex(texts, pattern=self._pattern)
        names = {field.name for field in parts.type}
        part = {name: pc.struct_field(parts, name) for name in names}
        month = _to_month(part["b"]) if "b" in names else _pad(part["m"])
        year = part["Y"] if "Y" in names else _to_year(part["y"])
        dates = pc.binary_join_element_wise(year, month, _pad(part["d"]), "-")
        if not names & {"H", "I"}:
            return dates
        hour = _pad(part["H"]) if "H" in names else _to_hour(part["I"], part["p"])
        none = pc.if_else(texts.is_null(), None, pa.scalar("00"))
        times = pc.binary_join_element_wise(hour, part.get("M", none), part.get("S", none), ":")
        if "f" in names:
            times = pc.binary_join_element_wise(times, part["f"], ".")
        if "z" in names:
            times = pc.binary_join_element_wise(times, _to_offset(part["z"]), "")
        return pc.binary_join_element_wise(dates, times, " ")

    def describe(self, column: str, *, count: int, example: tuple[str, str]) -> str:
        """Describe how many dates were read in this format."""
        what = "times" if date_formats.has_time(self.date_format) else "dates"
        century = " Years of two digits were read as 1969 to 2068." if "%y" in self.date_format else ""
        return (
            f"Column {column!r} was read as {what} written like {self.date_format!r}: {count:,}, such as "
            f"{example[0]!r} as {example[1]}.{century} Set `date_format` to read them otherwise, or the type 'string' "
            "to keep the text."
        )


def _pad(digits: pa.Array) -> pa.Array:
    return pc.utf8_lpad(digits, 2, "0")


def _to_month(names: pa.Array) -> pa.Array:
    """Return the numbers of English names of months; those of no month are no number."""
    numbers = pc.index_in(pc.utf8_lower(pc.utf8_slice_codeunits(names, 0, 3)), value_set=MONTHS)
    return _pad(pc.add(pc.fill_null(numbers, 98), 1).cast(pa.string()))


def _to_year(digits: pa.Array) -> pa.Array:
    century = pc.if_else(pc.greater_equal(pc.fill_null(digits, "00").cast(pa.int64()), date_formats.PIVOT), "19", "20")
    return pc.binary_join_element_wise(century, digits, "")


def _to_hour(hours: pa.Array, halves: pa.Array) -> pa.Array:
    """Return hours of 24 from those of 12; one that is none becomes 99."""
    numbers = pc.fill_null(hours, "0").cast(pa.int64())
    is_afternoon = pc.fill_null(pc.equal(pc.utf8_lower(halves), "pm"), fill_value=False)
    of_24 = pc.add(pc.if_else(pc.equal(numbers, 12), 0, numbers), pc.if_else(is_afternoon, 12, 0))
    is_hour = pc.and_(pc.greater_equal(numbers, 1), pc.less_equal(numbers, 12))
    texts = _pad(pc.if_else(is_hour, of_24, 99).cast(pa.string()))
    return pc.if_else(hours.is_null(), pa.scalar(None, pa.string()), texts)


def _to_offset(offsets: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(offsets, r"^([+-][0-9]{2})([0-9]{2})$", r"\1:\2")
