"""What one column of text can be read as: the strict forms that types are inferred from, and the lenient ones."""

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
WITH_OFFSET = r"[T ].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
INFERRED_BOOLEANS = pa.array(["true", "false"])


def find_missing(texts: pa.Array, *, missing: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Give the texts without spaces at their ends, and again as they are, both null where they mean nothing."""
    trimmed = pc.ascii_trim_whitespace(texts)
    if len(missing) == 0:
        return trimmed, texts
    is_missing = pc.is_in(trimmed, value_set=missing)
    nothing = pa.scalar(None, pa.string())
    return pc.if_else(is_missing, nothing, trimmed), pc.if_else(is_missing, nothing, texts)


def fits(texts: pa.Array, kind: contract.ColumnType) -> bool:
    """Tell whether every text reads as this type and would lose nothing by it."""
    try:
        match kind:
            case "boolean":
                return _all(pc.is_in(pc.ascii_lower(texts), value_set=INFERRED_BOOLEANS, skip_nulls=True), texts)
            case "integer":
                return _all(pc.equal(texts.cast(pa.int64()).cast(pa.string()), texts), texts)
            case "number":
                return _fits_number(texts)
            case "date" | "timestamp":
                to_type(texts, kind)
                return True
            case _:
                return True
    except pa.ArrowInvalid:
        return False


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


def lacks_offset(texts: pa.Array) -> pa.Array:
    """Tell which timestamps say no offset from UTC."""
    return pc.invert(pc.match_substring_regex(texts, WITH_OFFSET))


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


def _fits_number(texts: pa.Array) -> bool:
    numbers = texts.cast(pa.float64())
    if pc.any(pc.match_substring_regex(texts, LOSSY_NUMBER)).as_py():
        return False
    large = pc.greater_equal(pc.abs(numbers), float(EXACT_INTEGER))
    if pc.any(large).as_py():
        return not pc.any(pc.match_substring_regex(texts.filter(large), WHOLE_NUMBER)).as_py()
    return True


def _to_integer(texts: pa.Array) -> pa.Array:
    # Arrow reads 0x1F as a number too, hence the look at the digits; the plain form is common and cheaper to check.
    if fits(texts, "integer"):
        return texts.cast(pa.int64())
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
    try:
        return texts.cast(local).cast(utc)
    except pa.ArrowInvalid:
        without = lacks_offset(texts)
        nothing = pa.scalar(None, pa.string())
        plain = pc.if_else(without, texts, nothing).cast(local).cast(utc)
        return pc.coalesce(plain, pc.if_else(without, nothing, texts).cast(utc))
