"""Shadows of deployments: which versions are pinned for them, and what of them is in a deployment's state."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from api.intake.pins import Pinner
from api.intake.serving import naming
from shared import errors
from shared.prediction.deployments import Deployment

Pins = Mapping[str, Mapping[str, Any]]
_LABELS = frozenset({"classification", "multilabel", "clustering", "anomaly"})


def pin(pinner: Pinner, deployment: Deployment, *, tenant_id: str) -> dict[str, dict[str, Any]]:
    """Make the pin of each shadow's version, by the reference under which it is followed."""
    pins: dict[str, dict[str, Any]] = {}
    for index, shadow in enumerate(deployment.shadow):
        pinned = pinner.pin_one("model", shadow.model, tenant_id=tenant_id, pointer=f"#/shadow/{index}/model")
        pins[naming.name_followed(shadow.model, pinned)] = pinned
    return pins


def require_useful(deployment: Deployment, pins: Pins, *, routes: Pins, canary: Pins) -> None:
    """Raise InvalidRequestError for shadows that would be compared with nothing, and for gates that need one."""
    labels = [_label(pinned) for pinned in pins.values()]
    if len(set(labels)) < len(deployment.shadow):
        raise errors.InvalidRequestError("Two shadows name the same version; name each version once.")
    answering = {_label(pinned) for pinned in (*routes.values(), *canary.values())}
    for index, shadow in enumerate(deployment.shadow):
        if answering == {labels[index]}:
            raise errors.InvalidRequestError(
                f"The shadow {shadow.model} is the only version that answers; name another version.",
                problems=[errors.Problem("this version answers everything itself", f"#/shadow/{index}/model")],
            )
    _require_for_gate(deployment, labels, canary=canary)


def describe(deployment: Deployment, pins: Pins, *, head: sa.Row[Any]) -> dict[str, Any]:
    """Build the part of a state that says which shadows there are; it is empty where there is none.

    One that goes on under the same reference keeps the revision with which it began, and so its report.
    """
    before = {shadow["model"]: shadow["id"] for shadow in (head.state or {}).get("shadow", [])}
    described = [
        {
            **naming.describe(reference, pinned),
            "percent": shadow.percent,
            "segments": shadow.segments,
            "id": before.get(reference, int(head.revision) + 1),
        }
        for shadow, (reference, pinned) in zip(deployment.shadow, pins.items(), strict=True)
    ]
    return {"shadow": described} if described else {}


def pin_again(pinner: Pinner, shadows: Sequence[Mapping[str, Any]], *, tenant_id: str) -> dict[str, dict[str, Any]]:
    """Make the pins of an earlier state's shadows by number; one whose version is gone holds no rollback up."""
    pins: dict[str, dict[str, Any]] = {}
    for shadow in shadows:
        reference = naming.name_number(shadow)
        try:
            pins[reference] = pinner.pin_one("model", reference, tenant_id=tenant_id, pointer="#/revision")
        except errors.InvalidRequestError:
            continue
    return pins


def keep_on_return(shadows: Sequence[Mapping[str, Any]], *, pins: Pins) -> list[dict[str, Any]]:
    """List the shadows of a state that is returned to, by number, as far as their versions are still there."""
    named = [{**shadow, "model": naming.name_number(shadow)} for shadow in shadows]
    return [shadow for shadow in named if shadow["model"] in pins]


def _require_for_gate(deployment: Deployment, labels: Sequence[str], *, canary: Pins) -> None:
    gate = deployment.canary.gate if deployment.canary else None
    if gate is None or all(metric.source != "shadow_agreement" for metric in gate.metrics):
        return
    [pinned] = canary.values()
    if _label(pinned) not in labels:
        raise _refuse_gate(f"{_label(pinned)} is no shadow; name it in `shadow` too")
    if pinned["problem"] not in _LABELS:
        raise _refuse_gate(f"there is agreement only of labels, and {_label(pinned)} is of {pinned['problem']}")


def _refuse_gate(why: str) -> errors.InvalidRequestError:
    problem = errors.Problem(f"shadow_agreement can't be measured: {why}", "#/canary/gate/metrics")
    return errors.InvalidRequestError(f"The gate asks for shadow_agreement, but {why}.", problems=[problem])


def _label(pinned: Mapping[str, Any]) -> str:
    return f"{pinned['name']}@{pinned['version']}"
