"""What is published of feature sets that deployments look up, as the manifest names it, with what was pushed since."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import database
from shared.objects import store
from shared.prediction import overlays
from shared.prediction.lookups import name_publication
from shared.processing.tables import feature_publications, pushed_rows

_published = feature_publications
Marks = tuple[int, int, int]


class PublishedFeatures:
    """Reads what is published, and writes what was pushed since into overlays."""

    def __init__(self, databases: database.Databases, objects: store.Store) -> None:
        """Read the database of processing; copies of the inference server read overlays from a store."""
        self._databases = databases
        self._objects = objects

    def read_marks(self) -> Marks | None:
        """Read what is another after every publication and push; None while the database of processing is away."""
        fields = (
            sa.func.count(),
            sa.func.coalesce(sa.func.max(_published.c.published_at), 0),
            sa.func.coalesce(sa.func.sum(_published.c.pushes), 0),
        )
        try:
            with self._databases["processing"].statements.connect() as connection:
                count, last, pushes = connection.execute(sa.select(*fields).select_from(_published)).one()
        except database.FAULTS:
            return None
        return count, int(last), int(pushes)

    def read(self, served: Sequence[Any], known: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Read what the deployments in these rows look up, by `name_publication`.

        `known` is what was served before, which stays while the database of processing is away.
        """
        wanted = {
            name_publication(row.tenant_id, lookup["features"], lookup["keyed_by"]): (row.tenant_id, lookup)
            for row in served
            if (lookup := row.state.get("lookup")) is not None
        }
        found: dict[str, dict[str, Any]] = {}
        for identity, (tenant_id, lookup) in sorted(wanted.items()):
            before = known.get(identity)
            try:
                published = self._read_one(tenant_id, lookup, before)
            except database.FAULTS:
                published = before
            if published is not None:
                found[identity] = published
        return found

    def _read_one(
        self, tenant_id: str, lookup: Mapping[str, Any], before: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        name, _, version = lookup["features"].partition("@")
        identity = {
            "tenant_id": tenant_id,
            "name": name,
            "version": int(version),
            "keyed_by": lookup["keyed_by"],
        }
        with self._databases["processing"].statements.connect() as connection:
            # Read before the rows: what was pushed up to this number is committed.
            row = connection.execute(sa.select(_published).where(*_is(_published, identity))).one_or_none()
            if row is None:
                return None
            entry = {"key": row.key, "sha256": row.sha256, "published_at": row.published_at}
            same = before is not None and all(before[field] == value for field, value in entry.items())
            served = before if same and before is not None else {"push": 0, "overlays": []}
            if served["push"] != row.pushes:
                served = self._add_overlay(connection, identity, served, push=row.pushes)
            return {**entry, "push": served["push"], "overlays": served["overlays"]}

    def _add_overlay(
        self, connection: sa.Connection, identity: Mapping[str, Any], served: Mapping[str, Any], *, push: int
    ) -> dict[str, Any]:
        """Write what was pushed since into an overlay, together with later ones that are not much larger.

        So each is more than twice as large as those behind it together, and few are there however often is pushed.
        """
        same, after = _is(pushed_rows, identity), int(served["push"])
        count = connection.execute(
            sa.select(sa.func.count()).select_from(pushed_rows).where(*same, pushed_rows.c.push > after)
        ).scalar_one()
        kept = list(served["overlays"])
        while kept and kept[-1]["rows"] <= 2 * count:
            merged = kept.pop()
            after, count = merged["after"], count + merged["rows"]
        columns = (pushed_rows.c.key_hash, pushed_rows.c.pushed_at, pushed_rows.c["values"])
        rows = connection.execute(
            sa.select(*columns).where(*same, pushed_rows.c.push > after).order_by(pushed_rows.c.key_hash)
        ).all()
        if rows:
            key = overlays.write(self._objects, [(row[0], row[1], row[2]) for row in rows])
            kept.append({"key": key, "after": after, "rows": len(rows)})
        return {"push": push, "overlays": kept}


def _is(table: sa.Table, identity: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
    return [table.c[column] == value for column, value in identity.items()]
