"""The moves of canaries: places are only added to a canary's, and who it took them from gets exactly these back."""

from typing import Any

import pytest

from shared.prediction import shares
from shared.prediction.canaries import moves

STEPS = [5.0, 25.0, 50.0, 100.0]
PLACE = {"model": "churn@3", "version": 3, "sha256": "c"}


def stable(**weights: float) -> dict[str, Any]:
    """Make the state of a deployment of versions of `churn`, by their numbers as `v1=50`."""
    by_name = {f"churn@{name[1:]}": weight for name, weight in weights.items()}
    ranges = shares.allocate(by_name, previous={})
    routes = [
        {"model": name, "version": int(name[-1]), "sha256": name, "weight": weight, "ranges": ranges[name]}
        for name, weight in by_name.items()
    ]
    return {"routes": routes, "fallback": None, "max_waiting": 64}


def begin(state: dict[str, Any], *, steps: list[float] | None = None) -> dict[str, Any]:
    return moves.begin(state, PLACE, {"steps": steps or STEPS, "gate": None}, revision=4, at_ms=1000)


def places(state: dict[str, Any]) -> dict[str, set[int]]:
    return {
        route["model"]: {place for start, stop in route["ranges"] for place in range(start, stop)}
        for route in state["routes"]
    }


def test_a_canary_only_gains_places_until_it_has_all() -> None:
    state = begin(stable(v1=70, v2=30))
    before: set[int] = set()
    for step in STEPS[:-1]:
        now = places(state)
        assert len(now["churn@3"]) == step * 100
        assert before <= now["churn@3"]
        assert len(now["churn@1"]) == pytest.approx((100 - step) * 70, abs=1)
        assert set.union(*now.values()) == set(range(shares.PLACES))
        before = now["churn@3"]
        state = moves.advance(state, at_ms=2000)
    assert state["canary"]["status"] == "promoted"
    assert places(state) == {"churn@3": set(range(shares.PLACES))}
    assert [route["weight"] for route in state["routes"]] == [100.0]


def test_who_is_not_taken_by_the_canary_keeps_the_route_that_he_had() -> None:
    first = stable(v1=70, v2=30)
    state = moves.advance(begin(first), at_ms=2000)
    for name, kept in places(state).items():
        assert name == "churn@3" or kept <= places(first)[name]


@pytest.mark.parametrize("advances", [0, 1, 2])
def test_an_end_gives_back_exactly_what_was_taken(advances: int) -> None:
    first = stable(v1=70, v2=30)
    state = begin(first)
    for _ in range(advances):
        state = moves.advance(state, at_ms=2000)
    ended = moves.end(state, status="aborted", reason="too slow")
    assert ended["routes"] == first["routes"]
    assert (ended["canary"]["status"], ended["canary"]["reason"]) == ("aborted", "too slow")
    assert not moves.is_under_way(ended)


def test_an_end_keeps_the_version_that_an_alias_stands_for_by_now() -> None:
    state = begin(stable(v1=100))
    state["routes"][0] |= {"version": 9, "sha256": "moved"}
    assert moves.end(state, status="aborted", reason=None)["routes"][0]["version"] == 9


def test_a_canary_of_one_step_takes_over_at_once() -> None:
    state = begin(stable(v1=100), steps=[100.0])
    assert state["canary"]["status"] == "promoted"
    assert places(state) == {"churn@3": set(range(shares.PLACES))}


def test_a_pause_keeps_the_share_and_takes_the_job_away() -> None:
    state = moves.with_job(begin(stable(v1=100)), "prediction_1")
    paused = moves.pause(state, reason="lunch")
    assert (paused["routes"], paused["canary"]["job"]) == (state["routes"], None)
    resumed = moves.resume(paused, at_ms=9000)["canary"]
    assert (resumed["status"], resumed["since"], resumed["waits_since"]) == ("running", 1000, 9000)


@pytest.mark.parametrize(("status", "same"), [("running", True), ("promoted", True), ("aborted", False)])
def test_the_same_document_is_the_same_canary_unless_that_failed(status: str, same: bool) -> None:
    first = stable(v1=100)
    state = begin(first)
    state["canary"]["status"] = status
    document = {"steps": STEPS, "gate": None}
    assert moves.is_same(state, routes=first["routes"], document=document, model="churn@3") is same
    assert not moves.is_same(state, routes=first["routes"], document={**document, "steps": [100.0]}, model="churn@3")
    assert not moves.is_same(state, routes=first["routes"], document=document, model="churn@4")
    assert not moves.is_same(first, routes=first["routes"], document=document, model="churn@3")
