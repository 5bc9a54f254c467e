"""Pins what deployments look up: a version of a feature set that has been published by the key that they name."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from api.intake.pins import Pinner
from shared import column_names, contract, database, errors
from shared.objects.lookups import keys, values
from shared.prediction import changes
from shared.prediction.lookups import Lookup, State
from shared.processing.tables import feature_publications

_ROLE = "processing"
_table = feature_publications


def pin(
    databases: database.Databases,
    pinner: Pinner,
    lookup: Lookup | None,
    *,
    models: Iterable[Mapping[str, Any]],
    tenant_id: str,
) -> dict[str, State]:
    """Build the part of a state that says what is looked up; it is empty where nothing is.

    `models` are the pins of the versions that take what is found. Raises InvalidRequestError for what isn't published
    or doesn't fit, and UnavailableError.
    """
    if lookup is None:
        return {}
    row = _find_published(databases, lookup, tenant_id=tenant_id)
    columns = [contract.Column.model_validate(column) for column in row.columns]
    defaults = _check_defaults(lookup, columns)
    _require_use(columns, models, features=f"{row.name}@{row.version}")
    label = f"{row.name}@{row.version}"
    features = pinner.pin_one("features", label, tenant_id=tenant_id, pointer="#/lookup/features")
    state = {
        **lookup.model_dump(mode="json"),
        "features": label,
        "defaults": defaults,
        "keyed_by": row.keyed_by,
        "pin": {name: features[name] for name in ("key", "sha256")},
    }
    return {"lookup": state}


def pin_again(
    databases: database.Databases,
    pinner: Pinner,
    state: State | None,
    *,
    models: Iterable[Mapping[str, Any]],
    tenant_id: str,
) -> dict[str, State]:
    """Pin what an earlier state of a deployment looked up, which may be gone; as `pin`."""
    lookup = None if state is None else Lookup.model_validate({name: state[name] for name in Lookup.model_fields})
    return pin(databases, pinner, lookup, models=models, tenant_id=tenant_id)


def require_not_looked_up(databases: database.Databases, row: sa.Row[Any]) -> None:
    """Raise ConflictError when a deployment looks rows up in a version of a feature set, given its row."""
    with database.available("prediction"), databases["prediction"].statements.connect() as connection:
        names = changes.list_lookups(connection, tenant_id=row.tenant_id, features=row.name, version=row.version)
    if names:
        raise errors.ConflictError(
            f"Deployments look rows up in {row.name}@{row.version}: {', '.join(map(repr, names))}; change them first, "
            f"at /v1/deployments/{names[0]}."
        )


def _find_published(databases: database.Databases, lookup: Lookup, *, tenant_id: str) -> sa.Row[Any]:
    name, _, label = lookup.features.partition("@")
    query = sa.select(_table).where(_table.c.tenant_id == tenant_id, _table.c.name == name)
    if label != "latest":
        query = query.where(_table.c.version == (int(label) if label.isdecimal() and len(label) < 10 else 0))
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        rows = connection.execute(query.order_by(_table.c.version.desc())).all()
    found = next((row for row in rows if row.keyed_by == keys.mark(lookup.key)), None)
    if found is None:
        key = ", ".join(lookup.key)
        others = sorted({", ".join(column["name"] for column in row.key_columns) for row in rows})
        detail = (
            f"{lookup.features} has not been published by {key}"
            + (f", only by {' or by '.join(others)}" if others else "")
            + f'; POST /v1/features/{name}/publish {{"dataset": …, "key": […]}} does that.'
        )
        pointer = "#/lookup/key" if others else "#/lookup/features"
        raise errors.InvalidRequestError(
            "What the deployment looks up is not published.", problems=[errors.Problem(detail, pointer)]
        )
    return found


def _check_defaults(lookup: Lookup, columns: list[contract.Column]) -> dict[str, Any] | None:
    if lookup.defaults is None:
        return None
    types = {column.name: column.type for column in columns}
    checked = {}
    for name, value in lookup.defaults.items():
        pointer = f"#/lookup/defaults/{name}"
        if name not in types:
            described = column_names.describe_absent(name, present=types)
            problem = errors.Problem(f"there is no {described}", pointer)
            raise errors.InvalidRequestError("A default is of no column that is looked up.", problems=[problem])
        try:
            checked[name] = values.check(value, types[name])
        except ValueError as error:
            problem = errors.Problem(f"{value!r:.80} is the default of {name!r}, which takes {error}", pointer)
            raise errors.InvalidRequestError("A default doesn't fit its column.", problems=[problem]) from error
    return checked


def _require_use(columns: list[contract.Column], models: Iterable[Mapping[str, Any]], *, features: str) -> None:
    """Refuse features that no version takes, which would be looked up for nothing."""
    taken = {column["name"] for pin in models for column in pin["signature"]["columns"]}
    if taken.isdisjoint(column.name for column in columns):
        shown = ", ".join(repr(column.name) for column in columns[:10])
        problem = errors.Problem(
            f"{features} has {shown}{' …' if len(columns) > 10 else ''}, and none of them is a column that the "
            "versions take",
            "#/lookup/features",
        )
        raise errors.InvalidRequestError("What the deployment looks up is of no use.", problems=[problem])
