"""The places of many rows at once: by the hash of `shared.prediction.shares`, or by chance that can be repeated."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.prediction import shares
from workers.prediction.online.deployed import to_unit

Places = np.ndarray[Any, np.dtype[np.int64]]
_OFFSET, _PRIME = 0x811C9DC5, np.uint32(0x01000193)
_DIGITS = 10
"""The most that a number of 32 bits has."""


def of_units(values: pa.Array, *, seed: str) -> Places:
    """Compute the places of a column's values, each as `shares.place_of` does of the value's text."""
    first = _hash(_to_texts(values), state=_hash_prefix(seed))
    places: Places = _hash_numbers(first).astype(np.int64) % shares.PLACES
    return places


def by_chance(*, start: int, count: int, seed: int) -> Places:
    """Draw the places of rows by their positions in the table, the same at each call and however rows are cut.

    Source: the mixing function of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
    2014, with the constants of Stafford's variant 13).
    """
    with np.errstate(over="ignore"):
        state = np.arange(start + 1, start + count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state += np.uint64(seed & (2**64 - 1))
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    places: Places = (state % np.uint64(shares.PLACES)).astype(np.int64)
    return places


def _to_texts(values: pa.Array) -> pa.Array:
    """Write values as the inference server does, where JSON has them; times are ISO 8601 in UTC."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type) or pa.types.is_string(values.type):
        return pc.fill_null(values.cast(pa.string()), "")
    distinct = values.dictionary_encode()
    texts = [_to_text(value) for value in distinct.dictionary.to_pylist()]
    return pc.fill_null(pa.array(texts, pa.string()).take(distinct.indices), "")


def _to_text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else to_unit(value)


def _hash_prefix(text: str) -> int:
    state = _OFFSET
    for byte in text.encode():
        state = ((state ^ byte) * int(_PRIME)) & 0xFFFFFFFF
    return state


def _hash(texts: pa.Array, *, state: int) -> Any:
    """Hash texts by FNV-1a of 32 bits from a state on, one byte of all of them after another."""
    large = texts.cast(pa.large_binary())
    _, offset_buffer, data_buffer = large.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[large.offset : large.offset + len(large) + 1]
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.zeros(0, dtype=np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    states = np.full(len(large), state, dtype=np.uint32)
    # Shortest first, so that those which still have bytes are always the rest of the array.
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    for position in range(int(ordered[-1]) if len(ordered) else 0):
        rows = order[np.searchsorted(ordered, position, side="right") :]
        states[rows] = (states[rows] ^ data[starts[rows] + position]) * _PRIME
    return states


def _hash_numbers(numbers: Any) -> Any:
    """Hash the decimal texts of numbers of 32 bits by FNV-1a."""
    states = np.full(len(numbers), _OFFSET, dtype=np.uint32)
    for power in range(_DIGITS - 1, -1, -1):
        scale = np.uint32(10**power)
        has_digit = (numbers >= scale) | (power == 0)
        digits = (numbers // scale % np.uint32(10)).astype(np.uint32) + np.uint32(ord("0"))
        states = np.where(has_digit, (states ^ digits) * _PRIME, states)
    return states


def tabulate(routes: Sequence[dict[str, Any]]) -> Any:
    """Write the route of each place, by its position, as an array."""
    return np.frombuffer(shares.tabulate([route["ranges"] for route in routes]), dtype=np.uint8)
