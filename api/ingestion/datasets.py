"""Finding datasets: several roles make them, and each keeps its own."""

from typing import Any

import pydantic
import sqlalchemy as sa

from api import documents, door, pages
from shared import contract, database, datasets, errors, versions


class DatasetSummary(pages.Version):
    """A dataset's version in a list."""

    rows: int
    columns: int


class DatasetVersionList(pages.VersionList):
    """A dataset's versions, newest first."""

    versions: list[DatasetSummary]


class DatasetDetail(pages.Version):
    """A dataset's version: its schema, profile, size, SHA-256 and where it came from."""

    role: str = pydantic.Field(description="The role that made it and keeps it.")
    rows: int
    columns: list[contract.Column]
    profile: list[dict[str, Any]]
    notes: list[str]
    lineage: dict[str, Any]


class DatasetRows(documents.Document):
    """The first rows."""

    rows: list[dict[str, Any]]


def role_of(name: str) -> str:
    """Give the role that keeps a dataset; raises NotFoundError when none does."""
    fault: Exception | None = None
    for role in datasets.ROLES:
        try:
            with door.current().databases[role].statements.connect() as connection:
                found = versions.find(
                    connection, datasets.VERSIONS, tenant_id=door.client().tenant_id, name=name, version=None
                )
        except database.FAULTS as down:
            fault = down
            continue
        if found is not None:
            return role
    if fault is not None:
        raise errors.UnavailableError(
            f"{name!r} may be in a database that can't be reached now.", retry_after_seconds=5
        ) from fault
    raise errors.NotFoundError(f"There is no dataset {name!r}.")


def find(path: documents.VersionPath) -> tuple[str, sa.Row[Any]]:
    """Read a dataset's version, and give the role that keeps it."""
    role = role_of(path.name)
    return role, pages.find(role, datasets.VERSIONS, path)


def describe(row: sa.Row[Any]) -> dict[str, Any]:
    """Give a version as a client sees it in a list."""
    return {**pages.common(row), "rows": row.rows, "columns": len(row.columns)}


def describe_fully(row: sa.Row[Any], *, role: str) -> dict[str, Any]:
    """Give a version as a client sees it by itself."""
    return {
        **pages.common(row),
        "role": role,
        "rows": row.rows,
        "columns": row.columns,
        "profile": row.profile,
        "notes": row.notes,
        "lineage": row.lineage,
    }


def delete(role: str, row: sa.Row[Any]) -> None:
    """Mark a version as deleted, once; its object stays until the store is pruned, for jobs that have pinned it."""
    with database.available(role), door.current().databases[role].transactions.begin() as connection:
        versions.delete(connection, datasets.VERSIONS, row, made="dataset")
