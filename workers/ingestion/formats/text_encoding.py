"""Detects the encoding of a text file, from the whole file, and converts it to UTF-8."""

import codecs
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from shared import errors
from shared.ingestion import encodings

CHUNK_BYTES = 1024 * 1024
PROBE_BYTES = 4096
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
VALID_MULTIBYTE = re.compile("[^\x00-\x7f\udc80-\udcff]")
NOT_UTF8 = re.compile("[\udc80-\udcff]")
WHERE_TO_SET = "as `encoding`"
UNUSED_IN_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


@dataclasses.dataclass(frozen=True)
class Encoding:
    """An encoding, the length of the file's byte order mark, and a note for the user."""

    name: str
    bom_bytes: int = 0
    note: str | None = None
    is_checked: bool = False
    """Whether the whole file is known to be in this encoding and to contain no NUL."""
    has_backslash: bool = True
    """Whether the file may contain a backslash."""


def find_encoding(path: Path, *, declared: str | None = None, allow_fallback: bool = True) -> Encoding:
    """Detect the encoding: the declared one, that of the byte order mark, UTF-8, or else Western European."""
    with path.open("rb") as file:
        start = file.read(PROBE_BYTES)
    if declared is not None:
        return _resolve_declared(declared, start=start)
    for bom, name in BYTE_ORDER_MARKS:
        if start.startswith(bom):
            note = None if name == "utf-8" else f"The text is {name} according to its byte order mark."
            return Encoding(name, bom_bytes=len(bom), note=note)
    if guess := _detect_utf16(start):
        return Encoding(guess, note=f"The text looks like {guess}, although it has no byte order mark.")
    is_clean, has_backslash = _check_utf8(path)
    if is_clean:
        return Encoding("utf-8", is_checked=True, has_backslash=has_backslash)
    if _is_utf8(path):
        return Encoding("utf-8")
    if not allow_fallback:
        return Encoding("utf-8")  # `to_utf8` will name the line that is wrong.
    return _choose_western(path)


def to_utf8(path: Path, *, encoding: Encoding, scratch: Path) -> tuple[Path, int]:
    """Return a file in UTF-8 and how many bytes to skip at its start; BadDataError at an invalid byte or a NUL."""
    if encoding.is_checked:
        return path, encoding.bom_bytes
    if encoding.name == "utf-8":
        for _ in _decode_chunks(path, encoding=encoding):
            pass
        return path, encoding.bom_bytes
    target = scratch / "text"
    with target.open("wb") as file:
        for text in _decode_chunks(path, encoding=encoding):
            file.write(text.encode("utf-8"))
    return target, 0


def _resolve_declared(declared: str, *, start: bytes) -> Encoding:
    codec = encodings.find_codec(declared)
    name = "utf-8" if codec == "utf-8-sig" else codec
    for bom, bom_encoding in BYTE_ORDER_MARKS:
        if start.startswith(bom) and name in (bom_encoding, bom_encoding[:6]):
            return Encoding(bom_encoding, bom_bytes=len(bom))
    if start.startswith(codecs.BOM_UTF8):
        note = f"The text is utf-8 according to its byte order mark, although {declared} was declared."
        return Encoding("utf-8", bom_bytes=len(codecs.BOM_UTF8), note=note)
    if name in ("utf-16", "utf-32"):
        # Without a mark these names leave the byte order open; little-endian is usual.
        return Encoding(_detect_utf16(start) or f"{name}-le")
    return Encoding(name)


def _detect_utf16(start: bytes) -> str | None:
    """Recognise UTF-16 without a mark by its NULs: in mostly Latin text, every second byte is one."""
    pairs = len(start) // 2
    even, odd = start[0 : 2 * pairs : 2].count(0), start[1 : 2 * pairs : 2].count(0)
    if pairs and odd > 0.4 * pairs and even < 0.05 * pairs:
        return "utf-16-le"
    if pairs and even > 0.4 * pairs and odd < 0.05 * pairs:
        return "utf-16-be"
    return None


def _read_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _check_utf8(path: Path) -> tuple[bool, bool]:
    """Check whether a file is UTF-8 without a NUL, several times faster than by decoding it; and for a backslash."""
    rest, has_backslash = b"", False
    for chunk in _read_chunks(path):
        text = rest + chunk
        # A character that may continue in the next chunk is checked together with that.
        partial = next((position for position in range(1, min(4, len(text)) + 1) if text[-position] >= 0xC0), 0)
        text, rest = (text[:-partial], text[-partial:]) if partial else (text, b"")
        if b"\0" in text or not _is_valid(text):
            return False, has_backslash
        has_backslash = has_backslash or b"\\" in text
    return _is_valid(rest), has_backslash


def _is_valid(text: bytes) -> bool:
    ends = np.array([0, len(text)], np.int32)
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(ends), pa.py_buffer(text)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _read_chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _choose_western(path: Path) -> Encoding:
    """Choose between cp1252 and latin-1 for a file that is not UTF-8, and refuse one that is partly UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    line, valid_line, wrong_line = 1, 0, 0
    name = "cp1252"
    for chunk in _read_chunks(path):
        text = decoder.decode(chunk)
        if not valid_line and (match := VALID_MULTIBYTE.search(text)):
            valid_line = line + text.count("\n", 0, match.start())
        if not wrong_line and (match := NOT_UTF8.search(text)):
            wrong_line = line + text.count("\n", 0, match.start())
        if UNUSED_IN_CP1252.search(chunk):
            name = "latin-1"
        line += text.count("\n")
    if valid_line and wrong_line:
        raise errors.BadDataError(
            f"The text mixes encodings: line {valid_line:,} is UTF-8 and line {wrong_line:,} is not. "
            f"Save it in one encoding, or set the one to use {WHERE_TO_SET}."
        )
    return Encoding(
        name,
        note=f"The text is not UTF-8 (first in line {max(wrong_line, 1):,}) and was read as {name}; "
        f"set another encoding {WHERE_TO_SET} if letters look wrong.",
    )


def _decode_chunks(path: Path, *, encoding: Encoding) -> Iterator[str]:
    """Decode a file chunk by chunk; BadDataError names the line of an invalid byte or a NUL."""
    decoder = codecs.getincrementaldecoder(encoding.name)()
    line = 1
    with path.open("rb") as file:
        file.seek(encoding.bom_bytes)
        while True:
            chunk = file.read(CHUNK_BYTES)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].decode(encoding.name, errors="replace").count("\n")
                invalid_byte = error.object[error.start : error.start + 1].hex()
                raise errors.BadDataError(
                    f"Line {line:,}: the byte 0x{invalid_byte} is not valid {encoding.name}; "
                    f"save the file in one encoding, or set another {WHERE_TO_SET}."
                ) from error
            if (position := text.find("\0")) >= 0:
                line += text.count("\n", 0, position)
                raise errors.BadDataError(f"Line {line:,} contains a NUL character, which a text file never has.")
            yield text
            if not chunk:
                return
            line += text.count("\n")
