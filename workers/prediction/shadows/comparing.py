"""Compares what a shadow predicts with what was answered, row by row, as sums that add up."""

import collections
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from shared import contract
from shared.prediction import prediction_ids
from shared.prediction.records import latencies
from shared.prediction.shadows import scores, sums
from shared.prediction.shadows.batches import Call
from workers.prediction.columns import PREDICTION, PROBABILITY
from workers.prediction.online.versions import Answer

_MOST_SCORES = 20
_MISSING = "(missing)"
_CONTINUOUS = frozenset({"regression", "quantile"})


@dataclasses.dataclass(frozen=True)
class Row:
    """A row that both have predicted: that of a call, and of a shadow's answer."""

    call: Call
    position: int
    """In the call."""
    shadow_position: int
    """In the answer."""


def compare(rows: Sequence[Row], answer: Answer, *, problem: str, segments: Sequence[str]) -> dict[str, sums.Sums]:
    """Compare rows of calls with a shadow's answer; the sums by the version that answered."""
    by_version: dict[str, list[Row]] = collections.defaultdict(list)
    for row in rows:
        by_version[row.call.version_of(row.position)].append(row)
    has_labels = problem not in _CONTINUOUS
    return {
        label: _compare(members, answer, has_labels=has_labels, segments=segments)
        for label, members in by_version.items()
    }


def of_latencies(seconds: Sequence[float]) -> sums.Sums:
    """Sum latencies."""
    histogram: dict[str, int] = {}
    for each in seconds:
        bucket = f"{latencies.bucket_of(each)}"
        histogram[bucket] = histogram.get(bucket, 0) + 1
    return {"requests": len(seconds), "seconds": sum(seconds), "histogram": histogram}


def _compare(rows: Sequence[Row], answer: Answer, *, has_labels: bool, segments: Sequence[str]) -> sums.Sums:
    made: sums.Sums = {"rows": len(rows)}
    agreeing: list[int] = []
    if has_labels:
        pairs = _pair(rows, answer, PREDICTION)
        agreeing = [int(answered == shadowed) for answered, shadowed in pairs]
        made |= {"compared": len(rows), "agreeing": sum(agreeing), "confusion": _confuse(pairs)}
    differences = {name: _subtract(rows, answer, name) for name in _list_scores(answer, has_labels=has_labels)}
    made["scores"] = {name: scores.summarize(filter(math.isfinite, values)) for name, values in differences.items()}
    distances = _measure_distances(differences, len(rows))
    made["segments"] = {
        sums.shorten(column): _split(rows, column, agreeing, distances)
        for column in segments
        if any(column in row.call.given for row in rows)
    }
    return made


def _pair(rows: Sequence[Row], answer: Answer, name: str) -> list[tuple[Any, Any]]:
    """Pair what was answered in a column with what the shadow says; None where one has no such column."""
    names = [column.name for column in answer.columns]
    values = answer.values[names.index(name)] if name in names else None
    return [
        (
            row.call.values[row.call.names.index(name)][row.position] if name in row.call.names else None,
            None if values is None else values[row.shadow_position],
        )
        for row in rows
    ]


def _confuse(pairs: Sequence[tuple[Any, Any]]) -> dict[str, dict[str, int]]:
    confusion: dict[str, dict[str, int]] = {}
    for (answered, shadowed), count in collections.Counter(pairs).most_common():
        by_shadow = confusion.setdefault(_to_text(answered), {})
        text = _to_text(shadowed)
        by_shadow[text] = by_shadow.get(text, 0) + count
    return confusion


def _list_scores(answer: Answer, *, has_labels: bool) -> list[str]:
    """List the columns whose values differ by more or less."""
    numeric = [column.name for column in answer.columns if _is_score(column, has_labels=has_labels)]
    return numeric[:_MOST_SCORES]


def _is_score(column: contract.Column, *, has_labels: bool) -> bool:
    # A label may be a number, and its difference says nothing.
    return column.type == "number" and not (has_labels and column.name == PREDICTION)


def _subtract(rows: Sequence[Row], answer: Answer, name: str) -> list[float]:
    """Subtract what was answered from what the shadow says; NaN where one of them says nothing."""
    return [
        math.nan if answered is None or shadowed is None else float(shadowed) - float(answered)
        for answered, shadowed in _pair(rows, answer, name)
    ]


def _measure_distances(differences: dict[str, list[float]], count: int) -> list[float]:
    """Measure how far scores are apart: of numbers the prediction's difference, of probabilities half their sum."""
    if PREDICTION in differences:
        used, factor = [differences[PREDICTION]], 1.0
    else:
        probabilities = [values for name, values in differences.items() if name.startswith(PROBABILITY)]
        used, factor = probabilities or list(differences.values()), 0.5 if probabilities else 1.0
    return [
        factor * sum(abs(values[index]) for values in used if math.isfinite(values[index])) for index in range(count)
    ]


def _split(
    rows: Sequence[Row], column: str, agreeing: Sequence[int], distances: Sequence[float]
) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for index, row in enumerate(rows):
        part = found.setdefault(
            _to_text(_read(row, column)), {"rows": 0, "compared": 0, "agreeing": 0, "distance": 0.0}
        )
        part["rows"] += 1
        part["distance"] += distances[index]
        if agreeing:
            part["compared"] += 1
            part["agreeing"] += agreeing[index]
    # The frequent ones first, so that they are told apart where there are many.
    return dict(sorted(found.items(), key=lambda item: -item[1]["rows"]))


def _read(row: Row, column: str) -> Any:
    values = row.call.given.get(column)
    return None if values is None else values[row.position]


def _to_text(value: Any) -> str:
    if value is None:
        return _MISSING
    if isinstance(value, list | dict):
        return sums.OTHER
    return sums.shorten(prediction_ids.to_text(value))
