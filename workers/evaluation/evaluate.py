"""Evaluates a model: scores, intervals, a comparison, slices and a gate's verdict."""

import dataclasses
from pathlib import Path

from shared import contract, errors, scoring
from shared.evaluation import contract as evaluation
from shared.evaluation import gates
from shared.ml import progress
from workers.evaluation import bootstrap, paired, score, slices, verdict

SCORED, BESIDE, DRAWN = 0.3, 0.5, 0.9


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """All that was found."""

    metrics: dict[str, float]
    rows: int
    skipped_rows: int
    intervals: dict[str, evaluation.Interval]
    comparison: evaluation.Comparison | None
    slices: list[evaluation.Slice]
    gate: gates.Verdict | None
    warnings: list[str]


def evaluate(
    command: evaluation.ScoreModel,
    *,
    dataset: Path,
    model: tuple[contract.ModelPin, Path],
    baseline: tuple[contract.ModelPin, Path] | None,
    report: progress.Progress = progress.ignore,
) -> Evaluated:
    """Do what a command asks for; each model comes with its artifact's file."""
    _check_metric(command, problem=model[0].problem)
    mine = _score(command, *model, dataset=dataset, report=progress.part(report, 0.0, SCORED))
    found = mine.metrics
    theirs = None
    if baseline is not None:
        _require_alike(model[0], baseline[0])
        theirs = _score(command, *baseline, dataset=dataset, report=progress.part(report, SCORED, BESIDE))
    drawn = _draw(command, mine, theirs, report=progress.part(report, BESIDE, DRAWN))
    comparison = None
    if theirs is not None and baseline is not None and drawn is not None:
        comparison = _compare(found, mine, theirs, drawn, name=f"{baseline[0].name}@{baseline[0].version}")
    metric, greater = _metric(command, found, problem=model[0].problem)
    sliced = slices.slice_rows(
        mine.scored,
        dataset,
        known=mine.known,
        columns=command.slices,
        metric=metric,
        greater_is_better=greater,
        least_rows=command.least_slice_rows,
    )
    judged = None
    if command.gate is not None:
        judged = verdict.judge(
            command.gate,
            metrics=found,
            comparison=comparison,
            slices=sliced,
            least_slice_rows=command.least_slice_rows,
            greater_is_better=greater,
        )
    return Evaluated(
        metrics=found,
        rows=mine.rows,
        skipped_rows=mine.skipped_rows,
        intervals=drawn.intervals if drawn else {},
        comparison=comparison,
        slices=sliced,
        gate=judged,
        warnings=mine.warnings + _fewer_drawings(command, drawn),
    )


def _score(
    command: evaluation.ScoreModel,
    pin: contract.ModelPin,
    artifact: Path,
    *,
    dataset: Path,
    report: progress.Progress,
) -> score.Scores:
    return score.score_model(
        artifact,
        sha256=pin.sha256,
        dataset=dataset,
        signature=pin.signature,
        target=command.target or pin.target,
        problem=pin.problem,
        progress=report,
    )


def _check_metric(command: evaluation.ScoreModel, *, problem: str) -> None:
    known = scoring.METRICS[problem]
    if command.gate is not None and command.gate.metric not in known:
        raise errors.BadDataError(
            f"the gate's metric {command.gate.metric!r} is none of {problem}; these are: {', '.join(known)}"
        )


def _metric(command: evaluation.ScoreModel, found: dict[str, float], *, problem: str) -> tuple[str, bool]:
    """Give the metric that ranks groups, the gate's or the usual one, and whether its greatest value is the best."""
    known = scoring.METRICS[problem]
    name = command.gate.metric if command.gate else next((name for name in known if name in found), next(iter(known)))
    return name, known[name]


def _require_alike(model: contract.ModelPin, baseline: contract.ModelPin) -> None:
    if (model.problem, model.target) != (baseline.problem, baseline.target):
        raise errors.BadDataError(
            f"{baseline.name}@{baseline.version} does {baseline.problem} of {baseline.target!r}, but "
            f"{model.name}@{model.version} does {model.problem} of {model.target!r}; they can't be compared"
        )


def _draw(
    command: evaluation.ScoreModel, mine: score.Scores, theirs: score.Scores | None, *, report: progress.Progress
) -> bootstrap.Drawn | None:
    if command.bootstrap is None and theirs is None:
        return None
    how = command.bootstrap or evaluation.Bootstrap()
    return bootstrap.draw(mine.scored, theirs.scored if theirs else None, how=how, report=report)


def _fewer_drawings(command: evaluation.ScoreModel, drawn: bootstrap.Drawn | None) -> list[str]:
    wanted = (command.bootstrap or evaluation.Bootstrap()).samples
    if drawn is None or drawn.samples == wanted:
        return []
    return [f"The rows were drawn {drawn.samples} times instead of {wanted}: there are too many rows for more."]


def _compare(
    found: dict[str, float], mine: score.Scores, theirs: score.Scores, drawn: bootstrap.Drawn, *, name: str
) -> evaluation.Comparison:
    other = theirs.metrics
    differences = {}
    for metric in found:
        if metric in other:
            interval, p_value = drawn.differences.get(metric, (None, None))
            differences[metric] = evaluation.Difference(
                model=found[metric],
                baseline=other[metric],
                difference=found[metric] - other[metric],
                interval=interval,
                p_value=p_value,
            )
    return evaluation.Comparison(baseline=name, metrics=differences, test=paired.compare(mine.scored, theirs.scored))
