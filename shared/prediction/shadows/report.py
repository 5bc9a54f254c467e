"""The report of a deployment's shadows, computed from their sums."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from shared.prediction.records import latencies
from shared.prediction.shadows import scores, sums
from shared.prediction.shadows.stored import Shadow

Stored = Mapping[tuple[Shadow, str], sums.Sums]
"""The sums of shadows, by shadow and answering version."""
_SHOWN_SEGMENTS = 10
_MIN_ROWS = 20
"""The rows that a segment must have to be called one of the worst."""
_Z = 1.96
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def compose(shadows: Sequence[Mapping[str, Any]], stored: Stored) -> list[dict[str, Any]]:
    """Report on each shadow of a deployment's state, by its reference and the versions that this stood for."""
    reports = []
    for shadow in shadows:
        known = {key for key, _ in stored if (key.id, key.model) == (shadow["id"], shadow["model"])}
        current = Shadow(shadow["id"], shadow["model"], shadow["version"])
        for version in sorted({*known, current}, key=lambda key: -key.version):
            by_answering = {answered: each for (key, answered), each in stored.items() if key == version}
            reports.append(
                {
                    "model": version.model,
                    "version": version.version,
                    "is_current": version == current,
                    "percent": shadow["percent"],
                    "since_revision": version.id,
                    **describe(by_answering),
                }
            )
    return reports


def describe(by_answering: Mapping[str, sums.Sums]) -> dict[str, Any]:
    """Describe what one shadow said, by the version that answered, and of all together."""
    whole: sums.Sums = {}
    for each in by_answering.values():
        whole = sums.merge(whole, each)
    failed, lost = whole.get("failed", {}), whole.get("lost", {})
    rows = whole.get("rows", 0)
    tried = rows + sum(failed.values())
    return {
        "rows": rows,
        "agreement": _share(whole.get("agreeing", 0), whole.get("compared", 0)),
        "failed_rows": sum(failed.values()),
        "failure_rate": _share(sum(failed.values()), tried),
        "failures": _list_reasons(failed),
        "lost_rows": sum(lost.values()),
        "losses": _list_reasons(lost),
        "answering": [
            {"version": version, **_describe_pair(each)} for version, each in sorted(by_answering.items()) if version
        ],
        "worst_segments": _list_worst(whole.get("segments", {})),
    }


def _describe_pair(each: sums.Sums) -> dict[str, Any]:
    replayed = each.get("replayed", {})
    return {
        "rows": each.get("rows", 0),
        "agreement": _share(each.get("agreeing", 0), each.get("compared", 0)),
        "confusion": _list_confusion(each.get("confusion", {})),
        "differences": [
            {"column": column, **scores.describe(described)} for column, described in each.get("scores", {}).items()
        ],
        "latency": {
            "served": _describe_latency(each.get("served")),
            "replayed_answering": _describe_latency(replayed.get("answering")),
            "replayed_shadow": _describe_latency(replayed.get("shadow")),
        },
    }


def _list_confusion(confusion: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    pairs = [
        {"answered": answered, "shadow": shadowed, "rows": rows}
        for answered, by_shadow in confusion.items()
        for shadowed, rows in by_shadow.items()
    ]
    return sorted(pairs, key=lambda pair: (-pair["rows"], pair["answered"], pair["shadow"]))


def _describe_latency(each: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not each or not each["requests"]:
        return None
    histogram = latencies.from_document(each["histogram"])
    count = each["requests"]
    quantiles = {name: latencies.find_rank(histogram, math.ceil(count * share)) for name, share in _QUANTILES.items()}
    return {"requests": count, "mean_seconds": each["seconds"] / count, **quantiles}


def _list_worst(segments: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """List the segments in which the versions differ most: by agreement where there are labels, else by distance.

    Those with few rows are left out, and agreement is ranked by the upper end of its interval, so that chance in a
    small segment doesn't look worse than a fault in a large one.
    """
    found = [
        {
            "column": column,
            "value": value,
            "rows": part["rows"],
            "agreement": _share(part["agreeing"], part["compared"]),
            "mean_distance": part["distance"] / part["rows"],
        }
        for column, values in segments.items()
        for value, part in values.items()
        if part["rows"] >= _MIN_ROWS and value != sums.OTHER
    ]
    return sorted(found, key=_rank)[:_SHOWN_SEGMENTS]


def _rank(segment: Mapping[str, Any]) -> tuple[float, float, str, str]:
    agreement, rows = segment["agreement"], segment["rows"]
    at_most = 0.0 if agreement is None else _bound(agreement, rows)
    return (at_most, -segment["mean_distance"], segment["column"], segment["value"])


def _bound(share: float, count: int) -> float:
    """Compute the upper end of the 95 % interval of a share (Wilson, JASA 22, 1927)."""
    middle = share + _Z**2 / (2 * count)
    half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return (middle + half) / (1 + _Z**2 / count)


def _list_reasons(by_reason: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"reason": reason, "rows": rows} for reason, rows in sorted(by_reason.items(), key=lambda item: -item[1])]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
