"""Converts decimals to whole numbers, to text with every digit, or to floats, and tells whether digits were lost."""

import decimal

import pyarrow as pa
import pyarrow.compute as pc

# Decimals of 15 digits survive a float64 unchanged, and whole ones of 18 digits fit in 64 bits.
FLOAT_DIGITS = 15
INTEGER_DIGITS = 18
MAX_DIGITS = 76


def is_whole_decimal(arrow_type: pa.DataType) -> bool:
    """Check whether a type is one of decimals without digits after the point."""
    return bool(pa.types.is_decimal(arrow_type) and arrow_type.scale == 0)


def is_wide(arrow_type: pa.DataType) -> bool:
    """Check whether a type is one of whole numbers that may not all fit in 64 bits."""
    return bool(
        pa.types.is_uint64(arrow_type) or (is_whole_decimal(arrow_type) and arrow_type.precision > INTEGER_DIGITS)
    )


def fit_int64(numbers: pa.Array) -> bool:
    """Check whether every one of these whole numbers fits in 64 bits."""
    try:
        numbers.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def to_text(decimals: pa.Array) -> pa.Array:
    """Write decimals with all their digits, never with an exponent."""
    texts = decimals.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts
    return pa.array([None if value is None else f"{value:f}" for value in decimals.to_pylist()], pa.string())


def to_floats(decimals: pa.Array) -> pa.Array:
    """Convert decimals to the nearest floats."""
    # Arrow's own cast is off by a bit: 0.35 becomes 0.35000000000000003.
    return decimals.cast(pa.string()).cast(pa.float64())


def count_lossy(decimals: pa.Array, *, floats: pa.Array) -> int:
    """Count the decimals that can't be recovered from their floats."""
    if decimals.type.precision <= FLOAT_DIGITS:
        return 0
    wide = pa.decimal256(MAX_DIGITS, decimals.type.scale)
    try:
        recovered = floats.cast(pa.string()).cast(wide)
    except pa.ArrowInvalid:
        # A float that was rounded up has a digit too many for this type.
        pairs = zip(decimals.to_pylist(), floats.to_pylist(), strict=True)
        return sum(exact is not None and decimal.Decimal(repr(number)) != exact for exact, number in pairs)
    return pc.sum(pc.not_equal(recovered, decimals.cast(wide))).as_py() or 0


def describe_rounded(column: str, count: int, *, numbers: str) -> str:
    """Describe how many numbers of a column have lost digits as floats."""
    return (
        f"Column {column!r} holds {count:,} {numbers} with more digits than the about 16 that a number keeps, so "
        "different ones may have become the same; give it the type 'string' to keep all digits."
    )
