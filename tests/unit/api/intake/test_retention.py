"""The guards of retiring: what changed between the look and the mark is left alone."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from api.intake import deletion, retention
from api.reads import kept
from shared import database, errors
from shared.catalog import datasets
from shared.catalog.versions import read_pinned
from shared.jobs import outbox, tables
from shared.storage.contract import Retired
from shared.training import aliases
from shared.training.tables import (
    metadata,
    model_alias_changes,
    model_aliases,
    model_exports,
    model_metrics,
    model_tags,
    model_versions,
)
from tests.unit.rig import Rig, new_version

TENANT = "acme"
[DATASETS, *_] = kept.places_of_type("dataset")
[MODELS] = kept.places_of_type("model")


@pytest.fixture
def versions(rig: Rig) -> Rig:
    """Return a database with three versions of a dataset, and those of another tenant."""
    for tenant in (TENANT, "zenith"):
        for _ in range(3):
            rig.run(datasets.add, new_version("job", tenant_id=tenant))
    rig.run(lambda connection: connection.execute(sa.delete(tables.outbox)))
    return rig


def mark(rig: Rig, *numbers: int) -> list[int]:
    """Mark versions as deleted; gives those that were."""
    chosen = [Retired(type="dataset", name="telco", version=number, bytes=1) for number in numbers]
    marked = rig.run(retention.mark_deleted, DATASETS, chosen, tenant_id=TENANT)
    return [one.version for one in marked]


def deleted(rig: Rig) -> list[tuple[str, int]]:
    """Name the versions that are marked."""
    table = datasets.VERSIONS
    with rig.engines.statements.connect() as connection:
        rows = connection.execute(sa.select(table.c.tenant_id, table.c.version).where(table.c.deleted_at.isnot(None)))
        return sorted((row.tenant_id, row.version) for row in rows)


def test_only_the_chosen_versions_of_the_tenant_are_marked_and_told_of(versions: Rig) -> None:
    assert mark(versions, 1, 2) == [1, 2]
    assert deleted(versions) == [(TENANT, 1), (TENANT, 2)]
    told = versions.run(outbox.read, limit=10)
    assert [(event.type, event.subject, event.tenant_id) for event in told] == [
        ("dataset.deleted", "telco@1", TENANT),
        ("dataset.deleted", "telco@2", TENANT),
    ]


def test_a_version_that_somebody_deleted_meanwhile_is_not_marked_again(versions: Rig) -> None:
    table = datasets.VERSIONS
    with versions.engines.transactions.begin() as connection:
        connection.execute(sa.update(table).where(table.c.version == 1).values(deleted_at=1))
    assert mark(versions, 1, 2) == [2]
    with versions.engines.statements.connect() as connection:
        query = sa.select(table.c.deleted_at).where(table.c.tenant_id == TENANT, table.c.version == 1)
        assert connection.execute(query).scalar_one() == 1


@pytest.fixture
def models(rig: Rig) -> Any:
    """Return a database with two versions of a model."""
    made = (model_versions, model_aliases, model_exports, model_metrics, model_tags, model_alias_changes)
    metadata.create_all(rig.engines.transactions, tables=made)
    with rig.engines.transactions.begin() as connection:
        for table in made:
            connection.execute(sa.delete(table))
        for version in (1, 2):
            connection.execute(sa.insert(model_versions).values(**_filled(model_versions, version)))
            connection.execute(sa.insert(model_exports).values(**_filled(model_exports, version)))
    yield rig
    with contextlib.suppress(database.FAULTS[0]):
        metadata.drop_all(rig.engines.transactions, tables=made)


def _filled(table: sa.Table, version: int) -> dict[str, Any]:
    """Fill every column of a row that is of a model's version."""
    texts = {"tenant_id": TENANT, "name": "churn", "key": f"a/b/{version}", "version": version}
    plain: dict[str, Any] = {
        column.name: {} if isinstance(column.type, sa.JSON) else 1 if isinstance(column.type, sa.Integer) else "x"
        for column in table.c
        if not column.nullable
    }
    return plain | texts


def test_a_version_that_got_an_alias_meanwhile_is_left_alone(models: Rig) -> None:
    with models.engines.transactions.begin() as connection:
        connection.execute(
            sa.insert(model_aliases).values(
                tenant_id=TENANT, name="churn", alias="champion", version=1, updated_by="k", updated_at=1
            )
        )
    chosen = [Retired(type="model", name="churn", version=number, bytes=1) for number in (1, 2)]
    marked = models.run(retention.mark_deleted, MODELS, chosen, tenant_id=TENANT)
    assert [one.version for one in marked] == [2]
    with models.engines.statements.connect() as connection:
        assert list(connection.execute(sa.select(model_exports.c.version)).scalars()) == [1]


def first(connection: sa.Connection) -> sa.Row[Any]:
    """Read the row of the model's first version, deleted or not."""
    return read_pinned(connection, model_versions, tenant_id=TENANT, name="churn", version=1)


def set_alias(connection: sa.Connection) -> None:
    """Set an alias as the API does."""
    aliases.put(connection, first(connection), "champion", changed_by="k")


def bring_alias(connection: sa.Connection) -> None:
    """Set an alias as a job does that takes in an archive."""
    aliases.add_if_absent(connection, first(connection), "champion", changed_by="k", archive_sha256="a" * 64)


def is_refused(act: Callable[[sa.Connection], object]) -> Callable[[sa.Connection], bool]:
    """Tell whether an act is refused as a conflict."""

    def tell(connection: sa.Connection) -> bool:
        try:
            act(connection)
        except errors.ConflictError:
            return True
        return False

    return tell


def delete_first(connection: sa.Connection) -> None:
    """Delete the first version of the model, as the API does."""
    deletion.mark_deleted(connection, MODELS, first(connection))


def mark_first(connection: sa.Connection) -> list[int]:
    """Mark the first version of the model as deleted, as a prune does; gives what was marked."""
    chosen = [Retired(type="model", name="churn", version=1, bytes=1)]
    return [one.version for one in retention.mark_deleted(connection, MODELS, chosen, tenant_id=TENANT)]


@pytest.mark.parametrize("alias", [set_alias, bring_alias])
def test_an_alias_that_is_set_while_a_prune_marks_is_refused(
    models: Rig, alias: Callable[[sa.Connection], None]
) -> None:
    assert models.overlap(mark_first, is_refused(alias)) == ([1], True)


def test_a_prune_that_marks_while_an_alias_is_set_spares_its_version(models: Rig) -> None:
    assert models.overlap(set_alias, mark_first) == (None, [])


@pytest.mark.parametrize("alias", [set_alias, bring_alias])
def test_of_an_alias_and_a_deletion_that_come_at_once_the_later_is_refused(
    models: Rig, alias: Callable[[sa.Connection], None]
) -> None:
    assert models.overlap(alias, is_refused(delete_first)) == (None, True)
    models.run(lambda connection: connection.execute(sa.delete(model_aliases)))
    assert models.overlap(delete_first, is_refused(alias)) == (None, True)


def test_a_version_that_two_delete_at_once_is_told_of_once(models: Rig) -> None:
    models.overlap(delete_first, delete_first)
    with models.engines.statements.connect() as connection:
        told = list(connection.execute(sa.select(tables.outbox.c.type)).scalars())
    assert told == ["model.deleted"]


@pytest.mark.parametrize("other", [{"tenant_id": "zenith"}, {"name": "another"}, {"version": 2}])
def test_an_alias_is_set_although_another_version_is_deleted(models: Rig, other: dict[str, Any]) -> None:
    table = model_versions
    with models.engines.transactions.begin() as connection:
        row = connection.execute(sa.select(table).where(table.c.version == 1)).one()._asdict()
        connection.execute(sa.delete(table).where(table.c.version == 2))
        connection.execute(sa.insert(table).values({**row, **other, "deleted_at": 1}))
    models.run(set_alias)
