"""Pages end before their rows have too many bytes, by what is decoded, and every row is on one page."""

from typing import Any

import pytest
import sqlalchemy as sa

from shared.jobs import pages, tables, views
from tests.unit.rig import Rig

LONG = "x" * 100_000
SHOWN = [tables.jobs.c.id, tables.jobs.c.params, tables.jobs.c.error_message]


def read(rig: Rig, job_ids: list[str], *, max_bytes: int) -> tuple[list[str], int | None]:
    """Read the rows of jobs; gives their ids, and where the page was cut."""
    keys = [{"id": job_id} for job_id in job_ids]
    page = rig.run(pages.read, tables.jobs, keys, shown=SHOWN, max_bytes=max_bytes)
    return [row.id for row in page.rows], page.cut_at


@pytest.mark.parametrize(
    ("sizes", "max_bytes", "count"),
    [
        ([100, 100, 100], 10_000, 3),
        ([4000, 4000, 4000], 10_000, 2),
        ([50_000, 10, 10], 10_000, 1),
        ([10, 50_000, 10], 10_000, 1),
        ([10, 10, 50_000], 10_000, 2),
        ([10, 10, 10], 0, 1),
    ],
)
def test_a_page_ends_before_it_has_too_many_bytes_and_has_its_first_row(
    rig: Rig, sizes: list[int], max_bytes: int, count: int
) -> None:
    job_ids = [rig.put(params={"text": "é" * (size // 2)}) for size in sizes]
    cut_at = None if count == len(sizes) else count
    assert read(rig, job_ids, max_bytes=max_bytes) == (job_ids[:count], cut_at)


def test_texts_and_every_json_column_count(rig: Rig) -> None:
    job_ids = [rig.put() for _ in range(3)]
    for job_id in job_ids:
        rig.change(job_id, error_message="x" * 4000)
    assert read(rig, job_ids, max_bytes=10_000) == (job_ids[:2], 2)


def test_what_compresses_well_counts_as_it_is_decoded(rig: Rig) -> None:
    job_ids = [rig.put(params={"text": LONG}) for _ in range(5)]
    assert read(rig, job_ids, max_bytes=250_000) == (job_ids[:2], 2)


def test_rows_come_in_the_order_of_their_keys(rig: Rig) -> None:
    job_ids = [rig.put() for _ in range(5)]
    shuffled = [job_ids[index] for index in (3, 0, 4, 1, 2)]
    assert read(rig, shuffled, max_bytes=10_000) == (shuffled, None)


def test_rows_that_are_gone_are_left_out(rig: Rig) -> None:
    job_ids = [rig.put(params={"text": "x" * 4000}) for _ in range(4)]
    rig.run(lambda connection: connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.id == job_ids[0])))
    assert read(rig, job_ids, max_bytes=10_000) == (job_ids[1:3], 3)
    assert read(rig, job_ids[:1], max_bytes=10_000) == ([], None)
    assert read(rig, [], max_bytes=10_000) == ([], None)


def test_jobs_are_read_as_they_are_shown(rig: Rig) -> None:
    job_ids = [rig.put(params={"text": LONG}, tags=["a"]), rig.put_running()]
    shown, cut_at = rig.run(views.read_many, job_ids)
    assert cut_at is None
    expected: list[Any] = [rig.show(job_id) for job_id in job_ids]
    assert shown == expected
