"""Pins what a job of the storage role works from: a list of what is held, or of the rows that an archive is to hold."""

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
    """Write down what rows and live jobs point at, and pin it."""
    return _pin(acceptance, holdings.take(acceptance.databases, tenant_id=acceptance.tenant_id, grace_ms=0))


def pin_for_prune(acceptance: Acceptance) -> dict[str, Any]:
    """Write down what the prune's rule retires and what is held beside it, and pin it; nothing is retired yet."""
    command, databases, tenant_id = acceptance.command, acceptance.databases, acceptance.tenant_id
    retired = retention.choose(databases, retention.rule_of(command, tenant_id=tenant_id))
    lines = itertools.chain(
        ({"retired": one.model_dump(mode="json")} for one in retired),
        holdings.take(databases, tenant_id=tenant_id, grace_ms=int(command.grace_hours * _HOUR_MS)),
    )
    return _pin(acceptance, lines)


def pin_for_export(acceptance: Acceptance) -> dict[str, Any]:
    """Write down the rows of what is to be packed, and pin them."""
    return _pin(acceptance, packing.take(acceptance.databases, acceptance.command, tenant_id=acceptance.tenant_id))


def _pin(acceptance: Acceptance, lines: Iterator[Line]) -> dict[str, Any]:
    """Store lines as an object and pin it; it is an orphan, and goes like one, once its job has ended."""
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
