"""U+0000 in texts, which formats other than text files may hold and PostgreSQL can't."""

import pyarrow as pa
import pyarrow.compute as pc

from shared import storable
from workers.tabular import text_buffers


def are_in(texts: pa.Array) -> bool:
    """Return whether any text may hold U+0000, by the bytes of all texts."""
    raw_bytes = text_buffers.text_bytes(texts)
    return len(raw_bytes) > 0 and not raw_bytes.min()


def replace(texts: pa.Array) -> tuple[pa.Array, int]:
    """Replace U+0000 by its symbol, and count the texts that had some."""
    count = pc.sum(pc.match_substring(texts, "\0")).as_py() or 0
    return (pc.replace_substring(texts, "\0", storable.NUL_SYMBOL) if count else texts), count
