"""A page of a list costs the API memory by its bytes, and not by what its rows hold; every row is on one page."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import sqlalchemy as sa

from shared import database, ids
from shared.evaluation.tables import evaluations
from shared.jobs import ledger
from shared.training.tables import model_versions
from tests.integration.steps import at_home
from tests.security.peak import ALLOWED_BYTES, MEBIBYTE, Peak
from tests.system_under_test import System

ROWS = 60
LARGE = {"large": "x" * (2 * MEBIBYTE)}
TENANT = "default"


def _put_jobs() -> list[str]:
    """Accept jobs with large parameters, by turns in two roles; gives their ids, newest first."""
    job_ids = []
    for number in range(ROWS):
        role = ("training", "ingestion")[number % 2]
        job = ledger.NewJob(
            id=ids.new_job_id(role),
            tenant_id=TENANT,
            kind=f"{role}.ping",
            params=LARGE,
            pinned={},
            submitted_by="key",
            tries_left=3,
        )
        with database.of_process()[role].transactions.begin() as connection:
            ledger.accept(connection, [job], ring_again_seconds=9999)
        job_ids.append(job.id)
    return job_ids[::-1]


def _fill(role: str, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows, with something in every other column that must have a value."""
    plain: dict[str, Any] = {"rows": 1, "skipped_rows": 0, "bytes": 1, "created_at": 1}
    needed = [column for column in table.c if not column.nullable and column.server_default is None]
    filled = {column.name: plain.get(column.name, {} if isinstance(column.type, sa.JSON) else "x") for column in needed}
    for row in rows:
        with database.of_process()[role].transactions.begin() as connection:
            connection.execute(sa.insert(table).values({**filled, "tenant_id": TENANT, **row}))


def _put_evaluations() -> list[str]:
    evaluation_ids = [ids.new_job_id("evaluation") for _ in range(ROWS)]
    _fill("evaluation", evaluations, [{"id": evaluation_id, "slices": [LARGE]} for evaluation_id in evaluation_ids])
    return evaluation_ids[::-1]


def _put_versions() -> list[int]:
    large = {"name": "large", "estimator": LARGE, "lineage": LARGE}
    _fill("training", model_versions, [{**large, "version": number} for number in range(1, ROWS + 1)])
    return list(range(ROWS, 0, -1))


@pytest.mark.parametrize(
    ("put", "path", "items", "key"),
    [
        (_put_jobs, "/v1/jobs", "jobs", "id"),
        (_put_evaluations, "/v1/evaluations", "evaluations", "id"),
        (_put_versions, "/v1/models/large", "versions", "version"),
    ],
    ids=["jobs", "evaluations", "versions"],
)
def test_a_page_of_large_rows_costs_memory_by_its_bytes(
    served: System, put: Callable[[], list[Any]], path: str, items: str, key: str
) -> None:
    with at_home(served.home):
        expected = put()
    seen: list[Any] = []
    cursor = ""
    with Peak(served) as peak:
        while True:
            answer = served.client.get(f"{path}?limit=500{cursor}")
            assert len(answer.content) < 10 * MEBIBYTE
            page = answer.json()
            seen += [item[key] for item in page[items]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
    assert seen == expected
    assert peak.grown_bytes < ALLOWED_BYTES
