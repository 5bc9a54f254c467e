"""What one column of text can be read as: the strict forms that types are inferred from, and the lenient ones."""

import contextlib
import dataclasses

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared import contract
from shared.ml import frames

TRUE = ["true", "t", "yes", "y", "1"]
FALSE = ["false", "f", "no", "n", "0"]
# From here on a float64 can't tell every integer from its neighbour.
EXACT_INTEGER = 2**53
# What a parser would take for a number and thereby lose: a plus sign, leading zeros.
LOSSY_NUMBER = r"^(\+|-?0[0-9])"
WHOLE_NUMBER = r"^[+-]?[0-9]+$"
LAST_SPACE = ord(" ")
# The bytes that ascii_trim_whitespace cuts off, none of them above the last.
IS_SPACE = np.isin(np.arange(256), list(b" \t\n\v\f\r"))
WITH_OFFSET = r"[T ].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
INFERRED_BOOLEANS = pa.array(["true", "false"])

Letters = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Reading:
    """A column's next texts, null where they mean nothing."""

    trimmed: pa.Array
    """Without spaces at their ends."""
    raw: pa.Array
    """As they are."""
    converted: pa.Array | None = None
    """As the type `kind`, when they were read as that already."""
    kind: contract.ColumnType | None = None


def find_missing(texts: pa.Array, *, missing: pa.Array) -> Reading:
    """Find the texts that mean nothing; those that are in `missing` as they stand are null already."""
    if not _has_space_at_an_end(texts):
        return Reading(texts, texts)
    trimmed = pc.ascii_trim_whitespace(texts)
    if len(missing) == 0:
        return Reading(trimmed, texts)
    is_missing = pc.is_in(trimmed, value_set=missing)
    nothing = pa.scalar(None, pa.string())
    return Reading(pc.if_else(is_missing, nothing, trimmed), pc.if_else(is_missing, nothing, texts))


def fits(texts: pa.Array, kind: contract.ColumnType) -> bool:
    """Tell whether every text reads as this type and would lose nothing by it."""
    return read_strictly(texts, kind) is not None


def read_strictly(texts: pa.Array, kind: contract.ColumnType) -> pa.Array | None:
    """Convert trimmed texts to a type; None when one does not read as it, or would lose something by it."""
    if kind == "boolean" and _holds_only_letters(texts):
        return _cast(texts, pa.bool_())
    try:
        read = texts.cast(pa.int64()) if kind == "integer" else to_type(texts, kind)
    except pa.ArrowInvalid:
        return None
    match kind:
        case "boolean":
            good = _all(pc.is_in(pc.ascii_lower(texts), value_set=INFERRED_BOOLEANS, skip_nulls=True), texts)
        case "integer":
            good = _is_plain(texts, read) or _all(pc.equal(read.cast(pa.string()), texts), texts)
        case "number":
            good = _keeps_digits(texts, read)
        case _:
            good = True
    return read if good else None


def to_type(texts: pa.Array, kind: contract.ColumnType) -> pa.Array:
    """Convert trimmed texts to a type; pa.ArrowInvalid when one does not fit. Numbers may come out infinite."""
    match kind:
        case "boolean":
            return _to_boolean(texts)
        case "integer":
            return _to_integer(texts)
        case "timestamp":
            return _to_timestamp(texts)
        case _:
            return texts.cast(frames.PHYSICAL_TYPES[kind])


def first_misfit(texts: pa.Array, kind: contract.ColumnType, *, strictly: bool) -> int:
    """Find the first text that does not fit, given that there is one, by halving."""
    low, high = 0, len(texts)
    while high - low > 1:
        middle = (low + high) // 2
        if _converts(texts.slice(low, middle - low), kind, strictly=strictly):
            low = middle
        else:
            high = middle
    return low


def any_lacks_offset(texts: pa.Array) -> bool:
    """Tell whether any of these times says no offset from UTC."""
    offsets, letters = text_offsets(texts), text_letters(texts)
    if len(letters) and bool((letters.take(offsets[1:] - offsets[0] - 1, mode="clip") == ord("Z")).all()):
        return False
    if _cast(texts, frames.PHYSICAL_TYPES["timestamp"]) is not None:
        return False
    return bool(pc.any(_lacks_offset(texts)).as_py())


def _lacks_offset(texts: pa.Array) -> pa.Array:
    return pc.invert(pc.match_substring_regex(texts, WITH_OFFSET))


def _has_space_at_an_end(texts: pa.Array) -> bool:
    """Tell whether any text begins or ends with a space, from the bytes there."""
    letters = text_letters(texts)
    if len(letters) == 0 or letters.min() > LAST_SPACE:
        return False
    offsets = text_offsets(texts)
    starts = offsets[:-1] - offsets[0]
    # Every letter looked at begins or ends some text: where one is empty, it is a neighbour's.
    first, last = letters.take(starts, mode="clip"), letters.take(starts - 1, mode="clip")
    return bool(IS_SPACE[first].any() or IS_SPACE[last].any() or IS_SPACE[letters[-1]])


def text_offsets(texts: pa.Array) -> npt.NDArray[np.int32]:
    """Give where each text begins in the buffer of all texts, and where the last one ends."""
    buffer = texts.buffers()[1]
    if buffer is None or len(texts) == 0:
        return np.zeros(1, np.int32)
    return np.frombuffer(buffer, np.int32)[texts.offset :][: len(texts) + 1]


def text_letters(texts: pa.Array) -> Letters:
    """Give the bytes of all texts, one text after the other; a missing one may have some too."""
    offsets, buffer = text_offsets(texts), texts.buffers()[2]
    return np.frombuffer(b"" if buffer is None else buffer, np.uint8)[offsets[0] : offsets[-1]]


def _converts(texts: pa.Array, kind: contract.ColumnType, *, strictly: bool) -> bool:
    if strictly:
        return fits(texts, kind)
    try:
        to_type(texts, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _all(matches: pa.Array, texts: pa.Array) -> bool:
    """Tell whether every text that is not null matches."""
    return bool(pc.all(pc.or_kleene(matches, texts.is_null())).as_py() is not False)


def _cast(texts: pa.Array, kind: pa.DataType) -> pa.Array | None:
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        return None


def _holds_only_letters(texts: pa.Array) -> bool:
    """Tell whether there are no digits, signs or spaces, so that a cast to booleans knows only their two names."""
    letters = text_letters(texts)
    return len(letters) > 0 and bool(letters.min() >= ord("A"))


def _is_plain(texts: pa.Array, integers: pa.Array) -> bool:
    """Tell whether texts have no more letters than their integers need; False may also mean that it can't be told."""
    letters, numbers = text_letters(texts), integers.drop_null().to_numpy()
    if len(numbers) == 0 or letters.max() > ord("9"):
        return False
    sizes = np.abs(numbers).view(np.uint64)
    powers = range(1, len(str(sizes.max())))
    digits = len(numbers) + sum(np.count_nonzero(sizes >= np.uint64(10**power)) for power in powers)
    # A text has each digit and the sign of its number, so that it can only be longer.
    return bool(digits + np.count_nonzero(numbers < 0) == len(letters))


def _keeps_digits(texts: pa.Array, numbers: pa.Array) -> bool:
    """Tell whether no text loses a sign, a leading zero or a digit as the number that it was read as."""
    if _is_any_lossy(texts):
        return False
    extremes = pc.min_max(numbers)
    if max(-(extremes["min"].as_py() or 0.0), extremes["max"].as_py() or 0.0) < EXACT_INTEGER:
        return True
    large = pc.greater_equal(pc.abs(numbers), float(EXACT_INTEGER))
    return not pc.any(pc.match_substring_regex(texts.filter(large), WHOLE_NUMBER)).as_py()


def _is_any_lossy(texts: pa.Array) -> bool:
    # Few numbers begin so that they may lose something, and only these need the slow look.
    suspects = texts.take(pa.array(_suspects(texts)))
    return bool(pc.any(pc.match_substring_regex(suspects, LOSSY_NUMBER)).as_py())


def _suspects(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Give the positions of the texts that begin with a plus, or with a zero that is not before a point."""
    offsets, letters = text_offsets(texts), text_letters(texts)
    if len(letters) == 0:
        return np.empty(0, np.int64)
    starts, is_longer = offsets[:-1] - offsets[0], np.diff(offsets) > 1
    first, second, third = (letters.take(starts + place, mode="clip") for place in range(3))
    is_zero = (first == ord("0")) & (second != ord(".")) & is_longer
    is_minus_zero = (first == ord("-")) & (second == ord("0")) & (third != ord("."))
    return np.flatnonzero(is_zero | is_minus_zero | (first == ord("+")))


def _to_integer(texts: pa.Array) -> pa.Array:
    # Arrow reads 0x1F as a number too, hence the look at the digits; the plain form is common and cheaper to check.
    if (plain := read_strictly(texts, "integer")) is not None:
        return plain
    if not _all(pc.match_substring_regex(texts, WHOLE_NUMBER), texts):
        raise pa.ArrowInvalid("not a whole number")
    return pc.replace_substring_regex(texts, r"^\+", "").cast(pa.int64())


def _to_boolean(texts: pa.Array) -> pa.Array:
    lower = pc.ascii_lower(texts)
    true = pc.is_in(lower, value_set=pa.array(TRUE), skip_nulls=True)
    if not _all(pc.or_(true, pc.is_in(lower, value_set=pa.array(FALSE), skip_nulls=True)), texts):
        raise pa.ArrowInvalid("not a boolean")
    return pc.if_else(texts.is_null(), pa.scalar(None, pa.bool_()), true)


def _to_timestamp(texts: pa.Array) -> pa.Array:
    """Read ISO 8601 with an offset, or without one as UTC, in microseconds of UTC."""
    utc, local = frames.PHYSICAL_TYPES["timestamp"], pa.timestamp("us")
    # A cast fails at the first text of the other form, long before the look at each of them would be done.
    for form in (utc, local):
        with contextlib.suppress(pa.ArrowInvalid):
            return texts.cast(form).cast(utc)
    without = _lacks_offset(texts)
    nothing = pa.scalar(None, pa.string())
    plain = pc.if_else(without, texts, nothing).cast(local).cast(utc)
    return pc.coalesce(plain, pc.if_else(without, nothing, texts).cast(utc))
