"""Evaluates a model: scores, intervals, a comparison, slices and a gate's verdict."""

from pathlib import Path

from shared import contract, errors, scoring
from shared.evaluation.contract import Bootstrap, Findings, ScoreModel
from shared.progress import Progress, no_progress, subrange
from workers.evaluation import bootstrap, comparison, origins, score, slices, verdict

MODEL_SCORED, BASELINE_SCORED, RESAMPLED = 0.3, 0.5, 0.9
"""The job's progress after each step."""


def evaluate(
    command: ScoreModel,
    *,
    dataset: tuple[contract.DatasetPin, Path],
    model: tuple[contract.ModelPin, Path],
    baseline: tuple[contract.ModelPin, Path] | None,
    report: Progress = no_progress,
) -> Findings:
    """Carry out a command; each dataset and model is passed as its pin and its file."""
    (data, data_path), (pin, _) = dataset, model
    _check_metric(command, problem=pin.problem)
    warnings = origins.list_warnings(data, [pin, *([baseline[0]] if baseline else [])])
    scores = _score(command, *model, dataset=data_path, report=subrange(report, 0.0, MODEL_SCORED))
    metrics = scores.metrics
    baseline_scores = None
    if baseline is not None:
        comparison.require_comparable(pin, baseline[0])
        warnings += comparison.list_warnings(pin, baseline[0])
        baseline_scores = scores
        if not comparison.is_same(pin, baseline[0]):
            progress = subrange(report, MODEL_SCORED, BASELINE_SCORED)
            baseline_scores = _score(command, *baseline, dataset=data_path, report=progress)
    estimates = _estimate(command, scores, baseline_scores, report=subrange(report, BASELINE_SCORED, RESAMPLED))
    compared = None
    if baseline_scores is not None and baseline is not None:
        compared = comparison.compare(scores, baseline_scores, estimates=estimates, baseline=baseline[0])
    metric, greater_is_better = _choose_metric(command, metrics, problem=pin.problem)
    sliced = slices.slice_rows(
        scores.scored_rows,
        data_path,
        has_truth=scores.has_truth,
        columns=command.slices,
        metric=metric,
        greater_is_better=greater_is_better,
        least_rows=command.least_slice_rows,
    )
    warnings += slices.list_warnings(sliced, least_rows=command.least_slice_rows)
    gate_verdict = None
    if command.gate is not None:
        gate_verdict = verdict.judge(
            command.gate,
            metrics=metrics,
            comparison=compared,
            slices=sliced,
            least_slice_rows=command.least_slice_rows,
            greater_is_better=greater_is_better,
            warnings=warnings,
        )
    return Findings(
        metrics=metrics,
        rows=scores.rows,
        skipped_rows=scores.skipped_rows,
        intervals=estimates.intervals if estimates else {},
        comparison=compared,
        slices=sliced,
        gate=gate_verdict,
        warnings=[*warnings, *scores.warnings, *_list_resampling_warnings(command, estimates)],
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
    metrics = scoring.METRICS[problem]
    if command.gate is not None and command.gate.metric not in metrics:
        raise errors.BadDataError(
            f"the gate's metric {command.gate.metric!r} is no metric of {problem}; these are: {', '.join(metrics)}"
        )


def _choose_metric(command: ScoreModel, metrics: dict[str, float], *, problem: str) -> tuple[str, bool]:
    """Choose the metric that ranks groups, the gate's or the problem's first, and whether greater is better."""
    ranked = scoring.METRICS[problem]
    first = next((name for name in ranked if name in metrics), next(iter(ranked)))
    name = command.gate.metric if command.gate else first
    return name, ranked[name]


def _estimate(
    command: ScoreModel, scores: score.Scores, baseline_scores: score.Scores | None, *, report: Progress
) -> bootstrap.Estimates | None:
    baseline = None if baseline_scores is None or baseline_scores is scores else baseline_scores.scored_rows
    if command.bootstrap is None and baseline is None:
        return None
    return bootstrap.estimate(scores.scored_rows, baseline, options=command.bootstrap or Bootstrap(), report=report)


def _list_resampling_warnings(command: ScoreModel, estimates: bootstrap.Estimates | None) -> list[str]:
    if estimates is None:
        return []
    samples, requested = estimates.samples, (command.bootstrap or Bootstrap()).samples
    fewer = f"The rows were resampled {samples} times instead of {requested}: there are too many rows for more."
    return [fewer] * (samples != requested) + [
        f"The intervals of {', '.join(names)} rest on {used} of {samples} resamples: the others lack a class, or "
        "leave these metrics undefined for another reason."
        for used, names in bootstrap.find_unreliable(estimates).items()
    ]
