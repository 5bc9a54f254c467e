"""Pins the rows that a model was trained on, for exports whose predictions are compared with scikit-learn's."""

from typing import Any

from api.intake.orders import Acceptance
from api.reads import kept
from shared import database
from shared.catalog import kept_tables, versions
from shared.catalog.lineage import list_sources, parse_digest


def pin(acceptance: Acceptance) -> dict[str, Any]:
    """Pin the rows that an imported model was trained on, if a version here has the same bytes.

    The training role knows what its own jobs have pinned, but can't look up datasets of other roles. See
    docs/decisions/datasets.md, "What an archive brings names what it was made of by SHA-256, and readers find the
    version".
    """
    if acceptance.command.format != "onnx":
        return {}
    for type_, label in list_sources(acceptance.pinned["model"].get("lineage", {})):
        digest = parse_digest(label)
        if type_ == kept_tables.DATASET.type and digest:
            data_pin = _find_pin(acceptance, name=label.partition("@")[0], sha256=digest)
            return {} if data_pin is None else {"data": data_pin}
    return {}


def _find_pin(acceptance: Acceptance, *, name: str, sha256: str) -> dict[str, Any] | None:
    """Make the pin of the latest of a dataset's versions that has these bytes."""
    for place in kept.places_of_type(kept_tables.DATASET.type):
        with database.available(place.role), acceptance.databases[place.role].statements.connect() as connection:
            row = versions.find_by_sha256(
                connection, place.versions, tenant_id=acceptance.tenant_id, name=name, sha256=sha256
            )
        if row is not None:
            return kept.pin_of(place, row)
    return None
