"""Packs the bodies of answers by gzip or deflate, where the client accepts that and the body is long enough."""

import zlib

MIN_BYTES = 8192
"""What is shorter is sent as it is: packing it takes longer than sending it."""
_LEVEL = 1
_WINDOWS = {"gzip": 31, "deflate": 15}
"""By encoding, in the order in which equally welcome ones are chosen."""


def choose(accepted: str) -> str | None:
    """Choose the encoding that an `Accept-Encoding` prefers; None for none that we have."""
    weights = dict(map(_read_weight, accepted.lower().split(",")))
    offered = {name: weights.get(name, weights.get("*", 0.0)) for name in _WINDOWS}
    best = max(offered, key=lambda name: offered[name])
    return best if offered[best] > 0 else None


def pack(body: bytes, *, encoding: str) -> bytes:
    """Pack a body by an encoding that `choose` has chosen."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOWS[encoding])
    return packer.compress(body) + packer.flush()


def _read_weight(item: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in item.split(";"))
    texts = [text.removeprefix("q=").strip() for text in parameters if text.startswith("q=")]
    try:
        return name, float(texts[0]) if texts else 1.0
    except ValueError:
        return name, 0.0
