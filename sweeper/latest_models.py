"""The latest version of every model, as the manifest names it: in a few words, and its pin in an object of its own."""

import contextlib
import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from shared import contract, database
from shared.objects import store
from shared.prediction import manifests
from shared.training.tables import model_versions, models

_versions = model_versions
Marks = tuple[int, int]


class LatestModels:
    """Reads which version of each model is the latest, and stores the pins of new ones."""

    def __init__(self, databases: database.Databases, objects: store.Store) -> None:
        """Read the database of training; copies of the inference server read pins from a store."""
        self._databases = databases
        self._objects = objects

    def read_marks(self) -> Marks | None:
        """Read what is another after every new version; None while the database of training is away.

        A version that is deleted is noticed when a manifest is made anew because the last one has grown old: looking
        for it twice a second would read all versions.
        """
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(models.c.last_version), 0)).select_from(models)
        try:
            with self._databases["training"].statements.connect() as connection:
                count, sum_of_versions = connection.execute(query).one()
        except database.FAULTS:
            return None
        return count, int(sum_of_versions)

    def read(self, known: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Read them by `tenant/name`, each with `version`, `sha256` and the key of its `pin`.

        `known` is what was published before: what is still so is taken from there, and all of it while the database of
        training is away.
        """
        try:
            with self._databases["training"].statements.connect() as connection:
                return dict(
                    self._read_one(connection, row, known) for row in connection.execute(_select_latest()).all()
                )
        except database.FAULTS:
            return dict(known)

    def _read_one(
        self, connection: sa.Connection, row: sa.Row[Any], known: Mapping[str, dict[str, Any]]
    ) -> tuple[str, dict[str, Any]]:
        identity = f"{row.tenant_id}/{row.name}"
        before = known.get(identity)
        if before is not None and (before["version"], before["sha256"]) == (row.version, row.sha256):
            return identity, before
        columns = [_versions.c[name] for name in contract.ModelPin.model_fields]
        found = connection.execute(
            sa.select(*columns).where(
                _versions.c.tenant_id == row.tenant_id, _versions.c.name == row.name, _versions.c.version == row.version
            )
        ).one()
        pin = {name: getattr(found, name) for name in contract.ModelPin.model_fields}
        return identity, {"version": row.version, "sha256": row.sha256, "pin": self._store(pin)}

    def _store(self, pin: dict[str, Any]) -> str:
        """Store a pin under a name that tells its content, and return its key."""
        content = orjson.dumps(pin, option=orjson.OPT_SORT_KEYS)
        key = manifests.key_of_pin(hashlib.sha256(content).hexdigest())
        # Another sweeper, or an earlier manifest, may have stored the same.
        with contextlib.suppress(FileExistsError), self._objects.write(key) as file:
            file.write(content)
        return key


def _select_latest() -> sa.Select[Any]:
    newest = (
        sa.select(_versions.c.tenant_id, _versions.c.name, sa.func.max(_versions.c.version).label("version"))
        .where(_versions.c.deleted_at.is_(None))
        .group_by(_versions.c.tenant_id, _versions.c.name)
        .subquery()
    )
    same = (newest.c.tenant_id == _versions.c.tenant_id, newest.c.name == _versions.c.name)
    return (
        sa.select(_versions.c.tenant_id, _versions.c.name, _versions.c.version, _versions.c.sha256)
        .join(newest, sa.and_(*same, newest.c.version == _versions.c.version))
        .order_by(_versions.c.tenant_id, _versions.c.name)
    )
