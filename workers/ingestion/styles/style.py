"""How the texts of a column are written, when that is not the plain form that types are inferred from.

docs/decisions/ingestion.md, "One file has one decimal sign"
"""

import dataclasses
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from workers.ingestion import values

# What begins with this is of no type but text.
NO_VALUE = "?"


class Style(Protocol):
    """A way of writing numbers or dates."""

    def rewrite(self, texts: pa.Array) -> pa.Array:
        """Rewrite texts in the plain form; null where one is not written in this style."""

    def describe(self, column: str, *, count: int, example: tuple[str, str]) -> str:
        """Describe how many texts of a column were read in this style; the example is a text and its plain form."""


def apply(style: Style | None, chunk: values.TextChunk) -> values.TextChunk:
    """Rewrite the texts of a chunk in the plain form; a text that is not in the style becomes one of no other type."""
    texts = chunk.trimmed
    if style is None or texts.null_count == len(texts):
        return chunk
    rewritten = style.rewrite(texts)
    if rewritten.null_count > texts.null_count:
        rewritten = pc.coalesce(rewritten, pc.binary_join_element_wise(NO_VALUE, texts, ""))
    changed = pc.fill_null(pc.not_equal(rewritten, texts), fill_value=False)
    count = pc.sum(changed).as_py() or 0
    if not count:
        return chunk
    first = pc.index(changed, value=True).as_py()
    example = (texts[first].as_py(), rewritten[first].as_py())
    return dataclasses.replace(chunk, trimmed=rewritten, rewritten=count, example=example)
