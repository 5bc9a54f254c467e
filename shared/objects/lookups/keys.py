"""Keys of looked-up rows, such as a customer's id: equal ones have the same hash, however a client writes them."""

import datetime
import hashlib
import math
import re
from collections.abc import Sequence
from typing import Any

from shared import contract, fingerprints

BYTES = 16
"""How long a hash is: among a million million keys two have the same one with a chance of 1 in 10^14."""
TYPES: tuple[contract.ColumnType, ...] = ("string", "integer", "boolean", "timestamp", "date")
"""What a column of a key may hold; fractions are equal or not by how they were computed."""
_WHOLE = re.compile(r"[+-]?\d{1,19}")
_FLAGS = {"true": "true", "false": "false", "1": "true", "0": "false"}
_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - times are in UTC without a zone here.
_MICROSECOND = datetime.timedelta(microseconds=1)
_LEAST, _MOST = -(2**63), 2**63 - 1


def to_text(value: Any, column_type: contract.ColumnType) -> str | None:
    """Write a value of a key as the text that is hashed; None where it is missing, and ValueError where it doesn't fit.

    Numbers may come as text and text as whole numbers, since CSV knows no types and codes are often digits.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if column_type == "string":
        text = _from_text(value)
    elif column_type == "integer":
        text = _from_integer(value)
    elif column_type == "boolean":
        text = _FLAGS.get(f"{value}".lower())
    else:
        text = _from_time(value)
    if text is None:
        raise ValueError(f"{type(value).__name__} where a {column_type} is")
    return text


def mark(names: Sequence[str]) -> str:
    """Make the mark of the columns of a key: one text of 64 characters, however long their names are."""
    return fingerprints.compute({"key": list(names)})


def hash_parts(parts: Sequence[str]) -> bytes:
    """Hash the texts of a key's columns, in the key's order."""
    if len(parts) == 1:
        return hashlib.blake2b(parts[0].encode("utf-8", "surrogatepass"), digest_size=BYTES).digest()
    hasher = hashlib.blake2b(digest_size=BYTES)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        # Else "a", "bc" would be "ab", "c".
        hasher.update(len(encoded).to_bytes(4, "little"))
        hasher.update(encoded)
    return hasher.digest()


def _from_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _from_integer(value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = int(value) if _WHOLE.fullmatch(value) else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    return str(value) if isinstance(value, int) and _LEAST <= value <= _MOST else None


def _from_time(value: Any) -> str | None:
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime.datetime):
        if not isinstance(value, datetime.date):
            return None
        value = datetime.datetime.combine(value, datetime.time())
    try:
        naive = value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)
    except OverflowError:
        return None
    return str((naive - _EPOCH) // _MICROSECOND)
