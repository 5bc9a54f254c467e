"""Differences of scores as sums that add up: moments, and buckets from which quantiles are within 5 % of the value.

The buckets are DDSketch's (Masson, Rim and Lee, VLDB 2019), with eight for each doubling: 0 has the bucket 0, and what
is smaller than 1e-9 counts as 0; buckets of negative differences are negative.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

_LEAST, _PER_OCTAVE, _LAST = 1e-9, 8, 800
QUANTILES = {"p1": 0.01, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


def bucket_of(difference: float) -> int:
    """Compute the bucket of a difference."""
    size = abs(difference) / _LEAST
    if size < 1:
        return 0
    bucket = min(_LAST, 1 + int(_PER_OCTAVE * math.log2(size)))
    return bucket if difference > 0 else -bucket


def difference_of(bucket: int) -> float:
    """Compute the difference in the middle of a bucket."""
    size = _LEAST * 2 ** ((abs(bucket) - 0.5) / _PER_OCTAVE)
    return 0.0 if bucket == 0 else math.copysign(size, bucket)


def summarize(differences: Iterable[float]) -> dict[str, Any]:
    """Sum finite differences; the sums of several parts add up, but for `greatest`, of which the greater one holds."""
    buckets: dict[str, int] = {}
    count, total, absolute, greatest = 0, 0.0, 0.0, 0.0
    for difference in differences:
        count += 1
        total += difference
        absolute += abs(difference)
        greatest = max(greatest, abs(difference))
        bucket = f"{bucket_of(difference)}"
        buckets[bucket] = buckets.get(bucket, 0) + 1
    return {"count": count, "total": total, "absolute": absolute, "greatest": greatest, "buckets": buckets}


def describe(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Describe differences: how many, their mean, that of their sizes, the greatest size, and quantiles.

    Quantiles of differences are those of the shadow's value minus the answered one, and `size_p99` of its size.
    """
    count, most = sums["count"], sums["greatest"]
    signed = {int(bucket): number for bucket, number in sums["buckets"].items()}
    sizes: dict[int, int] = {}
    for bucket, number in signed.items():
        sizes[abs(bucket)] = sizes.get(abs(bucket), 0) + number
    return {
        "rows": count,
        "mean": sums["total"] / count if count else None,
        "mean_size": sums["absolute"] / count if count else None,
        "greatest_size": sums["greatest"] if count else None,
        "quantiles": {name: _find_quantile(signed, share, most=most) for name, share in QUANTILES.items()}
        if count
        else None,
        "size_quantiles": {name: _find_quantile(sizes, QUANTILES[name], most=most) for name in ("p50", "p95", "p99")}
        if count
        else None,
    }


def _find_quantile(buckets: Mapping[int, int], share: float, *, most: float) -> float:
    rank, reached = max(1, math.ceil(sum(buckets.values()) * share)), 0
    for bucket in sorted(buckets):
        reached += buckets[bucket]
        if reached >= rank:
            # The middle of a bucket may be beyond what was ever seen.
            return max(-most, min(most, difference_of(bucket)))
    return 0.0
