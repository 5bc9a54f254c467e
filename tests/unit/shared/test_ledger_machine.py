"""The ledger under any order of moves, on both databases, against a model of the job's life."""

import hypothesis
from hypothesis import stateful

from shared import database
from shared.jobs import MOVES, RETRIABLE, TERMINAL, State
from tests.unit.shared import ledger_machine


def test_any_order_of_moves_keeps_to_the_model(engines: database.Engines) -> None:
    machine = type("Machine", (ledger_machine.LedgerMachine,), {"engines": engines})
    few = hypothesis.settings(
        max_examples=30,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    stateful.run_state_machine_as_test(machine, settings=few)


def test_terminal_states_are_those_that_nothing_leaves() -> None:
    assert {state for state, to in MOVES.items() if not to} == TERMINAL
    assert TERMINAL == {state for state in State if state.is_terminal()}
    assert RETRIABLE == TERMINAL - {State.SUCCEEDED}
