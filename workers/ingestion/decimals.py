"""Decimals as what they are kept as: whole numbers, text with every digit, or floats and whether digits were lost."""

import pyarrow as pa
import pyarrow.compute as pc

# A decimal of so many digits comes out of a float64 as it went in, and every whole one fits in 64 bits.
FLOAT_DIGITS = 15
INTEGER_DIGITS = 18
MOST_DIGITS = 76


def is_whole(kind: pa.DataType) -> bool:
    """Tell whether a type is that of decimals without places behind the point."""
    return bool(pa.types.is_decimal(kind) and kind.scale == 0)


def is_wide(kind: pa.DataType) -> bool:
    """Tell whether a type is of whole numbers of which some may not fit in 64 bits."""
    return bool(pa.types.is_uint64(kind) or (is_whole(kind) and kind.precision > INTEGER_DIGITS))


def fit_integers(numbers: pa.Array) -> bool:
    """Tell whether every one of these whole numbers fits in 64 bits."""
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
    return pa.array([None if one is None else f"{one:f}" for one in decimals.to_pylist()], pa.string())


def to_floats(decimals: pa.Array) -> pa.Array:
    """Give the nearest floats."""
    # Arrow's own cast misses them by a bit: 0.35 becomes 0.35000000000000003.
    return decimals.cast(pa.string()).cast(pa.float64())


def are_kept(decimals: pa.Array, *, floats: pa.Array) -> bool:
    """Tell whether every decimal can be written down again from its float."""
    if decimals.type.precision <= FLOAT_DIGITS:
        return True
    wide = pa.decimal256(MOST_DIGITS, decimals.type.scale)
    try:
        back = floats.cast(pa.string()).cast(wide)
    except pa.ArrowInvalid:
        return False  # A float that was rounded up has a digit too many.
    return pc.all(pc.equal(back, decimals.cast(wide))).as_py() is not False
