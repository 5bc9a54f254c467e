"""Takes rows that clients push into what is published of a feature set; the sweeper ships them to copies."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, column_names, contract, database, errors
from shared.batches import batched
from shared.objects.lookups import keys, values
from shared.processing.pushes import MAX_PUSHED, PushRows
from shared.processing.tables import feature_publications, pushed_rows

_ROLE = "processing"
_published = feature_publications
_CHUNK = 200
_IDENTITY = [column.name for column in _published.primary_key]


def push(databases: database.Databases, tenant_id: str, name: str, document: PushRows) -> dict[str, Any]:
    """Store rows over what is published of their keys, all or none, and tell where they went.

    Pushed twice, each column keeps the value that was pushed last. Raises NotFoundError, InvalidRequestError,
    ConflictError when too many keys have pushed values, and UnavailableError.
    """
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        published = _find(connection, tenant_id, name, document)
    rows = _check(document, published)
    identity = {column: getattr(published, column) for column in _IDENTITY}
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        # The lock of this row makes pushes follow each other, so that whoever reads a number finds all up to it.
        number = connection.execute(
            sa.update(_published)
            .where(*_is(_published, identity))
            .values(pushes=_published.c.pushes + 1)
            .returning(_published.c.pushes)
        ).scalar()
        if number is None:
            raise errors.NotFoundError(f"{name}@{published.version} is not published any more.")
        for batch in batched(sorted(rows), size=_CHUNK):
            _store(connection, identity, {key_hash: rows[key_hash] for key_hash in batch}, push=number)
        _require_room(connection, identity)
    return {
        "features": f"{name}@{published.version}",
        "key": [column["name"] for column in published.key_columns],
        "rows": len(rows),
        "push": number,
    }


def _find(connection: sa.Connection, tenant_id: str, name: str, document: PushRows) -> sa.Row[Any]:
    query = sa.select(_published).where(_published.c.tenant_id == tenant_id, _published.c.name == name)
    if document.version is not None:
        query = query.where(_published.c.version == document.version)
    if document.key is not None:
        query = query.where(_published.c.keyed_by == keys.mark(document.key))
    rows = connection.execute(query.order_by(_published.c.version.desc())).all()
    if not rows:
        label = name if document.version is None else f"{name}@{document.version}"
        by = f" by {', '.join(document.key)}" if document.key else ""
        raise errors.NotFoundError(
            f"{label} is not published{by}; POST /v1/features/{name}/publish does that, and rows are pushed into what "
            "is published."
        )
    latest = [row for row in rows if row.version == rows[0].version]
    if len(latest) > 1:
        known = " or ".join(", ".join(column["name"] for column in row.key_columns) for row in latest)
        raise errors.InvalidRequestError(
            f"{name}@{latest[0].version} is published by several keys.",
            problems=[errors.Problem(f"name the key: {known}", "#/key")],
        )
    return latest[0]


def _check(document: PushRows, published: sa.Row[Any]) -> dict[str, dict[str, Any]]:
    """Check all rows, and return their values by the hash of their key; of a key that comes twice the last hold."""
    key = [contract.Column.model_validate(column) for column in published.key_columns]
    columns = {column["name"]: contract.Column.model_validate(column) for column in published.columns}
    rows: dict[str, dict[str, Any]] = {}
    problems: list[errors.Problem] = []
    for index, row in enumerate(document.rows):
        checked = _Row(row, key, columns, pointer=f"#/rows/{index}")
        problems += checked.problems
        rows[checked.key_hash] = rows.get(checked.key_hash, {}) | checked.values
    if problems:
        raise errors.InvalidRequestError("Rows don't fit what is published; none was stored.", problems=problems[:20])
    return rows


class _Row:
    """A row with the hash of its key and its values, as far as it has no problems."""

    def __init__(
        self,
        row: Mapping[str, Any],
        key: Sequence[contract.Column],
        columns: Mapping[str, contract.Column],
        *,
        pointer: str,
    ) -> None:
        self.problems: list[errors.Problem] = []
        self.values: dict[str, Any] = {}
        self._pointer = pointer
        parts = [self._read_part(row.get(column.name), column) for column in key]
        self.key_hash = keys.hash_parts(parts).hex()
        names = {column.name for column in key}
        for name, value in row.items():
            if name in columns:
                self._take(value, columns[name])
            elif name not in names:
                described = column_names.describe_absent(name, present=[*columns, *names])
                self._note(f"there is no {described}", name)

    def _read_part(self, value: Any, column: contract.Column) -> str:
        try:
            part = keys.to_text(value, column.type)
        except ValueError as error:
            self._note(f"a key can't be read: {error}", column.name)
            return ""
        if part is None:
            self._note(f"the row has no {column.name!r}, which is its key")
        return part or ""

    def _take(self, value: Any, column: contract.Column) -> None:
        try:
            self.values[column.name] = values.check(value, column.type)
        except ValueError as error:
            self._note(f"{value!r:.80} where the column takes {error}", column.name)

    def _note(self, detail: str, *path: str) -> None:
        self.problems.append(errors.Problem(detail, "/".join([self._pointer, *path])))


def _store(
    connection: sa.Connection, identity: Mapping[str, Any], rows: Mapping[str, dict[str, Any]], *, push: int
) -> None:
    before = connection.execute(
        sa.select(pushed_rows.c.key_hash, pushed_rows.c["values"]).where(
            *_is(pushed_rows, identity), pushed_rows.c.key_hash.in_(list(rows))
        )
    ).all()
    merged = dict(rows) | {key_hash: {**stored, **rows[key_hash]} for key_hash, stored in before}
    insert = database.insert(connection, pushed_rows).values(
        [
            {**identity, "key_hash": key_hash, "values": row, "push": push, "pushed_at": clock.now_ms()}
            for key_hash, row in merged.items()
        ]
    )
    new = insert.excluded
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[*_IDENTITY, "key_hash"],
            set_={"values": new["values"], "push": new.push, "pushed_at": new.pushed_at},
        )
    )


def _require_room(connection: sa.Connection, identity: Mapping[str, Any]) -> None:
    count = connection.execute(
        sa.select(sa.func.count()).select_from(pushed_rows).where(*_is(pushed_rows, identity))
    ).scalar_one()
    if count > MAX_PUSHED:
        raise errors.ConflictError(
            f"{count:,} keys would have values that were pushed since the last publication, and at most {MAX_PUSHED:,} "
            "may; publish the features again, with what was pushed."
        )


def _is(table: sa.Table, identity: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
    return [table.c[column] == value for column, value in identity.items()]
