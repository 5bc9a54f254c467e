"""Pinning: a reference in a command becomes the version, key and SHA-256 that it means now."""

from typing import Any

from api.reads import kept
from shared import contract, database, errors, roles
from shared.catalog import kept_tables, mirror
from shared.objects import store


class Pinner:
    """Looks references up in the roles' databases; while one is down, in the API's mirror of them."""

    def __init__(self, databases: database.Databases, objects: store.Store) -> None:
        """Look up in these databases, and uploads in this store."""
        self._databases = databases
        self._objects = objects

    def pin(self, command: contract.Command, *, tenant_id: str, where: str) -> dict[str, Any]:
        """Look up what each reference of a command means now, by its place; the command stands at `where` in the body.

        Raises InvalidRequestError for a reference to nothing, UnavailableError where nobody can tell.
        """
        return {
            place: self._one(mark.to, text, tenant_id=tenant_id, pointer=f"{where}/{place.replace('.', '/')}")
            for place, mark, text in contract.find_references(command)
        }

    def _one(self, to: contract.ReferenceType, text: str, *, tenant_id: str, pointer: str) -> dict[str, Any]:
        if to == "upload":
            return self._upload(text, tenant_id=tenant_id, pointer=pointer)
        name, _, label = text.partition("@")
        try:
            pin = self._from_roles(to, name, label, tenant_id=tenant_id)
        except database.FAULTS:
            pin = self._from_mirror(to, name, label, tenant_id=tenant_id)
        if pin is None:
            raise errors.InvalidRequestError(
                f"There is no {to} {text}.",
                problems=[
                    errors.Problem(
                        f"{text!r} is not there; GET /v1/{kept_tables.THINGS[to].plural}/{name} shows what is.",
                        pointer,
                    )
                ],
            )
        return pin

    def _from_roles(self, type_: str, name: str, label: str, *, tenant_id: str) -> dict[str, Any] | None:
        """Look in one role after another; raises a database's fault when the thing may be in one that is down."""
        fault: Exception | None = None
        for place in kept.of_type(type_):
            try:
                with self._databases[place.role].statements.connect() as connection:
                    row = kept.find(connection, place, tenant_id=tenant_id, name=name, label=label)
            except database.FAULTS as down:
                fault = down
                continue
            if row is not None:
                return kept.pin_of(place, row)
        if fault is not None:
            raise fault
        return None

    def _from_mirror(self, type_: str, name: str, label: str, *, tenant_id: str) -> dict[str, Any]:
        with database.available(roles.API), self._databases[roles.API].statements.connect() as connection:
            pin = mirror.find(connection, type_, tenant_id=tenant_id, name=name, label=label)
        if pin is None:
            raise errors.UnavailableError(
                f"The database that knows the {type_} {name}@{label} can't be reached; nothing was accepted.",
                retry_after_seconds=5,
            )
        return pin

    def _upload(self, upload: str, *, tenant_id: str, pointer: str) -> dict[str, Any]:
        key = upload_key(upload, tenant_id=tenant_id)
        size = self._objects.size(key)
        if size is None:
            problem = errors.Problem(f"{upload!r} was not uploaded here.", pointer)
            raise errors.InvalidRequestError(f"There is no upload {upload}.", problems=[problem])
        return {"key": key, "bytes": size, "sha256": self._objects.sha256(key)}


def upload_key(upload: str, *, tenant_id: str) -> str:
    """Make the key under which the API keeps an upload."""
    return f"{tenant_id}/uploads/{upload}"
