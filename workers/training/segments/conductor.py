"""Conducts a training per value: each turn starts the next segments' jobs; the last turn compares what they made.

Nothing is remembered between turns but the children: what was settled from the data is in the parameters of the first,
the model for all. So any worker can take any turn, and a training whose worker dies, or that is retried by hand, goes
on from the models that are there. docs/decisions/models.md, "One model a value is a parent with a child for each".
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared import errors
from shared.jobs import offspring
from shared.jobs.states import TERMINAL, State
from shared.ml import kept_rows
from shared.positive_class import format_label
from shared.training import segments
from shared.training.contract import SEGMENT, TrainedSegment, TrainModel, TrainSegment
from shared.training.search.methods import WINDOW
from shared.training.setup import TrainingCommand
from shared.training.trained import TrainedModel
from workers.job import Finish, Job, Rest, Spawn
from workers.training import store
from workers.training.experiment import Experiment
from workers.training.segments import segmentation, verdicts

_MAX_REASON = 300


class Conductor:
    """One turn of a training per value."""

    def __init__(self, job: Job, command: TrainModel) -> None:
        """Read the children and, in the very first turn, the data."""
        self._job = job
        self._command = command
        self._children = _by_value(job.children(), earlier=job.earlier_children())
        common = self._children.get(_key(None))
        self._first = self._plan() if common is None else TrainSegment.model_validate(common.params)
        if self._first.segmentation is None:
            raise ValueError("the model for all has no segmentation")
        self._segmentation = self._first.segmentation

    def take_turn(self) -> Finish:
        """Start the next children and rest; or, when all have ended, compare their models."""
        ended = sum(child.state in TERMINAL for child in self._children.values())
        planned = len(self._segmentation.segments) + 1
        self._job.progress(0.99 * ended / planned, f"{ended} of {planned} models are trained")
        to_start = self._list_commands()
        active = len(self._children) - ended
        if not to_start and not active:
            return self._finish()
        started = to_start[: max(0, WINDOW - active)]
        return Rest(
            spawn=[Spawn(SEGMENT, command, self._job.pinned) for command in started],
            interim={"per": self._show(started)},
        )

    def _plan(self) -> TrainSegment:
        command = store.complete(self._job, self._command)
        source = store.read_source(self._job, command)
        settled = segmentation.settle(
            self._job.fetch(source.data),
            experiment=Experiment(command, source.columns, command.estimator, source.recipe),
            command=command,
        )
        fields = {name: getattr(command, name) for name in TrainingCommand.model_fields}
        if command.requested_positive[0] is None:
            fields["positive"] = settled.positive
        return TrainSegment(**fields, estimator=command.estimator, segmentation=settled.segmentation)

    def _list_commands(self) -> list[TrainSegment]:
        """List the commands of the children that are still to be started, the model for all first."""
        missing = [] if _key(None) in self._children else [self._first]
        return missing + [
            self._first.model_copy(update={"name": segment.name, "value": segment.value, "segmentation": None})
            for segment in self._segmentation.segments
            if _key(segment.value) not in self._children
        ]

    def _show(self, started: Sequence[TrainSegment]) -> dict[str, Any]:
        waiting = {_key(command.value) for command in started}

        def state_of(value: kept_rows.Value | None) -> str:
            child = self._children.get(_key(value))
            return child.state if child else State.QUEUED if _key(value) in waiting else "planned"

        return {
            "column": self._segmentation.column,
            "common": state_of(None),
            "values": [
                {"value": segment.value, "rows": segment.rows, "state": state_of(segment.value)}
                for segment in self._segmentation.segments
            ],
        }

    def _finish(self) -> TrainedModel:
        common = self._children[_key(None)]
        if common.state != State.SUCCEEDED or common.result is None:
            trained = [_label(child) for child in self._children.values() if child.state == State.SUCCEEDED]
            kept = f"; these models are trained, and a retry goes on from them: {', '.join(trained)}" if trained else ""
            raise errors.BadModelError(f"the model for all rows is missing: {_explain(common)}{kept}")
        result = TrainedSegment.model_validate_json(json.dumps(common.result))
        metric = verdicts.choose_metric(
            self._command.problem, {name: measured.mean for name, measured in result.metrics.items()}
        )
        scores = {_key(scored.value): scored for scored in result.scores}
        values = [
            self._describe(segment, scores[_key(segment.value)], metric) for segment in self._segmentation.segments
        ]
        values += [
            segments.ValueModel(
                value=left.value,
                rows=left.rows,
                state="left",
                model=None,
                job=None,
                reason=left.reason,
                metrics={},
                comparison=None,
            )
            for left in self._segmentation.left
        ]
        comparisons = [value.comparison for value in values if value.comparison is not None]
        failed = [value for value in values if value.state == "failed"]
        per = segments.PerValue(
            column=self._segmentation.column,
            metric=metric,
            values=values,
            overall=verdicts.summarize(comparisons, metric=metric, problem=self._command.problem)
            if comparisons
            else None,
            switch=self._make_switch([value for value in values if value.model is not None], default=_label(common)),
            recommended=self._make_switch(
                [value for value in values if value.comparison is not None and value.comparison.verdict == "own"],
                default=_label(common),
            ),
        )
        notes = [*result.notes, *self._segmentation.notes, *map(_describe_failure, failed)]
        fields = {name: getattr(result, name) for name in TrainedModel.model_fields}
        return TrainedModel(**{**fields, "notes": notes, "per": per})

    def _describe(self, segment: segments.Segment, common: segments.SegmentScores, metric: str) -> segments.ValueModel:
        child = self._children[_key(segment.value)]
        described: dict[str, Any] = {"value": segment.value, "rows": segment.rows, "job": child.id}
        if child.state != State.SUCCEEDED or child.result is None:
            return segments.ValueModel(
                **described, state="failed", model=None, reason=_explain(child), metrics={}, comparison=None
            )
        own = segments.SegmentScores.model_validate(child.result["scores"][0])
        means = {name: measured["mean"] for name, measured in child.result["metrics"].items()}
        return segments.ValueModel(
            **described,
            state="trained",
            model=_label(child),
            reason=None,
            metrics={name: mean for name, mean in means.items() if mean is not None},
            comparison=verdicts.compare(own, common, metric=metric, problem=self._command.problem),
        )

    def _make_switch(self, values: Sequence[segments.ValueModel], *, default: str) -> segments.Switch:
        return segments.Switch(
            column=self._segmentation.column,
            models={format_label(value.value): value.model for value in values if value.model is not None},
            default=default,
        )


def _by_value(children: Sequence[offspring.Child], *, earlier: Sequence[offspring.Child]) -> dict[str, offspring.Child]:
    """Map values to their children; of a training that this one retries, those that have succeeded."""
    kept = [child for child in reversed(earlier) if child.state == State.SUCCEEDED]
    return {_key(child.params["value"]): child for child in [*kept, *children]}


def _key(value: kept_rows.Value | None) -> str:
    """Tell values apart that are equal to Python, such as 1 and true."""
    return json.dumps(value)


def _label(child: offspring.Child) -> str:
    model: Mapping[str, Any] = (child.result or {})["model"]
    return f"{model['name']}@{model['version']}"


def _explain(child: offspring.Child) -> str:
    return f"{child.error_type}: {child.error_message}"[:_MAX_REASON] if child.error_type else f"{child.state}"


def _describe_failure(value: segments.ValueModel) -> str:
    return f"the model of {value.value!r} could not be trained, so the model for all answers for it: {value.reason}"
