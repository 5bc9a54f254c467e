"""The moves of a canary: what each makes of a deployment's state.

While a canary runs, it is one more route; the others share what it leaves in the proportion that they had. Places are
only added to the canary's, so whoever has met it stays there until it is rolled back, which gives each route exactly
the places back that it had. docs/decisions/serving.md, "A canary is one more route, and a job moves it".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from shared.prediction import shares

Status = Literal["running", "paused", "promoted", "rolled_back", "aborted"]
State = Mapping[str, Any]
_WHOLE = 100.0


def begin(
    state: State, place: Mapping[str, Any], document: Mapping[str, Any], *, revision: int, at_ms: int
) -> dict[str, Any]:
    """Begin a canary at its first step.

    `state` is the deployment without it, `place` describes its version (`model`, `version`, `sha256`), and `document`
    is what the client said of it. `revision` is the one that this change will get, and the canary's name.
    """
    canary = {
        "model": place["model"],
        "steps": document["steps"],
        "gate": document["gate"],
        "stable": [dict(route) for route in state["routes"]],
        "id": revision,
        "job": None,
        "status": "running",
        "reason": None,
        "step": 0,
        "since": at_ms,
        "waits_since": at_ms,
    }
    return _with_share({**state, "canary": canary}, place)


def advance(state: State, *, at_ms: int) -> dict[str, Any]:
    """Go on to the next step; the last one promotes the canary, which then is the only route."""
    canary = state["canary"]
    place = find_route(state)
    moved = {
        **canary,
        "step": canary["step"] + 1,
        "status": "running",
        "reason": None,
        "since": at_ms,
        "waits_since": at_ms,
    }
    if canary["steps"][moved["step"]] < _WHOLE:
        return _with_share({**state, "canary": moved}, place)
    ranges = shares.allocate({place["model"]: _WHOLE}, previous={place["model"]: place["ranges"]})
    route = {**place, "weight": _WHOLE, "ranges": ranges[place["model"]]}
    return {**state, "routes": [route], "canary": {**moved, "status": "promoted"}}


def end(state: State, *, status: Literal["rolled_back", "aborted"], reason: str | None) -> dict[str, Any]:
    """Take the canary out, and give the other routes back what they had."""
    canary = state["canary"]
    before = {route["model"]: route for route in canary["stable"]}
    # Versions are those of now: an alias may have been moved meanwhile.
    routes = [
        {**route, "weight": before[route["model"]]["weight"], "ranges": before[route["model"]]["ranges"]}
        for route in state["routes"]
        if route["model"] in before
    ]
    return {**state, "routes": routes, "canary": {**canary, "status": status, "reason": reason}}


def pause(state: State, *, reason: str | None) -> dict[str, Any]:
    """Leave the canary where it is until somebody resumes it."""
    return {**state, "canary": {**state["canary"], "status": "paused", "reason": reason, "job": None}}


def resume(state: State, *, at_ms: int) -> dict[str, Any]:
    """Let the gate check on; what the step has shown so far still counts."""
    return {**state, "canary": {**state["canary"], "status": "running", "reason": None, "waits_since": at_ms}}


def with_job(state: State, job_id: str | None) -> dict[str, Any]:
    """Say which job moves the canary from now on."""
    return {**state, "canary": {**state["canary"], "job": job_id}}


def is_under_way(state: State | None) -> bool:
    """Return whether a canary has a share of the traffic, and will get more or none."""
    canary = state.get("canary") if state else None
    return canary is not None and canary["status"] in ("running", "paused")


def find_route(state: State) -> dict[str, Any]:
    """Find the canary's own route."""
    [route] = [route for route in state["routes"] if route["model"] == state["canary"]["model"]]
    return dict(route)


def list_stable(state: State) -> list[str]:
    """List the references of the routes that the canary is compared with."""
    return [route["model"] for route in state["canary"]["stable"]]


def is_same(
    state: State | None, *, routes: Sequence[Mapping[str, Any]], document: Mapping[str, Any], model: str
) -> bool:
    """Return whether a deployment's canary is the one of a client's document, under way or promoted.

    So the same document sent again neither starts a canary anew nor takes a promoted version back.
    """
    canary = state.get("canary") if state else None
    if canary is None or canary["status"] not in ("running", "paused", "promoted"):
        return False
    stable = [(route["model"], route["weight"]) for route in canary["stable"]]
    return (stable, canary["model"], canary["steps"], canary["gate"]) == (
        [(route["model"], route["weight"]) for route in routes],
        model,
        document["steps"],
        document["gate"],
    )


def _with_share(state: dict[str, Any], place: Mapping[str, Any]) -> dict[str, Any]:
    """Give the canary the share of its step."""
    canary = state["canary"]
    share = canary["steps"][canary["step"]]
    if share >= _WHOLE:
        # A canary with one step takes over at once.
        weights = {place["model"]: _WHOLE}
    else:
        total = sum(route["weight"] for route in canary["stable"])
        weights = {route["model"]: route["weight"] * (_WHOLE - share) / total for route in canary["stable"]}
        weights[place["model"]] = share
    places = {route["model"]: route for route in (*state["routes"], place)}
    ranges = shares.allocate(weights, previous={name: route.get("ranges", []) for name, route in places.items()})
    routes = [{**places[name], "weight": weight, "ranges": ranges[name]} for name, weight in weights.items()]
    status = "promoted" if share >= _WHOLE else canary["status"]
    return {**state, "routes": routes, "canary": {**canary, "status": status}}
