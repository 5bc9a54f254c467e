"""Which route of a deployment answers a unit, such as a customer: the same one everywhere, and after every restart.

A unit is hashed to one of 10,000 places, and each route has ranges of places. When weights change, routes that shrink
lose places from the end of their last range, and those that grow get just these: nobody else moves.
docs/decisions/serving.md, "A unit's place is GrowthBook's hash, and a change of weights moves as few as it must".
"""

from collections.abc import Mapping, Sequence

PLACES = 10_000
Ranges = list[list[int]]
"""Ranges of places, each from its first to the one after its last, in order."""

_OFFSET, _PRIME, _MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


def place_of(unit: str, *, seed: str) -> int:
    """Compute a unit's place, from 0 to 9,999, by version 2 of GrowthBook's hash.

    Source: GrowthBook, "Build Your Own SDK", hash; FNV-1a of 32 bits is by Fowler, Noll and Vo.
    """
    return hash_text(str(hash_text(seed + unit))) % PLACES


def hash_text(text: str) -> int:
    """Compute FNV-1a of 32 bits of a text's bytes in UTF-8."""
    value = _OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _PRIME) & _MASK
    return value


def count_places(weights: Sequence[float]) -> list[int]:
    """Divide all places by weights; what rounding leaves over goes to those that it takes most from."""
    total = sum(weights)
    exact = [PLACES * weight / total for weight in weights]
    counts = [int(share) for share in exact]
    by_rest = sorted(range(len(weights)), key=lambda index: counts[index] - exact[index])
    for index in by_rest[: PLACES - sum(counts)]:
        counts[index] += 1
    return counts


def allocate(weights: Mapping[str, float], *, previous: Mapping[str, Ranges]) -> dict[str, Ranges]:
    """Give each route its ranges, by its weight, so that as few places as possible change hands.

    `previous` are the ranges of the routes so far. Places of routes that are gone, and those that shrinking routes
    lose, go to the growing ones in their order.
    """
    counts = dict(zip(weights, count_places(list(weights.values())), strict=True))
    kept = {name: _cut(previous.get(name, []), places=count) for name, count in counts.items()}
    free = _list_free(kept)
    for name, count in counts.items():
        missing = count - _count(kept[name])
        while missing > 0:
            start, stop = free.pop(0)
            taken = min(missing, stop - start)
            kept[name].append([start, start + taken])
            if start + taken < stop:
                free.insert(0, [start + taken, stop])
            missing -= taken
    return {name: _join(ranges) for name, ranges in kept.items()}


def tabulate(ranges: Sequence[Ranges]) -> bytes:
    """Write the route of each place, by its position in `ranges`, as one byte a place."""
    table = bytearray(PLACES)
    for index, route_ranges in enumerate(ranges):
        for start, stop in route_ranges:
            table[start:stop] = bytes([index]) * (stop - start)
    return bytes(table)


def _cut(ranges: Ranges, *, places: int) -> Ranges:
    """Keep the first places of some ranges."""
    kept: Ranges = []
    for start, stop in ranges:
        length = min(stop - start, places)
        if length > 0:
            kept.append([start, start + length])
            places -= length
    return kept


def _list_free(kept: Mapping[str, Ranges]) -> Ranges:
    free, reached = [], 0
    for start, stop in sorted(span for ranges in kept.values() for span in ranges):
        if start > reached:
            free.append([reached, start])
        reached = stop
    return [*free, [reached, PLACES]] if reached < PLACES else free


def _count(ranges: Ranges) -> int:
    return sum(stop - start for start, stop in ranges)


def _join(ranges: Ranges) -> Ranges:
    joined: Ranges = []
    for start, stop in sorted(ranges):
        if joined and joined[-1][1] == start:
            joined[-1][1] = stop
        else:
            joined.append([start, stop])
    return joined
