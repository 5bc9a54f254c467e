"""Evaluates a model: scores, intervals, a comparison, slices and a gate's verdict."""

from pathlib import Path

from shared import contract, errors, scoring
from shared.evaluation.contract import Bootstrap, Findings, ScoreModel
from shared.progress import Progress, no_progress, subrange
from workers.evaluation import bootstrap, comparison, origins, score, slices, verdict

SCORED, BESIDE, DRAWN = 0.3, 0.5, 0.9


def evaluate(
    command: ScoreModel,
    *,
    dataset: tuple[contract.DatasetPin, Path],
    model: tuple[contract.ModelPin, Path],
    baseline: tuple[contract.ModelPin, Path] | None,
    report: Progress = no_progress,
) -> Findings:
    """Do what a command asks for; each dataset and model comes with its file."""
    data, rows = dataset
    _check_metric(command, problem=model[0].problem)
    odd = origins.warnings(data, [model[0], *([baseline[0]] if baseline else [])])
    mine = _score(command, *model, dataset=rows, report=subrange(report, 0.0, SCORED))
    found = mine.metrics
    theirs = None
    if baseline is not None:
        comparison.require_alike(model[0], baseline[0])
        odd += comparison.warnings(model[0], baseline[0])
        theirs = mine
        if not comparison.is_same(model[0], baseline[0]):
            theirs = _score(command, *baseline, dataset=rows, report=subrange(report, SCORED, BESIDE))
    drawn = _draw(command, mine, theirs, report=subrange(report, BESIDE, DRAWN))
    compared = None
    if theirs is not None and baseline is not None:
        compared = comparison.compare(mine, theirs, drawn=drawn, baseline=baseline[0])
    metric, greater = _metric(command, found, problem=model[0].problem)
    sliced = slices.slice_rows(
        mine.scored,
        rows,
        known=mine.known,
        columns=command.slices,
        metric=metric,
        greater_is_better=greater,
        least_rows=command.least_slice_rows,
    )
    odd += slices.warnings(sliced, least_rows=command.least_slice_rows)
    judged = None
    if command.gate is not None:
        judged = verdict.judge(
            command.gate,
            metrics=found,
            comparison=compared,
            slices=sliced,
            least_slice_rows=command.least_slice_rows,
            greater_is_better=greater,
            warnings=odd,
        )
    return Findings(
        metrics=found,
        rows=mine.rows,
        skipped_rows=mine.skipped_rows,
        intervals=drawn.intervals if drawn else {},
        comparison=compared,
        slices=sliced,
        gate=judged,
        warnings=[*odd, *mine.warnings, *_fewer_drawings(command, drawn)],
    )


def _score(
    command: ScoreModel,
    pin: contract.ModelPin,
    artifact: Path,
    *,
    dataset: Path,
    report: Progress,
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


def _check_metric(command: ScoreModel, *, problem: str) -> None:
    known = scoring.METRICS[problem]
    if command.gate is not None and command.gate.metric not in known:
        raise errors.BadDataError(
            f"the gate's metric {command.gate.metric!r} is none of {problem}; these are: {', '.join(known)}"
        )


def _metric(command: ScoreModel, found: dict[str, float], *, problem: str) -> tuple[str, bool]:
    """Give the metric that ranks groups, the gate's or the usual one, and whether its greatest value is the best."""
    known = scoring.METRICS[problem]
    name = command.gate.metric if command.gate else next((name for name in known if name in found), next(iter(known)))
    return name, known[name]


def _draw(
    command: ScoreModel, mine: score.Scores, theirs: score.Scores | None, *, report: Progress
) -> bootstrap.Drawn | None:
    other = None if theirs is None or theirs is mine else theirs.scored
    if command.bootstrap is None and other is None:
        return None
    return bootstrap.draw(mine.scored, other, how=command.bootstrap or Bootstrap(), report=report)


def _fewer_drawings(command: ScoreModel, drawn: bootstrap.Drawn | None) -> list[str]:
    if drawn is None:
        return []
    wanted = (command.bootstrap or Bootstrap()).samples
    fewer = f"The rows were drawn {drawn.samples} times instead of {wanted}: there are too many rows for more."
    return [fewer] * (drawn.samples != wanted) + [
        f"The intervals of {', '.join(names)} rest on {used} of {drawn.samples} drawings: the others lack a class, or "
        "leave these undefined for another reason."
        for used, names in bootstrap.thin(drawn).items()
    ]
