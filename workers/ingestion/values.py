"""Converts a column of text to a type: strictly, as types are inferred, or leniently, as they are declared."""

import contextlib
import dataclasses
import decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared import contract
from shared.ml import frames
from workers.tabular import text_buffers

TRUE = ["true", "t", "yes", "y", "1"]
FALSE = ["false", "f", "no", "n", "0"]
# From this number on, a float64 can't tell every integer from its neighbour.
EXACT_INTEGER = 2**53
# Texts that would lose a plus sign or leading zeros as a number.
LOSSY_NUMBER = r"^(\+|-?0[0-9])"
WHOLE_NUMBER = r"^[+-]?[0-9]+$"
LAST_SPACE = ord(" ")
# The bytes that ascii_trim_whitespace removes, none of them above LAST_SPACE.
IS_SPACE = np.isin(np.arange(256), list(b" \t\n\v\f\r"))
WITH_OFFSET = r"[T ].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
# The digits of a time that are finer than a microsecond; those of which one is not 0 are lost.
TIME_START = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]"
FINER_DIGITS = r"(\.[0-9]{6})[0-9]+"
LOST_DIGITS = r"\.[0-9]{6}[0-9]*[1-9]"
SEVENTH_DIGIT = len("2026-01-01T00:00:00.123456")
# A float is written with at most 17 digits, so a number with more of them may have lost some.
MANY_DIGITS = r"[1-9](\.?[0-9]){17}"
MOST_DIGITS = 17
FIRST_CHARACTERS = 4
INFERRED_BOOLEANS = pa.array(["true", "false"])


@dataclasses.dataclass(frozen=True)
class TextChunk:
    """A column's texts of one batch, null where a value is missing."""

    trimmed: pa.Array
    """The texts without spaces at their ends."""
    raw: pa.Array
    """The texts as they are."""
    converted: pa.Array | None = None
    """The values of the type `column_type`, when they have already been converted to it."""
    column_type: contract.ColumnType | None = None
    rewritten: int = 0
    """How many of the trimmed texts were rewritten in the plain form of numbers and dates."""
    example: tuple[str, str] = ("", "")
    """One of them, and its plain form."""


def find_missing(texts: pa.Array, *, missing: pa.Array) -> TextChunk:
    """Find the texts that mean a missing value once trimmed; those that are in `missing` untrimmed are already null."""
    if not _has_space_at_an_end(texts):
        return TextChunk(texts, texts)
    trimmed = pc.ascii_trim_whitespace(texts)
    if len(missing) == 0:
        return TextChunk(trimmed, texts)
    is_missing = pc.is_in(trimmed, value_set=missing)
    null = pa.scalar(None, pa.string())
    return TextChunk(pc.if_else(is_missing, null, trimmed), pc.if_else(is_missing, null, texts))


def fits(texts: pa.Array, column_type: contract.ColumnType) -> bool:
    """Check whether every text can be converted to this type without loss."""
    return convert_strictly(texts, column_type) is not None


def convert_strictly(texts: pa.Array, column_type: contract.ColumnType) -> pa.Array | None:
    """Convert trimmed texts to a type; None when one of them does not fit it, or would lose something."""
    if column_type == "boolean" and _has_only_letters(texts):
        return _cast(texts, pa.bool_())
    try:
        converted = texts.cast(pa.int64()) if column_type == "integer" else to_type(texts, column_type)
    except pa.ArrowInvalid:
        return None
    match column_type:
        case "boolean":
            fits_all = _all_match(pc.is_in(pc.ascii_lower(texts), value_set=INFERRED_BOOLEANS, skip_nulls=True), texts)
        case "integer":
            fits_all = _is_plain(texts, converted) or _all_match(pc.equal(converted.cast(pa.string()), texts), texts)
        case "number":
            fits_all = _keeps_digits(texts, converted)
        case _:
            fits_all = True
    return converted if fits_all else None


def to_type(texts: pa.Array, column_type: contract.ColumnType) -> pa.Array:
    """Convert trimmed texts to a type; pa.ArrowInvalid when one does not fit. Numbers may become infinite."""
    match column_type:
        case "boolean":
            return _to_boolean(texts)
        case "integer":
            return _to_integer(texts)
        case "timestamp":
            return _to_timestamp(texts)
        case _:
            return texts.cast(frames.PHYSICAL_TYPES[column_type])


def find_mismatch(texts: pa.Array, column_type: contract.ColumnType, *, strictly: bool) -> int:
    """Find the position of the first text that does not fit, provided that there is one, by bisection."""
    low, high = 0, len(texts)
    while high - low > 1:
        middle = (low + high) // 2
        if _converts(texts.slice(low, middle - low), column_type, strictly=strictly):
            low = middle
        else:
            high = middle
    return low


def any_lacks_offset(texts: pa.Array) -> bool:
    """Check whether any of these times has no offset from UTC."""
    offsets, raw_bytes = text_buffers.text_offsets(texts), text_buffers.text_bytes(texts)
    if len(raw_bytes) and bool((raw_bytes.take(offsets[1:] - offsets[0] - 1, mode="clip") == ord("Z")).all()):
        return False
    if _cast(texts, frames.PHYSICAL_TYPES["timestamp"]) is not None:
        return False
    return bool(pc.any(_lacks_offset(texts)).as_py())


def count_rounded(texts: pa.Array, numbers: pa.Array) -> int:
    """Count the texts with fractions and more than 17 digits that their numbers, 64-bit floats, don't keep all of."""
    suspects = pa.array(_find_long_numbers(texts))
    texts, numbers = texts.take(suspects), numbers.take(suspects)
    is_long = pc.match_substring_regex(texts, MANY_DIGITS)
    is_fraction = pc.and_(is_long, pc.less(pc.abs(numbers), float(EXACT_INTEGER)))
    pairs = zip(texts.filter(is_fraction).to_pylist(), numbers.filter(is_fraction).to_pylist(), strict=True)
    return sum(decimal.Decimal(text) != decimal.Decimal(repr(number)) for text, number in pairs)


def _find_long_numbers(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Find the positions of the texts that may have more than 17 digits, without reading them."""
    offsets, raw_bytes = text_buffers.text_offsets(texts), text_buffers.text_bytes(texts)
    lengths = np.diff(offsets)
    if len(lengths) == 0 or lengths.max() <= MOST_DIGITS + 1:
        return np.empty(0, np.int64)
    positions = np.flatnonzero(lengths > MOST_DIGITS + 1)
    starts, lengths = offsets[positions] - offsets[0], lengths[positions]
    # Neither the point nor signs and zeros before all other digits count.
    digits, is_leading = lengths - 1, np.ones(len(positions), bool)
    for index in range(FIRST_CHARACTERS):
        characters = raw_bytes.take(starts + index, mode="clip")
        is_leading &= characters <= ord("0")
        digits -= is_leading & (characters != ord("."))
    return positions[digits > MOST_DIGITS]


def count_finer(texts: pa.Array) -> int:
    """Count the times that are finer than a microsecond."""
    offsets, raw_bytes = text_buffers.text_offsets(texts), text_buffers.text_bytes(texts)
    lengths = np.diff(offsets)
    if len(lengths) == 0 or lengths.max() <= SEVENTH_DIGIT:
        return 0
    seventh = raw_bytes.take(offsets[:-1] - offsets[0] + SEVENTH_DIGIT, mode="clip")
    if not bool(((lengths > SEVENTH_DIGIT) & (seventh >= ord("0")) & (seventh <= ord("9"))).any()):
        return 0
    return int(pc.sum(pc.match_substring_regex(texts, LOST_DIGITS)).as_py() or 0)


def _cut_finer_digits(texts: pa.Array) -> pa.Array:
    """Cut what is finer than a microsecond off texts, if the first of them looks like a time."""
    position = pc.index(texts.is_valid(), value=True).as_py()
    if position < 0 or not pc.match_substring_regex(texts.slice(position, 1), TIME_START)[0].as_py():
        return texts
    return pc.replace_substring_regex(texts, FINER_DIGITS, r"\1")


def _lacks_offset(texts: pa.Array) -> pa.Array:
    return pc.invert(pc.match_substring_regex(texts, WITH_OFFSET))


def _has_space_at_an_end(texts: pa.Array) -> bool:
    """Check whether any text begins or ends with a space, by its first and last bytes."""
    raw_bytes = text_buffers.text_bytes(texts)
    if len(raw_bytes) == 0 or raw_bytes.min() > LAST_SPACE:
        return False
    offsets = text_buffers.text_offsets(texts)
    starts = offsets[:-1] - offsets[0]
    # Every checked byte begins or ends some text: for an empty text, it is a neighbour's byte.
    first, last = raw_bytes.take(starts, mode="clip"), raw_bytes.take(starts - 1, mode="clip")
    return bool(IS_SPACE[first].any() or IS_SPACE[last].any() or IS_SPACE[raw_bytes[-1]])


def has_exponent(texts: pa.Array) -> bool:
    """Check whether any of these numbers has an exponent."""
    raw_bytes = text_buffers.text_bytes(texts)
    return bool(len(raw_bytes) and raw_bytes.max() >= ord("E"))


def _converts(texts: pa.Array, column_type: contract.ColumnType, *, strictly: bool) -> bool:
    if strictly:
        return fits(texts, column_type)
    try:
        to_type(texts, column_type)
    except pa.ArrowInvalid:
        return False
    return True


def _all_match(matches: pa.Array, texts: pa.Array) -> bool:
    """Check whether every text that is not null matches."""
    return bool(pc.all(pc.or_kleene(matches, texts.is_null())).as_py() is not False)


def _cast(texts: pa.Array, arrow_type: pa.DataType) -> pa.Array | None:
    try:
        return texts.cast(arrow_type)
    except pa.ArrowInvalid:
        return None


def _has_only_letters(texts: pa.Array) -> bool:
    """Check that there are no digits, signs or spaces, so that a cast to booleans accepts only `true` and `false`."""
    raw_bytes = text_buffers.text_bytes(texts)
    return len(raw_bytes) > 0 and bool(raw_bytes.min() >= ord("A"))


def _is_plain(texts: pa.Array, integers: pa.Array) -> bool:
    """Check whether texts have no more characters than their integers need; False may also mean "unknown"."""
    raw_bytes, numbers = text_buffers.text_bytes(texts), integers.drop_null().to_numpy()
    if len(numbers) == 0 or raw_bytes.max() > ord("9"):
        return False
    magnitudes = np.abs(numbers).view(np.uint64)
    powers = range(1, len(str(magnitudes.max())))
    digits = len(numbers) + sum(np.count_nonzero(magnitudes >= np.uint64(10**power)) for power in powers)
    # A text has each digit and the sign of its number, so it can only be longer.
    return bool(digits + np.count_nonzero(numbers < 0) == len(raw_bytes))


def _keeps_digits(texts: pa.Array, numbers: pa.Array) -> bool:
    """Check that no text loses a sign, a leading zero or a digit as the number that it was read as."""
    if _is_any_lossy(texts):
        return False
    extremes = pc.min_max(numbers)
    if max(-(extremes["min"].as_py() or 0.0), extremes["max"].as_py() or 0.0) < EXACT_INTEGER:
        return True
    large = pc.greater_equal(pc.abs(numbers), float(EXACT_INTEGER))
    return not pc.any(pc.match_substring_regex(texts.filter(large), WHOLE_NUMBER)).as_py()


def _is_any_lossy(texts: pa.Array) -> bool:
    # Few numbers begin with a plus or a zero, and only these need the slow check.
    suspects = texts.take(pa.array(_find_suspects(texts)))
    return bool(pc.any(pc.match_substring_regex(suspects, LOSSY_NUMBER)).as_py())


def _find_suspects(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Find the positions of the texts that begin with a plus, or with a zero that is not before a point."""
    offsets, raw_bytes = text_buffers.text_offsets(texts), text_buffers.text_bytes(texts)
    if len(raw_bytes) == 0:
        return np.empty(0, np.int64)
    starts, is_longer = offsets[:-1] - offsets[0], np.diff(offsets) > 1
    first, second, third = (raw_bytes.take(starts + index, mode="clip") for index in range(3))
    is_zero = (first == ord("0")) & (second != ord(".")) & is_longer
    is_minus_zero = (first == ord("-")) & (second == ord("0")) & (third != ord("."))
    return np.flatnonzero(is_zero | is_minus_zero | (first == ord("+")))


def _to_integer(texts: pa.Array) -> pa.Array:
    # Arrow also reads 0x1F as a number, hence the check of the digits; the plain form is common and cheaper to check.
    if (plain := convert_strictly(texts, "integer")) is not None:
        return plain
    if not _all_match(pc.match_substring_regex(texts, WHOLE_NUMBER), texts):
        raise pa.ArrowInvalid("not a whole number")
    return pc.replace_substring_regex(texts, r"^\+", "").cast(pa.int64())


def _to_boolean(texts: pa.Array) -> pa.Array:
    lower = pc.ascii_lower(texts)
    true = pc.is_in(lower, value_set=pa.array(TRUE), skip_nulls=True)
    if not _all_match(pc.or_(true, pc.is_in(lower, value_set=pa.array(FALSE), skip_nulls=True)), texts):
        raise pa.ArrowInvalid("not a boolean")
    return pc.if_else(texts.is_null(), pa.scalar(None, pa.bool_()), true)


def _to_timestamp(texts: pa.Array) -> pa.Array:
    """Read ISO 8601 with an offset, or without one as UTC, in microseconds of UTC; what is finer is cut off."""
    utc, local = frames.PHYSICAL_TYPES["timestamp"], pa.timestamp("us")
    # A cast fails at the first text of the other form, which is much faster than checking each of them.
    for arrow_type in (utc, local):
        with contextlib.suppress(pa.ArrowInvalid):
            return texts.cast(arrow_type).cast(utc)
    texts = _cut_finer_digits(texts)
    lacks_offset = _lacks_offset(texts)
    null = pa.scalar(None, pa.string())
    without_offset = pc.if_else(lacks_offset, texts, null).cast(local).cast(utc)
    return pc.coalesce(without_offset, pc.if_else(lacks_offset, null, texts).cast(utc))
