"""Reserves a dataset's name for one role, in a table of the API's database with a unique key.

Several roles keep datasets, each in a database of its own, so none of their keys is unique over all. The API's table
has a row for each name that a job was ever to make. A name stays with its role while the role keeps a version of it or
has a live job that may make one, and for a minute after each reservation, in case the job's row is not committed yet.
After that another role may take it over. See docs/decisions/accepting.md, "A dataset's name belongs to the role that
asked for it first".
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, contract, database, errors, kinds, roles
from shared.batches import batched
from shared.catalog import api_tables, datasets, mirror
from shared.jobs.states import State
from shared.jobs.tables import jobs

_FRESH_MS = 60_000
"""Far longer than the time between the reservation of a job's name and the commit of its row."""
_BATCH_SIZE = 200
_names = api_tables.dataset_names


@dataclasses.dataclass(frozen=True)
class _Reservation:
    """A name that is reserved for a role."""

    name: str
    role: str
    asked_at: int
    is_fresh: bool
    """Whether it was reserved so recently that the row of the job may not be committed yet."""


def reserve(names: Iterable[str], *, role: str, tenant_id: str, databases: database.Databases) -> None:
    """Reserve names for datasets that a job of a role may make; raises ConflictError when another role has one.

    A role whose database is down is looked up in the API's mirror of names, so its outage stops no other role's jobs.
    """
    # In the same order for all requests, so that two of them wait for each other instead of deadlocking.
    for batch in batched(sorted(set(names)), size=_BATCH_SIZE):
        for other in datasets.ROLES:
            if other != role and (kept := _list_kept(other, batch, tenant_id=tenant_id, databases=databases)):
                raise _conflict(kept[0], f"the role {other} keeps versions of it", role=role)
        for reservation in _reserve_free(batch, role=role, tenant_id=tenant_id, databases=databases):
            _take_over(reservation, role=role, tenant_id=tenant_id, databases=databases)


def of_job(kind: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    """List the datasets that a job may make; none where there is no command."""
    command = command_of(kind, params)
    return () if command is None else command.datasets


def command_of(kind: str, params: Mapping[str, Any]) -> contract.Command | None:
    """Read a stored job's command; None for an unknown kind, or parameters that the kind doesn't accept (any more)."""
    try:
        return kinds.by_name()[kind].command.model_validate(params)
    except (KeyError, ValueError):
        return None


def _list_kept(role: str, names: Sequence[str], *, tenant_id: str, databases: database.Databases) -> list[str]:
    """List those of the names of which a role keeps a version."""
    table = datasets.VERSIONS
    query = sa.select(table.c.name).where(
        table.c.tenant_id == tenant_id,
        table.c.name.in_(names),
        table.c.deleted_at.is_(None),
    )
    try:
        with databases[role].statements.connect() as connection:
            return sorted(connection.execute(query.distinct()).scalars())
    except database.FAULTS:
        with database.available(roles.API), databases[roles.API].statements.connect() as connection:
            return mirror.list_kept_names(connection, "dataset", names, role=role, tenant_id=tenant_id)


def _reserve_free(
    names: Sequence[str], *, role: str, tenant_id: str, databases: database.Databases
) -> list[_Reservation]:
    """Reserve names that no other role has; returns the reservations of those that another role has."""
    engines = databases[roles.API]
    # A single statement commits by itself, without waiting for the disk. A reservation that a crash of the database
    # loses matters only when another role reserves the same new name at that moment.
    engine = engines.relaxed if len(names) == 1 else engines.transactions
    with database.available(roles.API), engine.begin() as connection:
        reserved = [name for name in names if not _write(connection, name, role=role, tenant_id=tenant_id)]
        if not reserved:
            return []
        is_fresh = (_names.c.asked_at > clock.now_ms() - _FRESH_MS).label("is_fresh")
        query = sa.select(_names.c.name, _names.c.role, _names.c.asked_at, is_fresh).where(
            _names.c.tenant_id == tenant_id,
            _names.c.name.in_(reserved),
        )
        return [_Reservation(**row._mapping) for row in connection.execute(query)]


def _write(connection: sa.Connection, name: str, *, role: str, tenant_id: str) -> bool:
    """Reserve a name for a role, or renew its reservation; False when another role has it."""
    statement = database.insert(connection, _names).values(
        tenant_id=tenant_id, name=name, role=role, asked_at=clock.now_ms()
    )
    new = statement.excluded
    written = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[_names.c.tenant_id, _names.c.name],
            set_={"asked_at": new.asked_at},
            where=_names.c.role == new.role,
        ).returning(_names.c.name)
    )
    return written.one_or_none() is not None


def _take_over(reservation: _Reservation, *, role: str, tenant_id: str, databases: database.Databases) -> None:
    """Reserve a name for another role when its owner no longer needs it; raises ConflictError when it does."""
    name, owner = reservation.name, reservation.role
    if reservation.is_fresh:
        raise _conflict(name, f"a job of the role {owner} reserved it a moment ago", role=role)
    # Jobs before versions: if a job ends in between, its version is committed by then.
    if _may_be_made(name, owner=owner, tenant_id=tenant_id, databases=databases):
        raise _conflict(name, f"a job of the role {owner} that has not ended may make it", role=role)
    if _list_kept(owner, [name], tenant_id=tenant_id, databases=databases):
        raise _conflict(name, f"the role {owner} keeps versions of it", role=role)
    with database.available(roles.API), databases[roles.API].statements.begin() as connection:
        updated = connection.execute(
            sa.update(_names)
            .where(
                _names.c.tenant_id == tenant_id,
                _names.c.name == name,
                # Every reservation writes a later time.
                _names.c.asked_at == reservation.asked_at,
            )
            .values(role=role, asked_at=clock.now_ms())
        )
    if updated.rowcount != 1:
        raise _conflict(name, "another job reserved it at the same moment", role=role)


def _may_be_made(name: str, *, owner: str, tenant_id: str, databases: database.Databases) -> bool:
    """Return whether a live job of a role may make a dataset; one that imports an archive may make any."""
    makers = [kind for kind in kinds.of_role(owner) if _makes_datasets(kind)]
    query = sa.select(jobs.c.kind, jobs.c.params).where(
        jobs.c.tenant_id == tenant_id,
        jobs.c.state.in_([State.QUEUED, State.RUNNING]),
        jobs.c.kind.in_([kind.name for kind in makers]),
    )
    with database.available(owner), databases[owner].statements.connect() as connection:
        return any(
            kinds.by_name()[row.kind].command.makes_any_dataset or name in of_job(row.kind, row.params)
            for row in connection.execute(query)
        )


def _makes_datasets(kind: contract.Kind) -> bool:
    return kind.command.makes_any_dataset or kind.command.datasets is not contract.Command.datasets


def _conflict(name: str, reason: str, *, role: str) -> errors.ConflictError:
    return errors.ConflictError(
        f"A job of {role} can't make a version of the dataset {name!r}: {reason}. "
        "Choose another name, or delete the dataset with this name first."
    )
