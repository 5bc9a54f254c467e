"""Archives: list, show, delete; and taking one in."""

from typing import Any

import flask
import pydantic
import sqlalchemy as sa

from api import answers, documents, door, streams
from api.ingestion import uploads
from shared import adoption, archive_keys, archives, clock, contract, database, dataset_names, dispatch, errors, kinds
from shared import datasets as stored
from shared.storage import contract as storage
from shared.storage import tables

CONTENT_TYPE = "application/x-tar"
_ROLE = "storage"
_ID = r"storage_[0-7][0-9A-HJKMNP-TV-Z]{25}"


class ArchivePath(pydantic.BaseModel):
    """An archive's path."""

    archive_id: str = pydantic.Field(max_length=64, description="The archive's id.")


class ArchiveDetail(documents.Document):
    """An archive."""

    id: str
    bytes: int
    sha256: str
    items: list[storage.Packed]
    job_id: str
    created_at: str
    created_by: str


class ArchiveList(documents.Document):
    """Archives, newest first."""

    archives: list[ArchiveDetail]
    next_cursor: str | None


def page(query: documents.NamesQuery) -> dict[str, Any]:
    """Read archives, newest first."""
    table = tables.archives
    before = answers.read_cursor(query.cursor, pattern=_ID)
    wanted = _held(door.client().tenant_id)
    if before is not None:
        wanted = wanted.where(table.c.id < before)
    with database.available(_ROLE), door.current().databases[_ROLE].statements.connect() as connection:
        rows = connection.execute(wanted.order_by(table.c.id.desc()).limit(query.limit + 1)).all()
    shown = rows[: query.limit]
    more = len(rows) > query.limit
    return {
        "archives": [describe(row) for row in shown],
        "next_cursor": answers.cursor_for(shown[-1].id) if more else None,
    }


def find(archive_id: str) -> sa.Row[Any]:
    """Read an archive's row; raises NotFoundError."""
    wanted = _held(door.client().tenant_id).where(tables.archives.c.id == archive_id)
    with database.available(_ROLE), door.current().databases[_ROLE].statements.connect() as connection:
        row = connection.execute(wanted).one_or_none()
    if row is None:
        raise errors.NotFoundError(f"There is no archive {archive_id!r}.")
    return row


def _held(tenant_id: str) -> sa.Select[Any]:
    table = tables.archives
    return sa.select(table).where(
        table.c.tenant_id == tenant_id,
        table.c.deleted_at.is_(None),
    )


def describe(row: sa.Row[Any]) -> dict[str, Any]:
    """Give an archive as a client sees it."""
    shown = ("id", "bytes", "sha256", "items", "job_id", "created_by")
    return {**{name: getattr(row, name) for name in shown}, "created_at": clock.to_text(row.created_at)}


def content(row: sa.Row[Any]) -> flask.Response:
    """Answer with an archive's bytes."""
    return streams.send(row.key, name=f"{row.id}.tar", size=row.bytes, sha256=row.sha256, content_type=CONTENT_TYPE)


def delete(row: sa.Row[Any]) -> None:
    """Let go of an archive; its object goes when the store is pruned."""
    table = tables.archives
    with database.available(_ROLE), door.current().databases[_ROLE].statements.begin() as connection:
        connection.execute(
            sa.update(table)
            .where(table.c.id == row.id, table.c.tenant_id == row.tenant_id)
            .values(deleted_at=clock.now_ms())
        )


def take_in() -> list[dispatch.Accepted]:
    """Store the request's archive, see that it is ours, and give the jobs that take in what it holds."""
    _upload, pin = uploads.receive(of="archive")
    try:
        head = _head(pin)
        orders = [_order(kinds.known()[kind], pin=pin) for kind in adoption.ADOPTERS if _concerns(kind, head)]
        accepted = door.current().dispatcher.submit_all(orders, client=door.client(), key=answers.idempotency_key())
    except errors.UnavailableError:
        # The commit may have come through all the same, and its jobs need the bytes.
        raise
    except errors.RequestError:
        uploads.forget(pin)
        raise
    if not accepted[0].is_new:
        uploads.forget(pin)
    return accepted


def _head(pin: dict[str, Any]) -> archives.Head:
    """Read an archive's head, and raise InvalidRequestError unless this system made it for this tenant."""
    here, tenant_id = door.current(), door.client().tenant_id
    with database.available(_ROLE), here.databases[_ROLE].statements.connect() as connection:
        key = archive_keys.of_tenant(connection, tenant_id=tenant_id, config=here.config)
    try:
        with here.store.open_read(pin["key"]) as file:
            head = archives.read_head(file)
        archives.check_head(head, key=key, tenant=tenant_id)
    except errors.UnsafeArtifactError as refused:
        raise errors.InvalidRequestError(
            f"The archive is not taken: {refused.message}", problems=[errors.Problem(refused.message, "#")]
        ) from refused
    for role in stored.ROLES:
        names = head.names.get(role, {}).get("dataset", [])
        try:
            dataset_names.reserve(names, role=role, tenant_id=tenant_id, databases=here.databases)
        except sa.exc.DataError as refused:
            longest = max(names, key=len)
            problem = errors.Problem(f"The dataset {longest!r} has {len(longest)} characters.", "#")
            raise errors.InvalidRequestError(
                "The archive holds names that are longer than this system's database takes; export what else is needed "
                "by its name.",
                problems=[problem],
            ) from refused
    return head


def _concerns(kind: str, head: archives.Head) -> bool:
    """Tell whether an archive holds what a kind of job takes in."""
    return adoption.ADOPTERS[kind] in head.names.get(kind.partition(".")[0], {})


def _order(kind: contract.Kind, *, pin: dict[str, Any]) -> dispatch.Order:
    return dispatch.Order(kind=kind, command=adoption.AdoptArchive(sha256=pin["sha256"]), pinned={"archive": pin})
