"""Pins the file that a job of the storage role works from: the holdings, or the rows that an archive is to contain."""

import itertools
from collections.abc import Iterator
from typing import Any

import orjson

from api.intake import holdings, packing, retention
from api.intake.holdings import Line
from api.intake.orders import Acceptance
from shared import digests, ids

_HOUR_MS = 3600 * 1000


def pin_for_verify(acceptance: Acceptance) -> dict[str, Any]:
    """Store the holdings, and pin them."""
    return _pin(acceptance, holdings.collect(acceptance.databases, tenant_id=acceptance.tenant_id, grace_ms=0))


def pin_for_prune(acceptance: Acceptance) -> dict[str, Any]:
    """Store what the prune's rule will retire and the holdings, and pin them; nothing is retired yet."""
    command, databases, tenant_id = acceptance.command, acceptance.databases, acceptance.tenant_id
    retired = retention.choose(databases, retention.rule_of(command, tenant_id=tenant_id))
    lines = itertools.chain(
        ({"retired": version.model_dump(mode="json")} for version in retired),
        holdings.collect(databases, tenant_id=tenant_id, grace_ms=int(command.grace_hours * _HOUR_MS)),
    )
    return _pin(acceptance, lines)


def pin_for_export(acceptance: Acceptance) -> dict[str, Any]:
    """Store the rows of the versions to export, and pin them."""
    return _pin(acceptance, packing.collect(acceptance.databases, acceptance.command, tenant_id=acceptance.tenant_id))


def _pin(acceptance: Acceptance, lines: Iterator[Line]) -> dict[str, Any]:
    """Store lines as an object, and pin it; after its job has ended nothing points at it, so a prune deletes it."""
    store = acceptance.store
    output = store.stage(f"{acceptance.tenant_id}/holdings/{ids.new_ulid()}")
    try:
        with output.path.open("xb") as file:
            for line in lines:
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        pin = {"key": output.key, "bytes": output.path.stat().st_size, "sha256": digests.of_file(output.path)}
        store.publish(output)
    finally:
        output.path.unlink(missing_ok=True)
    return {"holdings": pin}
