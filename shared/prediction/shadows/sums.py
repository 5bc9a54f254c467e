"""What is known of a shadow, as sums in a JSON document: those of several batches, copies and hours add up.

The document has, where there is something to say:

- `rows`, that both versions predicted; `compared` of them have labels, `agreeing` of these equal ones, and `confusion`
  counts them by the answered label and the shadow's;
- `scores`, the differences by column, as `shared.prediction.shadows.scores` sums them;
- `served`, the latency of the requests in the copies, and `replayed`, that of some of them in the worker, by who
  predicted: each `requests`, `seconds` and a `histogram` of `shared.prediction.records.latencies`;
- `segments`, by column and value: `rows`, `compared`, `agreeing`, and `distance`, the sum of how far scores are apart;
- `failed`, the rows that the shadow couldn't predict, and `lost`, those that never got to it, by reason.
"""

from collections.abc import Mapping
from typing import Any

from shared import storable

Sums = dict[str, Any]
OTHER = "(others)"
"""What stands for the values beyond those that are told apart."""
_GREATEST = "greatest"
_MOST_REASONS, _MOST_LABELS, _MOST_VALUES = 20, 50, 100
_MAX_TEXT = 200


def merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> Sums:
    """Add two documents up, and tell no more labels, values and reasons apart than one can look at."""
    return _limit(_add(one, other))


def of_lost(reason: str, rows: int) -> Sums:
    """Make the sums of rows that were lost."""
    return {"lost": {shorten(reason): rows}}


def of_failed(reason: str, rows: int) -> Sums:
    """Make the sums of rows that a shadow couldn't predict."""
    return {"failed": {shorten(reason): rows}}


def shorten(text: str) -> str:
    """Make a text one that can be kept, and isn't long."""
    return storable.to_text(text)[:_MAX_TEXT]


def _add(one: Mapping[str, Any], other: Mapping[str, Any]) -> Sums:
    added: Sums = dict(one)
    for name, value in other.items():
        before = added.get(name)
        if before is None:
            added[name] = value
        elif isinstance(value, Mapping):
            added[name] = _add(before, value)
        else:
            added[name] = max(before, value) if name == _GREATEST else before + value
    return added


def _limit(sums: Sums) -> Sums:
    limited = dict(sums)
    for name in ("failed", "lost"):
        if name in limited:
            limited[name] = _fold(limited[name], _MOST_REASONS)
    if "confusion" in limited:
        limited["confusion"] = {
            answered: _fold(by_shadow, _MOST_LABELS)
            for answered, by_shadow in _fold(limited["confusion"], _MOST_LABELS).items()
        }
    if "segments" in limited:
        limited["segments"] = {column: _fold(values, _MOST_VALUES) for column, values in limited["segments"].items()}
    return limited


def _fold(members: Mapping[str, Any], most: int) -> Mapping[str, Any]:
    """Put what came last together, where there are more than so many."""
    if len(members) <= most:
        return members
    names = [name for name in members if name != OTHER]
    folded: Sums = {name: members[name] for name in names[: most - 1]}
    rest = members.get(OTHER)
    for name in names[most - 1 :]:
        value = members[name]
        rest = value if rest is None else _add(rest, value) if isinstance(value, Mapping) else rest + value
    return {**folded, OTHER: rest}
