"""The report of shadows: sums of parts add up to those of the whole, and the worst segments are what they seem."""

import random
from typing import Any

import pytest

from shared.prediction.shadows import report, scores, sums
from shared.prediction.shadows.stored import Shadow

NEW, OLD = Shadow(4, "churn@next", 3), Shadow(4, "churn@next", 2)


def summed(differences: list[float]) -> sums.Sums:
    return {"scores": {"prediction": scores.summarize(differences)}}


@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e6])
def test_quantiles_of_differences_are_within_five_percent_however_they_are_parted(spread: float) -> None:
    dice = random.Random(3)
    values = [dice.gauss(0.3, 1) * spread for _ in range(20_000)]
    whole = sums.merge(sums.merge(summed(values[:7]), summed(values[7:9000])), summed(values[9000:]))
    described = scores.describe(whole["scores"]["prediction"])
    assert described["mean"] == pytest.approx(sum(values) / len(values))
    assert described["greatest_size"] == max(map(abs, values))
    ordered, sizes = sorted(values), sorted(map(abs, values))
    for name, share in scores.QUANTILES.items():
        assert described["quantiles"][name] == pytest.approx(ordered[int(share * len(values)) - 1], rel=0.05)
    assert described["size_quantiles"]["p95"] == pytest.approx(sizes[18_999], rel=0.05)


def test_equal_scores_have_no_difference_and_nothing_has_no_quantiles() -> None:
    assert set(scores.describe(scores.summarize([0.0, 0.0, 1e-12]))["quantiles"].values()) == {0.0}
    assert scores.describe(scores.summarize([]))["quantiles"] is None


def test_only_so_many_labels_values_and_reasons_are_told_apart_and_none_is_left_out() -> None:
    whole: sums.Sums = {}
    for number in range(300):
        part = {"rows": 1, "compared": 1, "agreeing": 1, "distance": 0.5}
        pair = {f"{number}": {f"{number % 7}": 1}}
        whole = sums.merge(whole, {"confusion": pair, "segments": {"city": {f"{number}": part}}})
        whole = sums.merge(whole, sums.of_failed(f"row {number} is bad", 2))
    assert (len(whole["confusion"]), len(whole["segments"]["city"]), len(whole["failed"])) == (50, 100, 20)
    assert sum(sum(by_shadow.values()) for by_shadow in whole["confusion"].values()) == 300
    assert whole["segments"]["city"][sums.OTHER]["rows"] == 201
    assert sum(whole["failed"].values()) == 600
    assert whole["confusion"]["3"] == {"3": 1}


def part(rows: int, agreeing: int, distance: float = 0.0) -> dict[str, Any]:
    return {"rows": rows, "compared": rows, "agreeing": agreeing, "distance": distance}


def test_the_worst_segment_is_where_it_is_certain_that_versions_disagree() -> None:
    segments = {
        "plan": {"small": part(21, 14), "large": part(2000, 1400), "tiny": part(19, 0), "good": part(500, 499)},
        "city": {sums.OTHER: part(1000, 0), "x": part(900, 882)},
    }
    described = report.describe({"churn@1": {"rows": 1, "segments": segments}})
    assert [segment["value"] for segment in described["worst_segments"]] == ["large", "small", "x", "good"]
    assert described["worst_segments"][0]["agreement"] == 0.7


def test_numbers_are_ranked_by_distance() -> None:
    segments = {
        "plan": {name: {**part(50, 0, distance), "compared": 0} for name, distance in (("near", 1), ("far", 90))}
    }
    described = report.describe({"churn@1": {"rows": 100, "segments": segments}})
    assert [(segment["value"], segment["mean_distance"]) for segment in described["worst_segments"]] == [
        ("far", 1.8),
        ("near", 0.02),
    ]
    assert described["agreement"] is None


def test_each_version_of_an_alias_is_reported_and_one_that_has_nothing_yet_too() -> None:
    state = {"id": 4, "model": "churn@next", "version": 3, "percent": 50.0}
    stored: dict[tuple[Shadow, str], sums.Sums] = {
        (OLD, "churn@1"): {"rows": 10, "compared": 10, "agreeing": 9},
        (OLD, ""): {"failed": {"KeyError": 10}, "lost": {"full": 5}},
    }
    new, old = report.compose([state], stored)
    assert (new["version"], new["is_current"], new["rows"], new["agreement"]) == (3, True, 0, None)
    assert (old["version"], old["is_current"], old["agreement"], old["failure_rate"]) == (2, False, 0.9, 0.5)
    assert (old["lost_rows"], old["losses"]) == (5, [{"reason": "full", "rows": 5}])
    assert [pair["version"] for pair in old["answering"]] == ["churn@1"]
