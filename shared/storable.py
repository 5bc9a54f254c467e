"""Text and documents as every database can store them: PostgreSQL takes neither U+0000 nor half of a surrogate pair.

docs/decisions/statements.md, "What a database can't store is replaced where it is seen".
"""

from typing import Any

NUL_SYMBOL = "\N{SYMBOL FOR NULL}"
"""What stands for U+0000, so that a reader sees it."""


def to_text(text: str) -> str:
    """Replace U+0000 by its symbol, and each half of a surrogate pair by the replacement character."""
    readable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return readable.replace("\0", NUL_SYMBOL)


def to_document(value: Any) -> Any:
    """Replace them in all texts and names of a JSON document."""
    if isinstance(value, str):
        return to_text(value)
    if isinstance(value, dict):
        return {to_document(name): to_document(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(member) for member in value]
    return value
