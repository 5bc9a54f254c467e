"""Waking runs: the log's ends of jobs wake the runs of their stories, once each, and ring for them."""

from typing import cast

import pytest
import sqlalchemy as sa

from shared import database, roles
from shared.catalog import api_tables
from shared.events import log
from shared.jobs import offspring
from shared.orchestration import runs
from sweeper.wake_runs import WakeRuns
from tests.unit.orchestration.tables import orchestration_rig  # noqa: F401 - a fixture.
from tests.unit.rig import TENANT, Rig
from tests.unit.shared.events.log_tables import begin_log
from tests.unit.shared.events.test_log import append, make

STORY = "story"


class Sweeper:
    """A sweeper that wakes runs, and counts how often it rings."""

    def __init__(self, rig: Rig) -> None:
        """Work on the rig's database, in which are the runs and the log."""
        self.rings = 0
        databases = cast(database.Databases, {"orchestration": rig.engines, roles.API: rig.engines})
        self.chore = WakeRuns(databases, ring=self._count)

    def _count(self) -> None:
        self.rings += 1


@pytest.fixture
def rig(orchestration_rig: Rig) -> Rig:  # noqa: F811
    """Return the rig of a database with an empty event log."""
    return begin_log(orchestration_rig)


def begin_run(rig: Rig, *, story: str = STORY) -> str:
    """Begin a run that rests; gives its id."""
    run_id = rig.put_running()
    values = {"id": run_id, "tenant_id": TENANT, "pipeline": "p", "version": 1, "document": {}, "params": {}}
    rig.run(runs.begin, **values, created_by="key", correlation_id=story, conducted_by=run_id)
    rig.run(offspring.rest, run_id, attempt=1, wakes=0, wait_seconds=3600, interim=None)
    return run_id


def wakes(rig: Rig, run_id: str) -> int:
    return int(rig.row(run_id).wakes)


def test_the_end_of_a_job_wakes_the_runs_of_its_story_alone_and_rings_for_them(rig: Rig) -> None:
    sweeper = Sweeper(rig)
    run_id, other = begin_run(rig), begin_run(rig, story="other")
    sweeper.chore.do()
    append(rig, make(1, type="job.succeeded", correlation_id=STORY), make(2, type="model.created"))
    sweeper.chore.do()
    sweeper.chore.do()
    assert (wakes(rig, run_id), wakes(rig, other), sweeper.rings) == (1, 0, 1)
    assert rig.claim(run_id), "it is ready at once"
    append(rig, make(3, type="model.created", correlation_id="other"))
    sweeper.chore.do()
    assert (wakes(rig, other), sweeper.rings) == (0, 1), "only ends of jobs wake"


def test_a_sweeper_that_begins_with_a_long_log_goes_on_from_its_end(rig: Rig) -> None:
    run_id = begin_run(rig)
    append(rig, make(1, type="job.succeeded", correlation_id=STORY))
    sweeper = Sweeper(rig)
    sweeper.chore.do()
    assert wakes(rig, run_id) == 0, "a run looks for itself, now and then"
    append(rig, make(2, type="job.failed", correlation_id=STORY))
    sweeper.chore.do()
    assert wakes(rig, run_id) == 1


def test_another_sweeper_goes_on_where_one_was_killed(rig: Rig) -> None:
    first, second = Sweeper(rig), Sweeper(rig)
    run_id = begin_run(rig)
    first.chore.do()
    append(rig, make(1, type="job.dead", correlation_id=STORY))
    second.chore.do()
    assert wakes(rig, run_id) == 1
    append(rig, make(2, type="job.dead", correlation_id=STORY))
    first.chore.do()
    assert wakes(rig, run_id) == 1, "the second one has the cursor"
    cursors = api_tables.event_cursors
    rig.run(lambda connection: connection.execute(sa.update(cursors).values(leased_until=0)))
    first.chore.do()
    assert wakes(rig, run_id) == 2
    assert rig.run(log.last_position) == 2
