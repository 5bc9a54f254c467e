"""The ledger under any order of moves, on both databases, against a model of the job's life."""

from typing import Any

import hypothesis
import pytest
from hypothesis import stateful

from shared import database
from shared.jobs import ledger
from shared.jobs.states import MOVES, RETRIABLE, TERMINAL, State
from tests.unit import rig
from tests.unit.shared.jobs import guard_mutants, ledger_machine

pytestmark = pytest.mark.slow

SETTINGS = hypothesis.settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def play(engines: database.Engines, *, module: Any = ledger, settings: hypothesis.settings = SETTINGS) -> None:
    """Play the machine against a ledger."""
    machine = type("Machine", (ledger_machine.LedgerMachine,), {"engines": engines, "ledger": module})
    stateful.run_state_machine_as_test(machine, settings=settings)


def test_any_order_of_moves_keeps_to_the_model(engines: database.Engines) -> None:
    play(engines)


@pytest.mark.parametrize(
    "guard",
    [
        "claim: jobs.c.state == State.QUEUED",
        "_finish: jobs.c.attempt == sa.bindparam('held_attempt')",
        "finish: answer updated.rowcount == 1",
        "hand_back: jobs.c.state == State.RUNNING",
        "cancel: jobs.c.state.in_([State.QUEUED, State.RUNNING])",
    ],
)
def test_the_machine_misses_a_guard_that_is_taken_out(sqlite_engines: database.Engines, guard: str) -> None:
    quick = hypothesis.settings(
        SETTINGS, max_examples=300, phases=[hypothesis.Phase.generate], database=None, derandomize=True
    )
    with pytest.raises(AssertionError):
        play(sqlite_engines, module=guard_mutants.without(ledger, guard), settings=quick)
    rig.empty(sqlite_engines)


def test_terminal_states_are_those_that_nothing_leaves() -> None:
    assert {state for state, to in MOVES.items() if not to} == TERMINAL
    assert {state for state in State if state.is_terminal()} == TERMINAL
    assert TERMINAL - {State.SUCCEEDED} == RETRIABLE
