"""Pins the rows that a model was trained on, for exports that are compared with scikit-learn on them."""

from typing import Any

from api.intake.orders import Acceptance
from api.reads import kept
from shared import database
from shared.catalog import kept_tables, versions
from shared.catalog.lineage import content_of, sources


def pin(acceptance: Acceptance) -> dict[str, Any]:
    """Pin the rows that a model which an archive brought was trained on, if a version here holds them.

    The training role knows which rows its own jobs had pinned, but no dataset of another role.
    """
    if acceptance.command.format != "onnx":
        return {}
    for type_, label in sources(acceptance.pinned["model"].get("lineage", {})):
        digest = content_of(label)
        if type_ == kept_tables.DATASET.type and digest:
            found = _find(acceptance, name=label.partition("@")[0], sha256=digest)
            return {} if found is None else {"data": found}
    return {}


def _find(acceptance: Acceptance, *, name: str, sha256: str) -> dict[str, Any] | None:
    """Make the pin of the latest of a dataset's versions that has these bytes."""
    for place in kept.of_type(kept_tables.DATASET.type):
        with database.available(place.role), acceptance.databases[place.role].statements.connect() as connection:
            row = versions.find_bytes(
                connection, place.versions, tenant_id=acceptance.tenant_id, name=name, sha256=sha256
            )
        if row is not None:
            return kept.pin_of(place, row)
    return None
