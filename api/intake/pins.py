"""Pins references: `churn@latest` in a command becomes the version, key and SHA-256 that it stands for now."""

from collections.abc import Mapping
from typing import Any

from api.reads import kept
from shared import contract, database, errors, roles
from shared.catalog import kept_tables, mirror
from shared.objects import store


class Pinner:
    """Looks references up in the roles' databases; while one is down, in the API's mirror of them.

    See docs/decisions/datasets.md, "The API has a mirror of names for outages".
    """

    def __init__(self, databases: database.Databases, objects: store.Store) -> None:
        """Look up versions in these databases, and uploads in this store."""
        self._databases = databases
        self._objects = objects

    def pin(
        self, command: contract.Command, *, tenant_id: str, pointer: str, pinned: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Make the pins of a command's references, by the path of each; `pointer` is where the command is in the body.

        What is `pinned` already is not looked up, and is returned with the others.
        Raises InvalidRequestError for a reference to nothing, UnavailableError if a database that may have it is down.
        """
        pinned = pinned or {}
        return {**pinned} | {
            path: self.pin_one(mark.to, text, tenant_id=tenant_id, pointer=f"{pointer}/{path.replace('.', '/')}")
            for path, mark, text in contract.find_references(command)
            if path not in pinned
        }

    def pin_one(self, type_: contract.ReferenceType, text: str, *, tenant_id: str, pointer: str) -> dict[str, Any]:
        """Make the pin of one reference; raises as `pin` does."""
        if type_ == "upload":
            return self._pin_upload(text, tenant_id=tenant_id, pointer=pointer)
        name, _, label = text.partition("@")
        try:
            pin = self._pin_from_roles(type_, name, label, tenant_id=tenant_id)
        except database.FAULTS:
            pin = self._pin_from_mirror(type_, name, label, tenant_id=tenant_id)
        if pin is None:
            raise errors.InvalidRequestError(
                f"There is no {type_} {text}.",
                problems=[
                    errors.Problem(
                        f"{text!r} doesn't exist; GET /v1/{kept_tables.TYPES[type_].plural}/{name} lists the versions.",
                        pointer,
                    )
                ],
            )
        return pin

    def _pin_from_roles(self, type_: str, name: str, label: str, *, tenant_id: str) -> dict[str, Any] | None:
        """Look in one role after another; raises the error of a database that is down when it may have the version."""
        failure: Exception | None = None
        for place in kept.places_of_type(type_):
            try:
                with self._databases[place.role].statements.connect() as connection:
                    row = kept.find(connection, place, tenant_id=tenant_id, name=name, label=label)
            except database.FAULTS as error:
                failure = error
                continue
            if row is not None:
                return kept.pin_of(place, row)
        if failure is not None:
            raise failure
        return None

    def _pin_from_mirror(self, type_: str, name: str, label: str, *, tenant_id: str) -> dict[str, Any]:
        with database.available(roles.API), self._databases[roles.API].statements.connect() as connection:
            pin = mirror.find_pin(connection, type_, tenant_id=tenant_id, name=name, label=label)
        if pin is None:
            raise errors.UnavailableError(
                f"The database that may have the {type_} {name}@{label} can't be reached; nothing was accepted.",
                retry_after_seconds=5,
            )
        return pin

    def _pin_upload(self, upload: str, *, tenant_id: str, pointer: str) -> dict[str, Any]:
        key = upload_key(upload, tenant_id=tenant_id)
        size = self._objects.size(key)
        if size is None:
            problem = errors.Problem(f"{upload!r} is not an upload here.", pointer)
            raise errors.InvalidRequestError(f"There is no upload {upload}.", problems=[problem])
        return {"key": key, "bytes": size, "sha256": self._objects.sha256(key)}


def upload_key(upload: str, *, tenant_id: str) -> str:
    """Make the key under which the API keeps an upload."""
    return f"{tenant_id}/uploads/{upload}"
