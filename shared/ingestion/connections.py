"""Named connections to databases and S3 stores, kept by the operator in a file and never in a job's row."""

import os
import pathlib
import stat
import tomllib
from typing import Annotated, Literal

import pydantic

from shared import contract, errors
from shared.ingestion import sources

OTHERS = stat.S_IRWXG | stat.S_IRWXO


class _Connection(contract.Document):
    """What every connection has."""

    tenants: list[str] = pydantic.Field(
        default=["default"], description="Ids of the tenants whose jobs may use it; `*` stands for all."
    )


class Database(_Connection):
    """A database that queries may read."""

    url: pydantic.SecretStr = pydantic.Field(
        description="`postgresql://user:password@host/name`, `mysql://…`, `mariadb://…` or `sqlite:////file`. "
        "Let the login have the right to read and no other."
    )


class ObjectStore(_Connection):
    """An S3-compatible store whose objects may be read."""

    type: Literal["s3"] = pydantic.Field(description="Tells it from a database.")
    buckets: list[str] = pydantic.Field(min_length=1, description="The buckets that may be read.")
    endpoint: str | None = pydantic.Field(
        default=None, pattern=r"^https?://\S+$", description="The store's address; left out, Amazon's."
    )
    region: str = pydantic.Field(default="us-east-1", description="The store's region.")
    access_key_id: pydantic.SecretStr | None = pydantic.Field(default=None, description="The key's id.")
    secret_access_key: pydantic.SecretStr | None = pydantic.Field(default=None, description="The key itself.")
    anonymous: bool = pydantic.Field(default=False, description="Whether to ask without a key, for public buckets.")
    path_style: bool = pydantic.Field(default=True, description="Whether the bucket stands in the path, not the host.")


_Entries = pydantic.TypeAdapter(
    dict[sources.ConnectionName, Annotated[Database | ObjectStore, pydantic.Field(union_mode="smart")]]
)


def database(path: pathlib.Path | None, name: str, *, tenant_id: str) -> Database:
    """Give the database of a name that a tenant may use; PermanentError when there is none."""
    found = _find(path, name, tenant_id=tenant_id)
    if not isinstance(found, Database):
        raise errors.PermanentError(f"The connection {name!r} is an object store, not a database.")
    return found


def object_store(path: pathlib.Path | None, name: str, *, tenant_id: str) -> ObjectStore:
    """Give the object store of a name that a tenant may use; PermanentError when there is none."""
    found = _find(path, name, tenant_id=tenant_id)
    if not isinstance(found, ObjectStore):
        raise errors.PermanentError(f"The connection {name!r} is a database, not an object store.")
    return found


def read(path: pathlib.Path | None) -> dict[str, Database | ObjectStore]:
    """Read the operator's file; PermanentError when others may read it, or it is wrong. No message shows a value."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            _check_private(file.fileno(), path)
            document = tomllib.load(file)
    except FileNotFoundError as error:
        raise errors.PermanentError(
            f"MILLRACE_INGESTION_CONNECTIONS names {path.name!r}, which isn't there."
        ) from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The error's text may show a line of the file.
        raise errors.PermanentError(f"{path.name!r} can't be read as TOML ({type(error).__name__}).") from None
    try:
        return _Entries.validate_python(document)
    except pydantic.ValidationError as invalid:
        places = sorted({".".join(str(part) for part in fault["loc"][:1]) for fault in invalid.errors()})
        raise errors.PermanentError(
            f'{path.name!r} is wrong at {", ".join(places)}; a connection needs `url`, or `type = "s3"` and `buckets`.'
        ) from None


def _find(path: pathlib.Path | None, name: str, *, tenant_id: str) -> Database | ObjectStore:
    found = read(path).get(name)
    if found is None or not {tenant_id, "*"} & set(found.tenants):
        # The same words for both, so that nobody learns what others have.
        raise errors.PermanentError(
            f"There is no connection {name!r} for you; the operator names them in MILLRACE_INGESTION_CONNECTIONS."
        )
    return found


def _check_private(descriptor: int, path: pathlib.Path) -> None:
    status = os.fstat(descriptor)
    if status.st_mode & OTHERS:
        raise errors.PermanentError(
            f"{path.name!r} has the mode {stat.S_IMODE(status.st_mode):04o}, so others can read its secrets; "
            f"make it 0600 (chmod 600)."
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise errors.PermanentError(f"{path.name!r} belongs to another user; it must be this worker's own.")
