"""The chore of following aliases: where one was moved, the deployments that name it get its version."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
import structlog

from shared import contract, database
from shared.prediction import changes
from shared.prediction.deployments import describe_answers
from shared.prediction.tables import deployment_versions
from shared.training.tables import model_aliases, model_versions

_log = structlog.get_logger()
_SECONDS = 0.5
_needed = deployment_versions


class FollowAliases:
    """Appends a change to each deployment that names an alias which stands for another version now."""

    seconds = _SECONDS

    def __init__(self, databases: database.Databases) -> None:
        """Follow what the database of training says, in that of prediction."""
        self._databases = databases
        self._refused: set[tuple[str, str, str, int]] = set()

    def do(self) -> None:
        """Follow once; while the database of training is away, later."""
        with self._databases["prediction"].statements.connect() as connection:
            # The others are named by the number of their version.
            followed = _needed.c.reference != _needed.c.model + "@" + sa.cast(_needed.c.version, sa.String)
            rows = connection.execute(sa.select(_needed).where(followed)).all()
        for row in rows:
            try:
                moved = self._find_moved(row)
            except database.FAULTS:
                return
            if moved is not None:
                self._move(row, moved)

    def _find_moved(self, row: sa.Row[Any]) -> sa.Row[Any] | None:
        """Read the version that an alias stands for, with who moved it; None where it is the same, or is gone."""
        alias = row.reference.partition("@")[2]
        query = sa.select(model_versions, model_aliases.c.updated_by).where(
            model_aliases.c.tenant_id == row.tenant_id,
            model_aliases.c.name == row.model,
            model_aliases.c.alias == alias,
            model_versions.c.tenant_id == model_aliases.c.tenant_id,
            model_versions.c.name == model_aliases.c.name,
            model_versions.c.version == model_aliases.c.version,
            model_versions.c.deleted_at.is_(None),
            model_versions.c.version != row.version,
        )
        with self._databases["training"].statements.connect() as connection:
            return connection.execute(query).one_or_none()

    def _move(self, row: sa.Row[Any], moved: sa.Row[Any]) -> None:
        pin = {name: getattr(moved, name) for name in contract.ModelPin.model_fields}
        with self._databases["prediction"].transactions.begin() as connection:
            head = changes.lock(connection, tenant_id=row.tenant_id, name=row.deployment)
            pins = changes.read_pins(connection, tenant_id=row.tenant_id, name=row.deployment)
            if head.state is None or pins.get(row.reference, {}).get("version") != row.version:
                # Somebody else has changed it meanwhile.
                return
            if any(describe_answers(pin) != describe_answers(other) for other in pins.values()):
                self._note_refused(row, moved.version)
                return
            state = _with_version(head.state, row.reference, pin)
            author = changes.Author(
                action="alias_moved",
                changed_by=moved.updated_by,
                reason=f"{row.reference} was moved from version {row.version} to {moved.version}",
            )
            changes.append(connection, head, state, pins={**pins, row.reference: pin}, author=author)

    def _note_refused(self, row: sa.Row[Any], version: int) -> None:
        """Log once that a version answers differently from the others, and so can't take its alias's place."""
        refused = (row.tenant_id, row.deployment, row.reference, version)
        if refused not in self._refused:
            _log.warning("alias_not_followed", deployment=row.deployment, reference=row.reference, version=version)
            self._refused.add(refused)


def _with_version(state: changes.State, reference: str, pin: Mapping[str, Any]) -> changes.State:
    """Return a state in which a reference stands for another version."""
    new = {"version": pin["version"], "sha256": pin["sha256"]}
    fallback = state["fallback"]
    shadows = [{**shadow, **new} if shadow["model"] == reference else shadow for shadow in state.get("shadow", [])]
    return {
        **state,
        **({"shadow": shadows} if shadows else {}),
        "routes": [{**route, **new} if route["model"] == reference else route for route in state["routes"]],
        "fallback": {**fallback, **new} if fallback and fallback["model"] == reference else fallback,
    }
