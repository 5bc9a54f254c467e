"""A run in memory: its instances as they are to be, and which of them are not written yet."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from shared import errors
from shared.orchestration.language.runs import Decision, Instance, Key, State
from shared.orchestration.runs import Place

_STATES: Mapping[str, State] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "dead": "failed",
    "cancelled": "cancelled",
}
"""What the end of a job makes of an instance."""


class Progress:
    """The instances of a run."""

    def __init__(self, places: Mapping[Key, Place]) -> None:
        """Begin with what is written."""
        self._places = dict(places)
        self._changed: set[Key] = set()

    @property
    def instances(self) -> list[Instance]:
        """All instances."""
        return [place.instance for place in self._places.values()]

    def take_over(self, places: Mapping[Key, Place]) -> None:
        """Add instances that an earlier run has brought so far."""
        self._places.update(places)
        self._changed.update(places)

    def list_unsent(self) -> list[Place]:
        """List the instances whose jobs are to be submitted, or may have been without our knowing."""
        return [place for place in self._running() if place.job_id is None and place.submission is not None]

    def list_jobs(self) -> dict[str, Key]:
        """Map the jobs that have not ended, as far as is known, to their instances."""
        return {place.job_id: place.instance.key for place in self._running() if place.job_id is not None}

    def _running(self) -> Iterable[Place]:
        return (place for place in self._places.values() if place.instance.state == "running")

    def list_changes(self) -> list[Place]:
        """List what is not written yet."""
        return [self._places[key] for key in self._changed]

    def note_written(self) -> None:
        """Note that all changes are written, and committed."""
        self._changed.clear()

    def has_changes(self) -> bool:
        """Whether something is not written yet."""
        return bool(self._changed)

    def count(self) -> dict[str, int]:
        """Count the instances by state."""
        return dict(collections.Counter(instance.state for instance in self.instances))

    def find_job(self, key: Key) -> str | None:
        """Return the job that does an instance; None when there is none yet."""
        return self._places[key].job_id

    def apply(self, decision: Decision, *, now: int, priority: int) -> None:
        """Make instances what was decided, except for the cancelling of jobs, which is theirs."""
        for created in decision.created:
            self._put(Place(created))
        for skip in decision.skips:
            key = (skip.step, skip.index)
            self._change(key, now=now, state="skipped", skip_cause=skip.cause, error=skip.reason)
        for failure in decision.failures:
            key = (failure.step, failure.index)
            self._change(key, now=now, state="failed", error=failure.error, retryable=False)
        for retry in decision.retries:
            self._change((retry.step, retry.index), now=now, state="waiting", not_before=retry.not_before)
        for cancel in decision.cancels:
            if not cancel.is_running:
                self._change((cancel.step, cancel.index), now=now, state="cancelled")
        for submission in decision.submissions:
            document = {
                "kind": submission.kind,
                "params": submission.params,
                "priority": priority,
                "idempotency_key": submission.key,
            }
            if submission.timeout_seconds is not None:
                document["deadline_seconds"] = submission.timeout_seconds
            self._change(
                (submission.step, submission.index),
                now=now,
                job_id=None,
                submission=document,
                state="running",
                attempt=submission.attempt,
                not_before=None,
                error=None,
            )

    def note_submitted(self, key: Key, job_id: str) -> None:
        """Note the job that was submitted for an instance."""
        self._put(dataclasses.replace(self._places[key], job_id=job_id, submission=None))

    def note_refused(self, key: Key, reason: str, *, now: int) -> None:
        """Note that the API refuses the job of an instance."""
        self._change(key, now=now, submission=None, state="failed", error=reason, retryable=False)

    def note_gone(self, key: Key, *, now: int) -> None:
        """Note that the job of an instance is not there any more, so that nobody knows how it ended."""
        self._change(key, now=now, state="failed", error="its job has been deleted", retryable=False)

    def note_end(self, key: Key, job: Mapping[str, Any], *, now: int) -> bool:
        """Note how a job has ended, by its document; False when it hasn't."""
        state = _STATES.get(job["state"])
        if state is None:
            return False
        error = job["error"] or {}
        message = None if state == "succeeded" else error.get("message") or f"its job is {job['state']}"
        self._change(
            key,
            now=now,
            state=state,
            result=job["result"],
            error=message,
            retryable=not _is_permanent(error.get("type")),
        )
        return True

    def _change(
        self, key: Key, *, now: int, job_id: str | None = "", submission: dict[str, Any] | None = None, **changes: Any
    ) -> None:
        place = self._places[key]
        instance = dataclasses.replace(place.instance, since=now, **changes)
        self._put(Place(instance, job_id=place.job_id if job_id == "" else job_id, submission=submission))

    def _put(self, place: Place) -> None:
        self._places[place.instance.key] = place
        self._changed.add(place.instance.key)


def _is_permanent(error_type: str | None) -> bool:
    """Return whether an error's class says that the same job would fail again."""
    error_class = getattr(errors, error_type or "", None)
    return isinstance(error_class, type) and issubclass(error_class, errors.PermanentError)
