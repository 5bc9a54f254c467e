"""Named connections to databases and S3 stores, kept by the operator in a file and never in a job's row.

docs/decisions/ingestion.md, "Connections and folders belong to tenants"
"""

import os
import pathlib
import stat
import tomllib
from typing import Annotated, Literal

import pydantic

from shared import contract, errors
from shared.ingestion import sources

GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class _Connection(contract.Document):
    """The fields that every connection has."""

    tenants: list[str] = pydantic.Field(
        default=["default"], description="Ids of the tenants whose jobs may use it; `*` stands for all tenants."
    )


class Database(_Connection):
    """A database that SQL sources may read."""

    url: pydantic.SecretStr = pydantic.Field(
        description="`postgresql://user:password@host/name`, `mysql://…`, `mariadb://…` or `sqlite:////file`. "
        "The login should have the right to read and no other."
    )


class ObjectStore(_Connection):
    """An S3-compatible store whose objects may be read."""

    type: Literal["s3"] = pydantic.Field(description="The type, which distinguishes it from a database.")
    buckets: list[str] = pydantic.Field(min_length=1, description="The buckets that may be read.")
    endpoint: str | None = pydantic.Field(
        default=None, pattern=r"^https?://\S+$", description="The store's URL; when omitted, that of Amazon S3."
    )
    region: str = pydantic.Field(default="us-east-1", description="The store's region.")
    access_key_id: pydantic.SecretStr | None = pydantic.Field(default=None, description="The key's id.")
    secret_access_key: pydantic.SecretStr | None = pydantic.Field(default=None, description="The key itself.")
    anonymous: bool = pydantic.Field(
        default=False, description="Whether to send requests without a key, for public buckets."
    )
    path_style: bool = pydantic.Field(
        default=True, description="Whether URLs hold the bucket in their path, not in the host."
    )


_Entries = pydantic.TypeAdapter(
    dict[sources.ConnectionName, Annotated[Database | ObjectStore, pydantic.Field(union_mode="smart")]]
)


def find_database(path: pathlib.Path | None, name: str, *, tenant_id: str) -> Database:
    """Find a database that a tenant may use, by its name; PermanentError when there is none."""
    connection = _find(path, name, tenant_id=tenant_id)
    if not isinstance(connection, Database):
        raise errors.PermanentError(f"The connection {name!r} is an object store, not a database.")
    return connection


def find_object_store(path: pathlib.Path | None, name: str, *, tenant_id: str) -> ObjectStore:
    """Find an object store that a tenant may use, by its name; PermanentError when there is none."""
    connection = _find(path, name, tenant_id=tenant_id)
    if not isinstance(connection, ObjectStore):
        raise errors.PermanentError(f"The connection {name!r} is a database, not an object store.")
    return connection


def read(path: pathlib.Path | None) -> dict[str, Database | ObjectStore]:
    """Read the operator's file; PermanentError when it is invalid or others may read it. No message shows a value."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            _check_private(file.fileno(), path)
            document = tomllib.load(file)
    except FileNotFoundError as error:
        raise errors.PermanentError(
            f"MILLRACE_INGESTION_CONNECTIONS names {path.name!r}, which doesn't exist."
        ) from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The error's text may show a line of the file.
        raise errors.PermanentError(f"{path.name!r} can't be read as TOML ({type(error).__name__}).") from None
    try:
        return _Entries.validate_python(document)
    except pydantic.ValidationError as invalid:
        places = sorted({".".join(str(part) for part in error["loc"][:1]) for error in invalid.errors()})
        raise errors.PermanentError(
            f'{path.name!r} is wrong at {", ".join(places)}; a connection needs `url`, or `type = "s3"` and `buckets`.'
        ) from None


def _find(path: pathlib.Path | None, name: str, *, tenant_id: str) -> Database | ObjectStore:
    connection = read(path).get(name)
    if connection is None or not {tenant_id, "*"} & set(connection.tenants):
        # The same message for both, so that nobody learns which connections other tenants have.
        raise errors.PermanentError(
            f"There is no connection {name!r} for you; the operator names them in MILLRACE_INGESTION_CONNECTIONS."
        )
    return connection


def _check_private(descriptor: int, path: pathlib.Path) -> None:
    status = os.fstat(descriptor)
    if status.st_mode & GROUP_AND_OTHERS:
        raise errors.PermanentError(
            f"{path.name!r} has the mode {stat.S_IMODE(status.st_mode):04o}, so other users can read its secrets; "
            f"make it 0600 (chmod 600)."
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise errors.PermanentError(
            f"{path.name!r} belongs to another user; it must belong to the user that runs this worker."
        )
