"""The tags of the models and datasets that jobs name, which every role's database gets by a revision of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

_JOBS_AT_ONCE = 10
"""What a job is pinned to has megabytes where a dataset has thousands of columns."""
_ROWS_AT_ONCE = 1000
_MAX_CHARACTERS = 100
_MAKES = {"training": "model", "ingestion": "dataset", "processing": "dataset", "prediction": "dataset"}
_MARK = "\x1f"


def add_tags() -> None:
    """Add the tags of the jobs that are there, except those of children, some jobs at a time."""
    connection = op.get_bind()
    jobs = sa.table(
        "jobs",
        *map(sa.column, ("id", "tenant_id", "kind", "parent_id")),
        *(sa.column(name, initial_tables.JSON) for name in ("params", "pinned")),
    )
    tags = sa.table("job_tags", *map(sa.column, ("tenant_id", "tag", "job_id")))
    query = sa.select(jobs).where(jobs.c.parent_id.is_(None))
    rows: list[dict[str, str]] = []
    for part in connection.execute(query, execution_options={"yield_per": _JOBS_AT_ONCE}).partitions():
        for job in part:
            found = _list_tags(job.kind, job.params, job.pinned)
            rows += ({"tenant_id": job.tenant_id, "tag": tag, "job_id": job.id} for tag in found)
        if len(rows) >= _ROWS_AT_ONCE:
            connection.execute(sa.insert(tags), rows)
            rows = []
    if rows:
        connection.execute(sa.insert(tags), rows)


def remove_tags() -> None:
    """Remove them."""
    op.get_bind().execute(sa.text("DELETE FROM job_tags WHERE tag LIKE :mark").bindparams(mark=f"{_MARK}%"))


def _list_tags(kind: str, params: Mapping[str, Any], pinned: Mapping[str, Any]) -> list[str]:
    made = _MAKES.get(kind.partition(".")[0])
    labels = [(made, name) for name in _list_made(kind, params)] if made else []
    for pin in pinned.values():
        labels += _labels_of(pin)
    tags = dict.fromkeys(f"{_MARK}{type_}={label}" for type_, label in labels)
    return [tag for tag in tags if len(tag) <= _MAX_CHARACTERS]


def _list_made(kind: str, params: Mapping[str, Any]) -> Iterator[str]:
    """List the names that a job may make a version of, also those that it makes up from others."""
    name = params.get("name")
    if kind == "processing.fit":
        yield f"{name}-data"
    elif isinstance(name, str):
        yield name
    elif kind == "processing.apply":
        yield f"{params['features'].partition('@')[0]}-output"
    elif kind == "prediction.batch":
        yield f"{params['model'].partition('@')[0]}-predictions"
    expectations = params.get("expectations", []) if kind == "ingestion.load" else []
    if any(expectation.get("on_failure") == "quarantine" for expectation in expectations):
        yield f"{name}.quarantine"


def _labels_of(pin: Any) -> list[tuple[str, str]]:
    if not isinstance(pin, Mapping) or "name" not in pin:
        return []
    type_ = "model" if "signature" in pin else "dataset" if "columns" in pin else None
    labels = [] if type_ is None else [(type_, pin["name"]), (type_, f"{pin['name']}@{pin['version']}")]
    return labels + _labels_of(pin.get("dataset"))
