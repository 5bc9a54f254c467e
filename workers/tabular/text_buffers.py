"""The bytes of texts in Arrow's arrays, without copies."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ByteArray = npt.NDArray[np.uint8]


def text_offsets(texts: pa.Array) -> npt.NDArray[np.int32]:
    """Return where each text begins in the buffer of all texts, and where the last one ends."""
    buffer = texts.buffers()[1]
    if buffer is None or len(texts) == 0:
        return np.zeros(1, np.int32)
    return np.frombuffer(buffer, np.int32)[texts.offset :][: len(texts) + 1]


def text_bytes(texts: pa.Array) -> ByteArray:
    """Return the bytes of all texts, one text after the other; a missing one may have bytes too."""
    offsets, buffer = text_offsets(texts), texts.buffers()[2]
    return np.frombuffer(b"" if buffer is None else buffer, np.uint8)[offsets[0] : offsets[-1]]
