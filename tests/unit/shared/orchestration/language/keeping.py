"""Keeps a run in memory as the role keeps it in rows: writes decisions, and refuses what they mustn't do."""

import dataclasses
from typing import Any

import pydantic

from shared import contract
from shared.orchestration.language import advancing, document, parameters, plans, resuming, runs


class Make(contract.Command):
    """Make something."""

    value: pydantic.JsonValue = None
    dataset: contract.DatasetRef | None = None


class Made(contract.Result):
    """What was made."""

    ok: bool = True
    items: list[int] = pydantic.Field(default=[])
    dataset: contract.DatasetVersion | None = None


MAKE = contract.Kind(name="toy.make", command=Make, result=Made, description="Make something.")
KINDS = {MAKE.name: MAKE}
MADE = {"ok": True, "items": [1, 2], "dataset": {"name": "telco", "version": 3}}


def make_pipeline(*steps: dict[str, Any], **fields: Any) -> document.Pipeline:
    """Make a pipeline of steps, each of the kind `toy.make` when it names none."""
    written = [{"kind": MAKE.name, **step} for step in steps]
    return document.Pipeline.model_validate({"steps": written, **fields})


class Keeper:
    """One run, with a clock that is set by hand."""

    def __init__(self, pipeline: document.Pipeline, **params: Any) -> None:
        self.pipeline = pipeline
        self.rows: dict[runs.Key, runs.Instance] = {}
        self.run = runs.Run(id="run_1", params=parameters.bind(pipeline, params), now=1_000, at="2026-12-01T00:00:00Z")
        self.submitted: dict[str, runs.Submission] = {}
        self.ending: runs.Ending | None = None

    def advance(self) -> runs.Decision:
        """Write one decision."""
        assert self.ending is None, "a run that is over was asked about"
        self._read()
        decision = advancing.advance(self.pipeline, self.run, kinds=KINDS)
        assert advancing.advance(self.pipeline, self.run, kinds=KINDS) == decision, "the same run, another decision"
        for created in decision.created:
            assert created.key not in self.rows
            self.rows[created.key] = created
        for skip in decision.skips:
            self._write(skip, "waiting", state="skipped", skip_cause=skip.cause)
        for failure in decision.failures:
            self._write(failure, "waiting", state="failed", error=failure.error, retryable=False)
        for retry in decision.retries:
            assert retry.attempt == self.rows[retry.step, retry.index].attempt + 1
            self._write(retry, "failed", state="waiting", not_before=retry.not_before)
        for cancel in decision.cancels:
            if not cancel.is_running:
                self._write(cancel, "waiting", state="cancelled")
        for skip in decision.skips:
            assert skip.cause == "failure" or self._has_ended_all_needs(skip.step), "skipped before its needs ended"
        for submission in decision.submissions:
            self._submit(submission)
        self.ending = decision.ending
        return decision

    def settle(self) -> None:
        """Write decisions until nothing more follows from what has happened."""
        for _ in range(20):
            if self.ending is not None:
                return
            if not self.advance().again:
                break
        else:
            raise AssertionError("decisions follow one another without end")
        if self.ending is None:
            self._read()
            decision = advancing.advance(self.pipeline, self.run, kinds=KINDS)
            left = dataclasses.replace(
                decision, next_at=None, cancels=[each for each in decision.cancels if not each.is_running]
            )
            assert left == runs.Decision(), "there was more to decide"

    def end(self, step: str, index: int | None = None, *, state: runs.State = "succeeded", **changes: Any) -> None:
        """Let a job end."""
        row = self.rows[step, index]
        assert row.state == "running"
        result = MADE if state == "succeeded" else None
        changes = {"state": state, "result": result, "since": self.run.now, **changes}
        self.rows[step, index] = dataclasses.replace(row, **changes)

    def resume(self, edits: resuming.Edits | None = None) -> resuming.Resumption:
        """Resume the run."""
        self._read()
        resumption = resuming.resume(self.pipeline, self.run, edits, kinds=KINDS)
        for key in resumption.drops:
            del self.rows[key]
        for key in resumption.resets:
            row = self.rows[key]
            self.rows[key] = runs.Instance(step=row.step, index=row.index, item=row.item)
        self.pipeline, self.ending = resumption.pipeline, None
        self.run = dataclasses.replace(
            self.run, params=resumption.params, resumes=self.run.resumes + 1, cancel_requested=False
        )
        return resumption

    @property
    def states(self) -> dict[str, str]:
        """The states of all instances, by `step` or `step[index]`."""
        return {step if index is None else f"{step}[{index}]": row.state for (step, index), row in self.rows.items()}

    def pass_time(self, seconds: int) -> None:
        """Set the clock forward."""
        self.run = dataclasses.replace(self.run, now=self.run.now + seconds * 1000)

    def cancel(self) -> None:
        """Request that the run be cancelled."""
        self.run = dataclasses.replace(self.run, cancel_requested=True)

    def _read(self) -> None:
        # In another order than they were made in: nothing may depend on it.
        self.run = dataclasses.replace(self.run, instances=sorted(self.rows.values(), key=lambda row: str(row.key)))

    def _submit(self, submission: runs.Submission) -> None:
        assert submission.key not in self.submitted, "an attempt was submitted twice"
        assert len(submission.key) <= 255
        row = self.rows[submission.step, submission.index]
        assert row.not_before is None or row.not_before <= self.run.now, "tried again too early"
        assert self._has_ended_all_needs(submission.step), f"{submission.step} began before its needs ended"
        self._require_no_failure(submission.step)
        self.submitted[submission.key] = submission
        self._write(submission, "waiting", state="running", attempt=submission.attempt, not_before=None)

    def _has_ended_all_needs(self, step: str) -> bool:
        for needed in plans.of(self.pipeline).needs[step]:
            states = [row.state for row in self.rows.values() if row.step == needed]
            if not states or not all(state in runs.ENDED for state in states):
                return False
        return True

    def _require_no_failure(self, step: str) -> None:
        """Refuse that a step begins after a failure that it doesn't handle and that mayn't be passed over."""
        assert not self.run.cancel_requested, "a job was submitted for a run that is being cancelled"
        for row in self.rows.values():
            (of_row,) = (each for each in self.pipeline.steps if each.name == row.step)
            tries_left = row.retryable and 0 < row.attempt <= of_row.retry_policy.count
            is_final = row.state == "cancelled" or (row.state == "failed" and not tries_left)
            if is_final and of_row.on_failure != "continue":
                handlers = {each.handler for each in self.pipeline.steps}
                assert step in handlers, f"{step} began after {row.step} failed"

    def _write(self, change: Any, before: str, **changes: Any) -> None:
        row = self.rows[change.step, change.index]
        assert row.state == before, f"{row.key} is {row.state}, and was taken for {before}"
        self.rows[row.key] = dataclasses.replace(row, **{"since": self.run.now, **changes})
