"""Histograms of latencies: those of several copies and intervals add up, and quantiles are within 5 % of the value.

A bucket's number is eight times the binary logarithm of its microseconds, so each is 9 % wide.
"""

import math
from collections.abc import Mapping

PER_OCTAVE = 8
LAST = 27 * PER_OCTAVE
"""134 s; what takes longer is in there too."""

Histogram = Mapping[int, int]
"""How many requests took how long, by the number of the bucket."""


def bucket_of(seconds: float) -> int:
    """Compute the bucket of a latency."""
    microseconds = seconds * 1e6
    return 0 if microseconds <= 1 else min(LAST, int(PER_OCTAVE * math.log2(microseconds)))


def seconds_of(bucket: int) -> float:
    """Compute the latency in the middle of a bucket, in seconds."""
    return float(2 ** ((bucket + 0.5) / PER_OCTAVE) / 1e6)


def merge(one: Histogram, other: Histogram) -> dict[int, int]:
    """Add two histograms."""
    return {bucket: one.get(bucket, 0) + other.get(bucket, 0) for bucket in sorted({*one, *other})}


def from_document(document: Mapping[str, int]) -> dict[int, int]:
    """Read a histogram as JSON has it, with texts for numbers of buckets."""
    return {int(bucket): count for bucket, count in document.items()}


def find_rank(histogram: Histogram, rank: float) -> float:
    """Find the latency of the request of a rank, counted from 1, in seconds; NaN when there is none."""
    reached = 0
    for bucket in sorted(histogram):
        reached += histogram[bucket]
        if reached >= rank:
            return seconds_of(bucket)
    return seconds_of(max(histogram)) if histogram else math.nan
