"""Each role does its work end to end, on both backends, and it equals the same work done directly.

Each check is a client of its own tenant. All are started at once, so that the workers' processes never wait for one.
"""

import concurrent.futures
import functools
import inspect
import itertools
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import flask.testing
import pytest
import sqlalchemy as sa

from shared import kinds, roles
from shared.jobs import states, tables
from shared.training.estimators.spec import Problem
from tests.integration import worker
from tests.integration.ingestion import test_loading
from tests.integration.training import test_training_problems, test_updates
from tests.system import over_http, role_checks
from tests.system.conftest import MakeRig
from tests.system.rig import Rig

Check = Callable[[flask.testing.FlaskClient], None]
WORKER = ",".join(roles.ROLES)
PATIENCE_SECONDS = 480
"""All checks run at once, and the first that is waited for has the work of all beside it."""


def cases_of(module: types.ModuleType) -> dict[str, Check]:
    """List each test of a module that needs only a client, once for each set of its parameters."""
    found: dict[str, Check] = {}
    for name, test in vars(module).items():
        if name.startswith("test_"):
            marks = [mark.args for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
            for number, values in enumerate(itertools.product(*(values for _names, values in marks))):
                given = dict(itertools.chain(*map(_named, (names for names, _values in marks), values)))
                if {"client", *given} == set(inspect.signature(test).parameters):
                    found[f"{name.removeprefix('test_')}-{number}"] = functools.partial(test, **given)
    return found


def _named(names: str | tuple[str, ...], values: Any) -> Iterable[tuple[str, Any]]:
    return [(names, values)] if isinstance(names, str) else zip(names, values, strict=True)


CHECKS: dict[str, Check] = {
    "every_step": role_checks.take_every_step,
    "a_whole_recipe": role_checks.cook_a_whole_recipe,
    "tables_of_tables": role_checks.make_tables,
    "features_by_key": role_checks.publish_and_push,
    "a_search": role_checks.search,
    "a_model_a_value": role_checks.train_per_value,
    "learning_on": test_updates.test_clusters_move_as_scikit_learn_moves_them,
    "an_export": role_checks.export,
    "an_import": role_checks.take_a_model,
    **cases_of(test_training_problems),
    "every_type": role_checks.load_every_type,
    **cases_of(test_loading),
    "an_evaluation": role_checks.evaluate,
    "a_prediction": role_checks.predict,
    "a_canary": role_checks.end_a_canary,
    "a_shadow": role_checks.ask_a_shadow,
    "through_the_queue": role_checks.predict_through_the_queue,
    "the_store": role_checks.keep,
    "a_pipeline": role_checks.carry_out,
}
Started = dict[str, concurrent.futures.Future[None]]


@pytest.fixture(scope="module")
def system(backend: str, make_rig: MakeRig) -> Rig:
    """Return a system with one worker of all roles, on each backend in turn."""
    rig = make_rig(backend, worker_concurrency="2", test_own_jobs="1", lease_seconds="60", fence_seconds="45")
    rig.start(["api", "sweeper", WORKER, "inference"])
    rig.make_service_key()
    return rig


@pytest.fixture(scope="module")
def started(system: Rig) -> Iterator[Started]:
    """Start all checks, each in a tenant of its own, and let the system's workers do their jobs."""
    with pytest.MonkeyPatch.context() as patch, concurrent.futures.ThreadPoolExecutor(6) as threads:
        patch.setattr(worker, "perform", functools.partial(over_http.await_end, system))
        yield {
            name: threads.submit(check, over_http.client_of(system, tenant=f"tenant-{number}"))
            for number, (name, check) in enumerate(CHECKS.items())
        }


@pytest.mark.timeout(PATIENCE_SECONDS + 60)
@pytest.mark.parametrize("check", CHECKS)
def test_a_role_does_what_the_same_work_done_directly_does(started: Started, check: str) -> None:
    started[check].result(timeout=PATIENCE_SECONDS)


def test_no_kind_of_job_and_no_problem_is_left_out(system: Rig, started: Started) -> None:
    concurrent.futures.wait(started.values(), timeout=150)
    done = {job.kind for role in roles.ROLES for job in succeeded(system, role)}
    asked = {kind for kind in kinds.by_name() if not kind.endswith((".ping", ".act"))}
    assert {kind for kind in done if not kind.endswith(".ping")} == asked
    learned = {job.params["problem"] for job in succeeded(system, "training") if job.kind == "training.fit"}
    assert learned == set(typing.get_args(Problem))


def succeeded(rig: Rig, role: str) -> list[sa.Row[Any]]:
    """Read a role's jobs that succeeded."""
    with rig.databases[role].statements.connect() as connection:
        wanted = sa.select(tables.jobs).where(tables.jobs.c.state == states.State.SUCCEEDED)
        return list(connection.execute(wanted))
