"""Pinning: a reference in a command becomes the version, key and SHA-256 that it means now."""

from typing import Any

import sqlalchemy as sa

from shared import catalog, contract, database, datasets, errors, inventories, lineage, objects, roles, versions
from shared.processing import tables as processing
from shared.training import exports
from shared.training import tables as training

_PLURAL = {"dataset": "datasets", "features": "features", "model": "models"}


class Pinner:
    """Looks references up in the roles' databases; while one is down, in the door's catalogue."""

    def __init__(self, databases: database.Databases, store: objects.Store) -> None:
        """Look up in these databases, and uploads in this store."""
        self._databases = databases
        self._store = store

    def pin(self, command: contract.Command, *, tenant_id: str, where: str) -> dict[str, Any]:
        """Give what each reference of a command means now, by its place; the command stands at `where` in the body."""
        pinned = {
            place: self._inventory(command, tenant_id=tenant_id)
            if mark.to == "holdings"
            else self._one(mark.to, text, tenant_id=tenant_id, pointer=f"{where}/{place.replace('.', '/')}")
            for place, mark, text in contract.references(command)
        }
        if isinstance(command, exports.ExportModel) and command.format == "onnx":
            pinned |= self._training_data(pinned["model"], tenant_id=tenant_id)
        return pinned

    def _training_data(self, model: dict[str, Any], *, tenant_id: str) -> dict[str, Any]:
        """Pin the rows that a model which an archive brought was trained on, if a version here holds them.

        The training role knows which rows its own jobs had pinned, but no dataset of another role.
        """
        for made, label in lineage.sources(model.get("lineage", {})):
            digest = lineage.content_of(label)
            if made == "dataset" and digest:
                pin = self._holding(label.partition("@")[0], digest, tenant_id=tenant_id)
                return {} if pin is None else {"data": pin}
        return {}

    def _holding(self, name: str, sha256: str, *, tenant_id: str) -> dict[str, Any] | None:
        """Give the pin of the latest of a dataset's versions that has these bytes."""
        for role in datasets.ROLES:
            with database.available(role), self._databases[role].statements.connect() as connection:
                row = versions.find_bytes(connection, datasets.VERSIONS, tenant_id=tenant_id, name=name, sha256=sha256)
            if row is not None:
                return datasets.pin_of(row)
        return None

    def _inventory(self, command: contract.Command, *, tenant_id: str) -> dict[str, Any]:
        return inventories.pin(command, databases=self._databases, store=self._store, tenant_id=tenant_id)

    def _one(self, made: contract.ReferenceType, text: str, *, tenant_id: str, pointer: str) -> dict[str, Any]:
        if made == "upload":
            return self._upload(text, tenant_id=tenant_id, pointer=pointer)
        name, _, label = text.partition("@")
        try:
            pin = self._from_roles(made, name, label, tenant_id=tenant_id)
        except database.FAULTS:
            pin = self._from_catalog(made, name, label, tenant_id=tenant_id)
        if pin is None:
            raise errors.InvalidRequestError(
                f"There is no {made} {text}.",
                problems=[
                    errors.Problem(
                        f"{text!r} is not there; GET /v1/{_PLURAL[made]}/{name} shows what is.",
                        pointer,
                    )
                ],
            )
        return pin

    def _from_roles(self, made: str, name: str, label: str, *, tenant_id: str) -> dict[str, Any] | None:
        if made == "dataset":
            return self._dataset(name, label, tenant_id=tenant_id)
        if made == "features":
            with self._databases["processing"].statements.connect() as connection:
                row = _version(connection, processing.feature_versions, tenant_id=tenant_id, name=name, label=label)
            return None if row is None else features_pin(row)
        with self._databases["training"].statements.connect() as connection:
            number = _aliased(connection, tenant_id=tenant_id, name=name, label=label)
            row = _version(connection, training.model_versions, tenant_id=tenant_id, name=name, label=number)
        return None if row is None else model_pin(row)

    def _dataset(self, name: str, label: str, *, tenant_id: str) -> dict[str, Any] | None:
        fault: Exception | None = None
        for role in datasets.ROLES:
            try:
                with self._databases[role].statements.connect() as connection:
                    row = _version(connection, datasets.VERSIONS, tenant_id=tenant_id, name=name, label=label)
            except database.FAULTS as down:
                fault = down
                continue
            if row is not None:
                return datasets.pin_of(row)
        if fault is not None:
            raise fault
        return None

    def _from_catalog(self, made: str, name: str, label: str, *, tenant_id: str) -> dict[str, Any]:
        with database.available(roles.DOOR), self._databases[roles.DOOR].statements.connect() as connection:
            pin = catalog.find(connection, made, tenant_id=tenant_id, name=name, label=label)
        if pin is None:
            raise errors.UnavailableError(
                f"The database that knows the {made} {name}@{label} can't be reached; nothing was accepted.",
                retry_after_seconds=5,
            )
        return pin

    def _upload(self, upload: str, *, tenant_id: str, pointer: str) -> dict[str, Any]:
        key = upload_key(upload, tenant_id=tenant_id)
        size = self._store.size(key)
        if size is None:
            problem = errors.Problem(f"{upload!r} was not uploaded here.", pointer)
            raise errors.InvalidRequestError(f"There is no upload {upload}.", problems=[problem])
        return {"key": key, "bytes": size, "sha256": self._store.sha256(key)}


def upload_key(upload: str, *, tenant_id: str) -> str:
    """Give the key under which the door keeps an upload."""
    return f"{tenant_id}/uploads/{upload}"


def model_pin(row: sa.Row[Any]) -> dict[str, Any]:
    """Give a model version's row as a job pins it."""
    return {name: getattr(row, name) for name in contract.ModelPin.model_fields}


def features_pin(row: sa.Row[Any]) -> dict[str, Any]:
    """Give a feature set version's row as a job pins it."""
    return {name: getattr(row, name) for name in contract.FeaturesPin.model_fields}


def _version(
    connection: sa.Connection, table: sa.Table, *, tenant_id: str, name: str, label: str | None
) -> sa.Row[Any] | None:
    if label != "latest" and not (label and label.isdecimal() and len(label) < 10):
        return None
    number = None if label == "latest" else int(label)
    return versions.find(connection, table, tenant_id=tenant_id, name=name, version=number)


def _aliased(connection: sa.Connection, *, tenant_id: str, name: str, label: str) -> str:
    """Give the version's number that an alias stands for; a label that is no alias stays as it is."""
    if label == "latest" or label.isdecimal():
        return label
    aliases = training.model_aliases
    number = connection.execute(
        sa.select(aliases.c.version).where(
            aliases.c.tenant_id == tenant_id, aliases.c.name == name, aliases.c.alias == label
        )
    ).scalar()
    return label if number is None else str(number)
