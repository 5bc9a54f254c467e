"""A job's states and the legal moves between them."""

import enum


class State(enum.StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    """Accepted and waiting: for a worker, or for the time of its next try."""
    RUNNING = "running"
    """Claimed by a worker that holds a lease on it."""
    SUCCEEDED = "succeeded"
    """Done; its result and its rows were committed together."""
    FAILED = "failed"
    """Ended by an error that trying again won't help, by the last try, or by its deadline."""
    CANCELLED = "cancelled"
    """Ended because somebody cancelled it."""
    DEAD = "dead"
    """Given up: three workers were lost while running it."""

    def is_terminal(self) -> bool:
        """Return whether the state is final."""
        return self in TERMINAL


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.DEAD})
"""States that are final."""

RETRIABLE = frozenset({State.FAILED, State.CANCELLED, State.DEAD})
"""Ends after which somebody may submit the same job again by hand."""

MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.FAILED}),
    State.RUNNING: frozenset({State.QUEUED, *TERMINAL}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
    State.DEAD: frozenset(),
}
"""Every legal move; a queued job fails only because of its deadline."""

MAX_LOST = 3
"""Lost workers after which a job is dead."""
