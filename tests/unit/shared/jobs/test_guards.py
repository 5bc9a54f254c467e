"""Every guard in SQL is missed by a named check when it is taken out; one without a check fails by its name."""

import types

import pytest
import sqlalchemy.exc

from shared import database
from shared.catalog import versions
from shared.jobs import ledger, offspring, outbox, views
from tests.unit.rig import Rig, empty
from tests.unit.shared.jobs import (
    gathering_checks,
    guard_mutants,
    ledger_checks,
    offspring_checks,
    version_checks,
    view_checks,
)
from tests.unit.shared.jobs.guard_table import Check, Checks

pytestmark = pytest.mark.slow

CHECKED: dict[types.ModuleType, Checks] = {
    ledger: {**ledger_checks.CHECKS, **gathering_checks.CHECKS},
    offspring: offspring_checks.CHECKS,
    outbox: view_checks.OUTBOX,
    views: view_checks.JOB_VIEWS,
    versions: version_checks.VERSIONS,
}
HARMLESS = {
    "_accept: sa.literal_column('1 = 1')": "it lets all through; it is there for SQLite's grammar",
    "cancel_orphans: unfinished": "cancelling says it again; here it is for the index",
}
"""Guards that no check can miss, and why."""
MISSED = (AssertionError, sqlalchemy.exc.MultipleResultsFound)
"""How a missing guard shows: a behaviour that is not there, or rows of which there should be only one."""


def _name(value: object) -> str | None:
    return value.__name__.rpartition(".")[2] if isinstance(value, types.ModuleType) else None


def _engines_for(check: Check, request: pytest.FixtureRequest) -> database.Engines:
    engines: database.Engines = request.getfixturevalue(f"{check.on}_engines")
    empty(engines)
    return engines


@pytest.mark.parametrize(
    ("module", "guard"),
    [(module, guard) for module in CHECKED for guard in guard_mutants.names(module)],
    ids=_name,
)
def test_a_guard_that_is_taken_out_is_missed(
    module: types.ModuleType, guard: str, request: pytest.FixtureRequest
) -> None:
    if guard in HARMLESS:
        print(f"{guard}: harmless without, for {HARMLESS[guard]}")  # noqa: T201 - the list is to be seen.
        return
    assert guard in CHECKED[module], f"no check misses the guard {guard!r} of {module.__name__}: write one"
    for check in CHECKED[module][guard]:
        sound = guard_mutants.without(module, *check.beside)
        check.run(Rig(_engines_for(check, request)).using(sound))
        mutant = guard_mutants.without(module, guard, *check.beside)
        with pytest.raises(MISSED):
            check.run(Rig(_engines_for(check, request)).using(mutant))


@pytest.mark.parametrize("module", CHECKED, ids=_name)
def test_every_check_names_a_guard_that_is_there(module: types.ModuleType) -> None:
    assert set(CHECKED[module]) - set(guard_mutants.names(module)) == set()


def test_every_harmless_guard_is_there() -> None:
    assert set(HARMLESS) <= {guard for module in CHECKED for guard in guard_mutants.names(module)}
