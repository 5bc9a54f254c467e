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
# The bytes that ascii_trim_whitespace cuts off.
IS_SPACE = np.isin(np.arange(256), list(b" \t\n\v\f\r"))
WITH_OFFSET = r"[T ].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
INFERRED_BOOLEANS = pa.array(["true", "false"])


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
    try:
        read = texts.cast(pa.int64()) if kind == "integer" else to_type(texts, kind)
    except pa.ArrowInvalid:
        return None
    match kind:
        case "boolean":
            good = _all(pc.is_in(pc.ascii_lower(texts), value_set=INFERRED_BOOLEANS, skip_nulls=True), texts)
        case "integer":
            good = _all(pc.equal(read.cast(pa.string()), texts), texts)
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
    try:
        texts.cast(frames.PHYSICAL_TYPES["timestamp"])
    except pa.ArrowInvalid:
        return bool(pc.any(_lacks_offset(texts)).as_py())
    return False


def _lacks_offset(texts: pa.Array) -> pa.Array:
    return pc.invert(pc.match_substring_regex(texts, WITH_OFFSET))


def _has_space_at_an_end(texts: pa.Array) -> bool:
    """Tell whether any text begins or ends with a space, from the bytes there."""
    offsets = text_offsets(texts)
    filled = np.flatnonzero(offsets[1:] > offsets[:-1])
    if not len(filled):
        return False
    letters = np.frombuffer(texts.buffers()[2], np.uint8)
    first, last = letters[offsets[filled]], letters[offsets[filled + 1] - 1]
    return bool(IS_SPACE[first].any() or IS_SPACE[last].any())


def text_offsets(texts: pa.Array) -> npt.NDArray[np.int32]:
    """Give where each text begins in the buffer of all texts, and where the last one ends."""
    buffer = texts.buffers()[1]
    if buffer is None or len(texts) == 0:
        return np.zeros(1, np.int32)
    return np.frombuffer(buffer, np.int32)[texts.offset :][: len(texts) + 1]


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


def _keeps_digits(texts: pa.Array, numbers: pa.Array) -> bool:
    """Tell whether no text loses a sign, a leading zero or a digit as the number that it was read as."""
    if _is_any_lossy(texts):
        return False
    large = pc.greater_equal(pc.abs(numbers), float(EXACT_INTEGER))
    if pc.any(large).as_py():
        return not pc.any(pc.match_substring_regex(texts.filter(large), WHOLE_NUMBER)).as_py()
    return True


def _is_any_lossy(texts: pa.Array) -> bool:
    # Few numbers begin so that they may lose something, and only these need the slow look.
    begins = [pc.starts_with(texts, start) for start in ("0", "-0", "+")]
    suspects = texts.filter(pc.or_(pc.or_(begins[0], begins[1]), begins[2]))
    return bool(pc.any(pc.match_substring_regex(suspects, LOSSY_NUMBER)).as_py())


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
