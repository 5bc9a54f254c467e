"""Answers are packed by what the client accepts."""

import gzip
import zlib

import pytest

from workers.prediction.online import packing


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br", "gzip"),
        ("gzip;q=0.2, deflate;q=0.8", "deflate"),
        ("gzip; q=0", None),
        ("*;q=0.1", "gzip"),
        ("*, gzip;q=0", "deflate"),
        ("identity", None),
        ("br, zstd", None),
        ("gzip;q=much", None),
        (",;,", None),
    ],
)
def test_the_encoding_that_the_client_likes_best_is_chosen(accepted: str, chosen: str | None) -> None:
    assert packing.choose(accepted) == chosen


def test_what_is_packed_can_be_unpacked() -> None:
    body = b"millrace " * 1000
    assert gzip.decompress(packing.pack(body, encoding="gzip")) == body
    assert zlib.decompress(packing.pack(body, encoding="deflate")) == body
