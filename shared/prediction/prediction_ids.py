"""The ids of predictions: each says by itself, signed, which version answered which unit when, and with what.

So what became true later joins a prediction without a log of it, however late it comes. One id stands for up to 64 rows
of a request, and `<id>.3` for the fourth of them. docs/decisions/serving.md, "The id of a prediction is signed and says
everything that feedback needs".
"""

import base64
import binascii
import dataclasses
import functools
import hashlib
import hmac
import math
import random
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from shared import errors

MAX_ROWS = 64
"""The rows of one id; a request with more gets several."""
MAX_CHARACTERS = 12_003
UNIT_BYTES = 8
_FORMAT = 1
_MAC_BYTES = 16
"""RFC 2104 asks for half of the hash at least."""
_BLOCK_BYTES = 64
_STAMP_BYTES = 12
_LABELS, _NUMBERS = 0, 1
_NO_UNIT, _ONE_UNIT, _UNITS = 0, 1, 2
_LONGEST_LABEL = 40
_HASHED = 255
_TEXT = re.compile(r"([A-Za-z0-9_-]{40,12000})(?:\.([0-9]{1,2}))?")


@dataclasses.dataclass(frozen=True)
class Answer:
    """Which version answered, and the arm that it answered for: the reference of the route, empty for none."""

    model: str
    version: int
    arm: str


@dataclasses.dataclass(frozen=True)
class Predicted:
    """One row's prediction, as its id describes it."""

    key: str
    """What is the same for the same prediction, and for no other."""
    deployment: str
    revision: int
    answer: Answer
    unit: str
    """The unit's hash in hexadecimal; where the deployment knows no units, each request is one."""
    predicted_at: int
    """Epoch milliseconds by the clock of the copy that answered."""
    label: str | None
    """The predicted label as text; None for a number, and for a label too long to be in an id."""
    label_crc: int | None
    """The CRC-32 of the label's text; None for a number."""
    number: float | None
    """The predicted number; None for a label, and where the prediction wasn't finite."""

    def is_correct(self, actual: str) -> bool | None:
        """Return whether the predicted label is the actual one, written as `to_text` does; None for numbers."""
        if self.label_crc is None:
            return None
        return zlib.crc32(actual.encode()) == self.label_crc and self.label in (None, actual)


@functools.lru_cache(maxsize=4096, typed=True)
def _pack_label(value: Any) -> bytes:
    text = to_text(value).encode()
    if len(text) > _LONGEST_LABEL:
        return struct.pack("<BI", _HASHED, zlib.crc32(text))
    return bytes([len(text)]) + text


def to_text(value: Any) -> str:
    """Write a label as text: equal labels get the same one, however JSON writes them."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return f"{int(value)}"
    return f"{value}"


def pack_head(deployment: str, revision: int, answers: Sequence[Answer]) -> bytes:
    """Pack what all ids of a deployment's revision have in common, for the versions that answered a request's rows."""
    parts = [struct.pack("<IB", revision, len(answers)), _pack_text(deployment)]
    for answer in answers:
        model, _, label = answer.arm.partition("@")
        # Mostly an arm is the version by its number, or by an alias of the same model.
        is_number = answer.arm == f"{answer.model}@{answer.version}"
        arm = "" if is_number else f"@{label}" if model == answer.model else answer.arm or "-"
        parts += [struct.pack("<I", answer.version), _pack_text(answer.model), _pack_text(arm)]
    return b"".join(parts)


def _pack_text(text: str) -> bytes:
    encoded = text.encode()
    return bytes([len(encoded)]) + encoded


class Signer:
    """Makes ids, with a key that all copies have from the manifest."""

    def __init__(self, key_id: int, secret: bytes) -> None:
        """Sign with a key of at most 64 bytes, whose number is from 0 to 255."""
        self._start = bytes([_FORMAT, key_id])
        # HMAC by RFC 2104, with the two blocks of the key hashed once: `hmac.digest` takes four times as long.
        block = secret.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(
        self,
        tenant_id: str,
        head: bytes,
        *,
        at_ms: int,
        values: Sequence[Any],
        is_number: bool,
        units: bytes = b"",
        answered_by: bytes = b"",
    ) -> str:
        """Make the id of up to 64 rows.

        `values` are their predictions; `units` is the hash of the unit, of 8 bytes, of all or of each; `answered_by`
        has a byte for each row, the position of its answer in the head, and is left out where there is only one.
        """
        if is_number:
            packed = struct.pack(f"<{len(values)}d", *(math.nan if value is None else value for value in values))
        elif len(values) == 1:
            packed = _pack_label(values[0])
        else:
            packed = b"".join(map(_pack_label, values))
        has_units = _NO_UNIT if not units else _ONE_UNIT if len(units) == UNIT_BYTES else _UNITS
        payload = b"".join(
            (
                self._start,
                head,
                at_ms.to_bytes(6, "big"),
                random.getrandbits(48).to_bytes(6, "big"),
                bytes((is_number << 2 | has_units, len(values))),
                answered_by,
                units,
                packed,
            )
        )
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(tenant_id.encode() + b"\0" + payload)
        outer.update(inner.digest())
        return base64.urlsafe_b64encode(payload + outer.digest()[:_MAC_BYTES]).rstrip(b"=").decode()


def read(text: str, *, tenant_id: str, secrets: Mapping[int, bytes]) -> Predicted:
    """Read the id of one row, whose signature must be of one of the keys; raises BadDataError for any other text."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise errors.BadDataError("this is no id of a prediction, such as Millrace-Prediction-Id has")
    try:
        content = _decode(match.group(1))
    except binascii.Error as error:
        raise errors.BadDataError("this is no id of a prediction; perhaps it was cut off") from error
    payload, mac = content[:-_MAC_BYTES], content[-_MAC_BYTES:]
    secret = secrets.get(payload[1]) if payload[0] == _FORMAT else None
    if secret is None:
        raise errors.BadDataError("the key that this id was signed with is unknown here; perhaps it was retired")
    expected = hmac.digest(secret, tenant_id.encode() + b"\0" + payload, "sha256")[:_MAC_BYTES]
    if not hmac.compare_digest(mac, expected):
        raise errors.BadDataError(
            "the signature of this id doesn't fit; perhaps it was cut off, or is another tenant's"
        )
    return _unpack(payload, row=None if match.group(2) is None else int(match.group(2)))


def read_kept(text: str, *, row: int) -> Predicted:
    """Read the id of a row that this system has made and kept, without a look at its signature.

    `row` is its position among the rows of the id. Raises BadDataError for what can't be read as one.
    """
    try:
        return _unpack(_decode(text)[:-_MAC_BYTES], row=row)
    except (binascii.Error, struct.error, IndexError, UnicodeDecodeError) as error:
        raise errors.BadDataError("this is no id of a prediction") from error


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _unpack(payload: bytes, *, row: int | None) -> Predicted:
    revision, count = struct.unpack_from("<IB", payload, 2)
    deployment, position = _unpack_text(payload, 7)
    answers = []
    for _ in range(count):
        (version,) = struct.unpack_from("<I", payload, position)
        model, position = _unpack_text(payload, position + 4)
        arm, position = _unpack_text(payload, position)
        answers.append(Answer(model, version, _to_arm(arm, model=model, version=version)))
    stamp = payload[position : position + _STAMP_BYTES]
    flags, rows = payload[position + _STAMP_BYTES : position + _STAMP_BYTES + 2]
    position += _STAMP_BYTES + 2
    if row is None and rows > 1:
        raise errors.BadDataError(f"this id stands for {rows} rows; say which: `<id>.0` to `<id>.{rows - 1}`")
    row = row or 0
    if row >= rows:
        raise errors.BadDataError(f"this id stands for {rows} rows; the last is `.{rows - 1}`, not `.{row}`")
    answer = answers[payload[position + row] if count > 1 else 0]
    position += rows if count > 1 else 0
    units, position = _split_units(payload, position, how=flags & 3, rows=rows)
    label, crc, number = _read_value(payload, position, row=row, is_number=bool(flags & 4))
    return Predicted(
        key=f"{stamp.hex()}.{row}",
        deployment=deployment,
        revision=revision,
        answer=answer,
        unit=(units[row * UNIT_BYTES : (row + 1) * UNIT_BYTES] or units or stamp[-UNIT_BYTES:]).hex(),
        predicted_at=int.from_bytes(stamp[:6], "big"),
        label=label,
        label_crc=crc,
        number=number,
    )


def _to_arm(arm: str, *, model: str, version: int) -> str:
    if arm == "-":
        return ""
    return f"{model}{arm}" if arm.startswith("@") else arm or f"{model}@{version}"


def _unpack_text(payload: bytes, position: int) -> tuple[str, int]:
    stop = position + 1 + payload[position]
    return payload[position + 1 : stop].decode(), stop


def _split_units(payload: bytes, position: int, *, how: int, rows: int) -> tuple[bytes, int]:
    stop = position + {_NO_UNIT: 0, _ONE_UNIT: UNIT_BYTES}.get(how, UNIT_BYTES * rows)
    return payload[position:stop], stop


def _read_value(
    payload: bytes, position: int, *, row: int, is_number: bool
) -> tuple[str | None, int | None, float | None]:
    if is_number:
        (number,) = struct.unpack_from("<d", payload, position + 8 * row)
        return None, None, number if math.isfinite(number) else None
    for _ in range(row):
        position += 5 if payload[position] == _HASHED else 1 + payload[position]
    if payload[position] == _HASHED:
        return None, int(struct.unpack_from("<I", payload, position + 1)[0]), None
    label, _ = _unpack_text(payload, position)
    return label, zlib.crc32(label.encode()), None
