"""The names of text encodings."""

import codecs

# Python's codecs that are not encodings of text files.
REFUSED_CODECS = {"idna", "punycode", "unicode-escape", "unicode_escape", "raw-unicode-escape", "raw_unicode_escape",
                  "undefined", "mbcs", "oem"}  # fmt: skip


def find_codec(declared: str) -> str:
    """Return Python's name of an encoding; ValueError when it is not an encoding of text files."""
    try:
        name = codecs.lookup(declared).name
        b"text".decode(name, errors="replace")
    except (LookupError, ValueError) as error:
        raise _unknown(declared) from error
    if name in REFUSED_CODECS:
        raise _unknown(declared)
    return name


def validate(declared: str) -> str:
    """Return a declared encoding unchanged; ValueError when it is not an encoding of text files."""
    find_codec(declared)
    return declared


def _unknown(declared: str) -> ValueError:
    return ValueError(
        f"there is no text encoding {declared!r}; use one such as 'utf-8', 'utf-16', 'latin-1' or 'cp1252'"
    )
