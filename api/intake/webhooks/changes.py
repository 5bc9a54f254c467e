"""Changes webhooks: puts, deletes, enables them, and gives them other secrets."""

import dataclasses
from typing import Any

import sqlalchemy as sa

from api.intake.orders import Client
from shared import clock, database, errors, ids, settings
from shared.catalog import api_tables
from shared.events import log
from shared.webhooks import deliveries, keys, matching, signatures
from shared.webhooks.document import Webhook
from shared.webhooks.matching import Key
from shared.webhooks.states import WebhookState

_webhooks = api_tables.webhooks
_MAX_EARLIER = 10
"""So many earlier secrets may be valid beside the present one."""
_HEALTHY: dict[str, Any] = {
    "state": WebhookState.ENABLED,
    "disabled_reason": None,
    "disabled_at": None,
    "failing_since": None,
    "paused_until": 0,
    "throttles": 0,
}
"""What a webhook begins with, and what it begins anew with once its owner says so."""


@dataclasses.dataclass(frozen=True)
class Change:
    """What a request has made of a webhook."""

    row: sa.Row[Any]
    secret: str | None = dataclasses.field(default=None, repr=False)
    """The secret, if the request has made one; it is shown this once."""


def find(connection: sa.Connection, tenant_id: str, name: str) -> sa.Row[Any]:
    """Read a webhook, locked until the transaction ends; raises NotFoundError."""
    return _require(_find(connection, tenant_id, name), name)


def show(connection: sa.Connection, tenant_id: str, name: str) -> sa.Row[Any]:
    """Read a webhook without locking it; raises NotFoundError."""
    return _require(connection.execute(_select(tenant_id, name)).one_or_none(), name)


def _require(row: sa.Row[Any] | None, name: str) -> sa.Row[Any]:
    if row is None:
        raise errors.NotFoundError(f"There is no webhook {name!r} here.")
    return row


def put(
    connection: sa.Connection,
    name: str,
    document: Webhook,
    *,
    client: Client,
    expected_revision: int | None,
    config: settings.Settings,
) -> Change:
    """Create or change a webhook; raises PreconditionFailedError, and ConflictError when there are too many."""
    row = _find(connection, client.tenant_id, name)
    if expected_revision is not None and (row is None or row.revision != expected_revision):
        raise _make_precondition_error(name, row, expected_revision)
    if row is None:
        _require_room(connection, client.tenant_id, limit=config.webhooks_per_tenant)
        row = _create(connection, name, document, client=client)
        if row is not None:
            return Change(row, _compute_secret(connection, row, config=config))
        # Another request was faster.
        row = find(connection, client.tenant_id, name)
    return Change(_change(connection, row, document))


def delete(connection: sa.Connection, tenant_id: str, name: str, *, expected_revision: int | None) -> None:
    """Delete a webhook; its deliveries are removed soon. Raises NotFoundError, PreconditionFailedError."""
    row = find(connection, tenant_id, name)
    _require_revision(row, expected_revision)
    _update(connection, row, {"deleted_at": clock.now_ms()})


def rotate(
    connection: sa.Connection,
    tenant_id: str,
    name: str,
    *,
    keep_old_seconds: int,
    expected_revision: int | None,
    config: settings.Settings,
) -> Change:
    """Give a webhook another secret; for some seconds what is sent is signed with the one before as well."""
    row = find(connection, tenant_id, name)
    _require_revision(row, expected_revision)
    now = clock.read(connection)
    earlier = [*row.earlier_salts, {"salt": row.salt, "until": now + keep_old_seconds * 1000}]
    # The one that a receiver has may be older than the last one, whose answer was lost, and stays valid as promised.
    kept = [each for each in earlier if each["until"] > now][-_MAX_EARLIER:] if keep_old_seconds else []
    changed = _update(connection, row, {"salt": signatures.make_salt(), "earlier_salts": kept})
    return Change(changed, _compute_secret(connection, changed, config=config))


def enable(
    connection: sa.Connection, tenant_id: str, name: str, *, missed: bool, expected_revision: int | None
) -> Change:
    """Enable a webhook, and end its pause; without `missed`, what happened until now is not delivered any more."""
    row = find(connection, tenant_id, name)
    _require_revision(row, expected_revision)
    if row.state == WebhookState.ENABLED and not row.paused_until:
        return Change(row)
    skipped = {} if missed or row.state == WebhookState.ENABLED else {"position": log.last_position(connection)}
    deliveries.make_due(connection, Key(row.tenant_id, row.id))
    return Change(_update(connection, row, {**_HEALTHY, **skipped}))


def _find(connection: sa.Connection, tenant_id: str, name: str) -> sa.Row[Any] | None:
    return connection.execute(_select(tenant_id, name).with_for_update()).one_or_none()


def _select(tenant_id: str, name: str) -> sa.Select[Any]:
    return sa.select(_webhooks).where(
        _webhooks.c.tenant_id == tenant_id, _webhooks.c.name == name, _webhooks.c.deleted_at.is_(None)
    )


def _require_room(connection: sa.Connection, tenant_id: str, *, limit: int) -> None:
    count = connection.execute(
        sa.select(sa.func.count())
        .select_from(_webhooks)
        .where(_webhooks.c.tenant_id == tenant_id, _webhooks.c.deleted_at.is_(None))
    ).scalar_one()
    if count >= limit:
        raise errors.ConflictError(
            f"There are {count} webhooks, and {limit} is the limit; delete one, or give one more types of events."
        )


def _create(connection: sa.Connection, name: str, document: Webhook, *, client: Client) -> sa.Row[Any] | None:
    enabled = document.enabled is not False
    return connection.execute(
        database.insert(connection, _webhooks)
        .values(
            id=ids.new_ulid(),
            tenant_id=client.tenant_id,
            name=name,
            **_describe(document),
            **{**_HEALTHY, **({} if enabled else _make_disabled())},
            revision=1,
            salt=signatures.make_salt(),
            earlier_salts=[],
            position=log.last_position(connection),
            created_by=client.key_id,
            created_at=clock.now_ms(),
            updated_at=clock.now_ms(),
        )
        .on_conflict_do_nothing()
        .returning(_webhooks)
    ).one_or_none()


def _change(connection: sa.Connection, row: sa.Row[Any], document: Webhook) -> sa.Row[Any]:
    changes = {name: value for name, value in _describe(document).items() if getattr(row, name) != value}
    if document.enabled is not None and document.enabled != (row.state == WebhookState.ENABLED):
        changes |= _HEALTHY if document.enabled else _make_disabled()
    elif "url" in changes:
        # What is known of the old receiver says nothing of the new one.
        changes |= {"failing_since": None, "paused_until": 0, "throttles": 0}
    return _update(connection, row, changes) if changes else row


def _describe(document: Webhook) -> dict[str, Any]:
    return {"url": document.url, "types": list(dict.fromkeys(document.types)), "subject": document.subject}


def _make_disabled() -> dict[str, Any]:
    return {
        "state": WebhookState.DISABLED,
        "disabled_reason": "Its owner has disabled it.",
        "disabled_at": clock.now_ms(),
    }


def _update(connection: sa.Connection, row: sa.Row[Any], changes: dict[str, Any]) -> sa.Row[Any]:
    return connection.execute(
        sa.update(_webhooks)
        .where(*matching.is_webhook(Key(row.tenant_id, row.id)))
        .values(**changes, revision=_webhooks.c.revision + 1, updated_at=clock.now_ms())
        .returning(_webhooks)
    ).one()


def _compute_secret(connection: sa.Connection, row: sa.Row[Any], *, config: settings.Settings) -> str:
    key = keys.get_or_create(connection, tenant_id=row.tenant_id, config=config)
    return signatures.to_text(signatures.compute_secret(key, webhook_id=row.id, salt=row.salt))


def _require_revision(row: sa.Row[Any], expected: int | None) -> None:
    if expected is not None and row.revision != expected:
        raise _make_precondition_error(row.name, row, expected)


def _make_precondition_error(name: str, row: sa.Row[Any] | None, expected: int) -> errors.PreconditionFailedError:
    if row is None:
        return errors.PreconditionFailedError(f"There is no webhook {name!r}, so none at the revision {expected}.")
    return errors.PreconditionFailedError(
        f"The webhook {name!r} is at the revision {row.revision}, not {expected}; read it again."
    )
