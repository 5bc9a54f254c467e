"""A dataset's name belongs to one role: the API writes down which role asked for it, under a unique key.

Several roles keep datasets, each in a database of its own, so no key of theirs is unique over all. The API's table
has a row for each name that a job was ever to make. A name stays with its role for as long as the role keeps a version
of it, a live job of it may make one, or it was asked for a moment ago, by a job whose row may not be there yet. After
that another role may take it over.
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
"""Far more than the moment between a job's name and its row."""
_MOST_AT_ONCE = 200
_names = api_tables.dataset_names


@dataclasses.dataclass(frozen=True)
class _Owned:
    """A name that a role has."""

    name: str
    role: str
    asked_at: int
    is_fresh: bool
    """Whether it was asked for so short ago that the row of the job may not be there yet."""


def reserve(names: Iterable[str], *, role: str, tenant_id: str, databases: database.Databases) -> None:
    """Write down that a job of a role may make datasets of these names; raises ConflictError when another role has one.

    A role whose database is down is looked up in the API's mirror of names, so its outage stops no other role's jobs.
    """
    # In one order, so that two requests wait for each other instead of locking each other out.
    for some in batched(sorted(set(names)), size=_MOST_AT_ONCE):
        for other in datasets.ROLES:
            if other != role and (kept := _kept(other, some, tenant_id=tenant_id, databases=databases)):
                raise _taken(kept[0], f"the role {other} keeps versions of it", role=role)
        for owned in _ask(some, role=role, tenant_id=tenant_id, databases=databases):
            _take_over(owned, role=role, tenant_id=tenant_id, databases=databases)


def of_job(kind: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the datasets that a job may make, by its row; none for a kind or parameters that are not known here."""
    try:
        return kinds.by_name()[kind].command.model_validate(params).datasets
    except (KeyError, ValueError):
        return ()


def _kept(role: str, names: Sequence[str], *, tenant_id: str, databases: database.Databases) -> list[str]:
    """Give those of some names of which a role keeps a version."""
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
            return mirror.kept(connection, "dataset", names, role=role, tenant_id=tenant_id)


def _ask(names: Sequence[str], *, role: str, tenant_id: str, databases: database.Databases) -> list[_Owned]:
    """Write names down for a role; gives those that another role has."""
    engines = databases[roles.API]
    # One statement commits by itself, and is not waited for on the disk: what a crash of the database loses matters
    # only to a role that asks for the same new name in that very moment.
    engine = engines.relaxed if len(names) == 1 else engines.transactions
    with database.available(roles.API), engine.begin() as connection:
        others = [name for name in names if not _write(connection, name, role=role, tenant_id=tenant_id)]
        if not others:
            return []
        is_fresh = (_names.c.asked_at > clock.now_ms() - _FRESH_MS).label("is_fresh")
        query = sa.select(_names.c.name, _names.c.role, _names.c.asked_at, is_fresh).where(
            _names.c.tenant_id == tenant_id,
            _names.c.name.in_(others),
        )
        return [_Owned(row.name, row.role, row.asked_at, row.is_fresh) for row in connection.execute(query)]


def _write(connection: sa.Connection, name: str, *, role: str, tenant_id: str) -> bool:
    """Write down that a role asks for a name; False when another role has it."""
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


def _take_over(owned: _Owned, *, role: str, tenant_id: str, databases: database.Databases) -> None:
    """Give a name to another role when its own does not need it any more; raises ConflictError when it does."""
    name, owner = owned.name, owned.role
    if owned.is_fresh:
        raise _taken(name, f"a job of the role {owner} asked for it a moment ago", role=role)
    # Jobs before versions: one that has ended since has its version there already.
    if _may_be_made(name, owner=owner, tenant_id=tenant_id, databases=databases):
        raise _taken(name, f"a job of the role {owner} that has not ended may make it", role=role)
    if _kept(owner, [name], tenant_id=tenant_id, databases=databases):
        raise _taken(name, f"the role {owner} keeps versions of it", role=role)
    with database.available(roles.API), databases[roles.API].statements.begin() as connection:
        moved = connection.execute(
            sa.update(_names)
            .where(
                _names.c.tenant_id == tenant_id,
                _names.c.name == name,
                # Whoever asks writes a later time.
                _names.c.asked_at == owned.asked_at,
            )
            .values(role=role, asked_at=clock.now_ms())
        )
    if moved.rowcount != 1:
        raise _taken(name, "another job asked for it at the same moment", role=role)


def _may_be_made(name: str, *, owner: str, tenant_id: str, databases: database.Databases) -> bool:
    """Tell whether a live job of a role may make a dataset; one that takes in an archive may make any."""
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


def _taken(name: str, why: str, *, role: str) -> errors.ConflictError:
    return errors.ConflictError(
        f"A job of {role} can't make a version of the dataset {name!r}: {why}. Choose another name, or free this one."
    )
