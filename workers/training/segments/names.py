"""Names the models of single values after the model for all."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from shared import contract
from shared.ml import kept_rows
from shared.positive_class import format_label

_OTHERS = re.compile(r"[^a-z0-9]+")
_SHORT_DIGEST = 8


def make_names(base: str, values: Sequence[kept_rows.Value]) -> list[str]:
    """Name the models of different values: the base, a point, and the value in small ASCII letters and digits.

    Values that read alike then are told apart by a digest of each, except one that is written like that already; so is
    what is cut, or has no such characters. All names differ, also when values imitate names with digests.
    """
    texts = [format_label(value) for value in values]
    slugs = [_OTHERS.sub("-", _to_ascii(text).lower()).strip("-") for text in texts]
    room = contract.MAX_NAME_CHARACTERS - len(base) - 1
    digits = _SHORT_DIGEST
    while True:
        names = [
            slug if _is_plain(slug, text, slugs, room=room) else _add_digest(slug, text, digits=digits, room=room)
            for slug, text in zip(slugs, texts, strict=True)
        ]
        if len(set(names)) == len(names) or digits >= room:
            return [f"{base}.{name}" for name in names]
        digits += 1


def _is_plain(slug: str, text: str, slugs: list[str], *, room: int) -> bool:
    return 0 < len(slug) <= room and (slug == text or slugs.count(slug) == 1)


def _add_digest(slug: str, text: str, *, digits: int, room: int) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    kept = slug[: max(0, room - digits - 1)].rstrip("-")
    return f"{kept}-{digest}" if kept else digest


def _to_ascii(text: str) -> str:
    """Write letters without their accents, and leave out what has no ASCII letter."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
