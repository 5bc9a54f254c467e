"""Evaluates a model: scores, intervals, a comparison, slices and a gate's verdict."""

import dataclasses
from pathlib import Path

from shared import contract, positive_class, scoring
from shared.evaluation.contract import Bootstrap, Comparison, Findings, ScoreModel, Slice
from shared.ml import kept_rows, targets
from shared.progress import Progress, no_progress, subrange
from workers.evaluation import bootstrap, comparison, explain, origins, score, slices, verdict

MODEL_SCORED, BASELINE_SCORED, RESAMPLED = 0.3, 0.5, 0.9
"""The job's progress after each step."""


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """All that is stored of an evaluation: what the job's result tells, and the models' curves and tables."""

    findings: Findings
    details: explain.Details
    baseline_details: explain.Details | None


def evaluate(
    command: ScoreModel,
    *,
    dataset: tuple[contract.DatasetPin, Path],
    model: tuple[contract.ModelPin, Path],
    baseline: tuple[contract.ModelPin, Path] | None,
    report: Progress = no_progress,
) -> Evaluated:
    """Carry out a command; each dataset and model is passed as its pin and its file."""
    (data, data_path), (pin, _) = dataset, model
    positive, gate_positive = command.choose_positives(pin)
    pins = [pin, *([baseline[0]] if baseline else [])]
    warnings = [
        *origins.list_warnings(data, pins, where=command.where),
        *origins.list_conditions(pins, where=command.where),
    ]
    mask, kept = None, None
    if command.where is not None:
        mask, kept = kept_rows.find(data_path, kept_rows.Choice(where=command.where))
    scoring_progress = subrange(report, 0.0, MODEL_SCORED)
    scores = _score(command, *model, dataset=data_path, positive=positive, kept=mask, report=scoring_progress)
    baseline_scores = None
    if baseline is not None:
        comparison.require_comparable(pin, baseline[0])
        warnings += comparison.list_warnings(pin, baseline[0])
        baseline_scores = scores
        if not comparison.is_same(pin, baseline[0]):
            progress = subrange(report, MODEL_SCORED, BASELINE_SCORED)
            baseline_scores = _score(
                command, *baseline, dataset=data_path, positive=positive, kept=mask, report=progress
            )
    estimates = _estimate(command, scores, baseline_scores, report=subrange(report, BASELINE_SCORED, RESAMPLED))
    scored = _Scored(command, pin, scores, baseline[0] if baseline else None, baseline_scores, data_path)
    compared, sliced = scored.compare(estimates), scored.slice_rows()
    warnings += slices.list_warnings(sliced, least_rows=command.least_slice_rows)
    gate_verdict = None
    if command.gate is not None:
        is_same = gate_positive == positive
        about = scored if is_same else scored.measure_for(gate_positive)
        gate_verdict = verdict.judge(
            command.gate,
            metrics=about.scores.metrics,
            comparison=compared if is_same else about.compare(None),
            slices=sliced if is_same else about.slice_rows(),
            least_slice_rows=command.least_slice_rows,
            greater_is_better=scored.greater_is_better,
            warnings=warnings,
            positive=gate_positive,
        )
    findings = Findings(
        metrics=scores.metrics,
        positive=positive,
        undefined=scores.scored_rows.explain_undefined(scores.metrics),
        rows=scores.rows,
        skipped_rows=scores.skipped_rows,
        where=kept,
        intervals=estimates.intervals if estimates else {},
        comparison=compared,
        slices=sliced,
        gate=gate_verdict,
        warnings=[*warnings, *scores.warnings, *_list_resampling_warnings(command, estimates)],
    )
    drawn = _draw(command, scores, *model, dataset=data_path)
    baseline_drawn = drawn if baseline_scores is scores else None
    if baseline is not None and baseline_scores is not None and baseline_drawn is None:
        baseline_drawn = _draw(command, baseline_scores, *baseline, dataset=data_path)
    return Evaluated(findings, drawn, baseline_drawn)


@dataclasses.dataclass(frozen=True)
class _Scored:
    """The scored model, and the baseline, with what is asked of them."""

    command: ScoreModel
    model: contract.ModelPin
    scores: score.Scores
    baseline: contract.ModelPin | None
    baseline_scores: score.Scores | None
    dataset: Path

    @property
    def metric(self) -> str:
        """The metric that ranks groups: the gate's, or the problem's first."""
        if self.command.gate is not None:
            return self.command.gate.metric
        ranked, metrics = scoring.METRICS[self.model.problem], self.scores.metrics
        return next((name for name in ranked if name in metrics), next(iter(ranked)))

    @property
    def greater_is_better(self) -> bool:
        """Whether greater values of the metric that ranks groups are better."""
        return scoring.greater_is_better(self.metric, problem=self.model.problem)

    def compare(self, estimates: bootstrap.Estimates | None) -> Comparison | None:
        """Compare the model with the baseline, if there is one."""
        if self.baseline is None or self.baseline_scores is None:
            return None
        return comparison.compare(self.scores, self.baseline_scores, estimates=estimates, baseline=self.baseline)

    def slice_rows(self) -> list[Slice]:
        """Score the groups of rows."""
        return slices.slice_rows(
            self.scores.scored_rows,
            self.dataset,
            has_truth=self.scores.has_truth,
            columns=self.command.slices,
            metric=self.metric,
            greater_is_better=self.greater_is_better,
            least_rows=self.command.least_slice_rows,
        )

    def measure_for(self, positive: positive_class.Label | None) -> "_Scored":
        """Return the same predictions, to be measured for another positive class."""
        baseline = None if self.baseline_scores is None else self.baseline_scores.measure_for(positive)
        return dataclasses.replace(self, scores=self.scores.measure_for(positive), baseline_scores=baseline)


def _score(
    command: ScoreModel,
    pin: contract.ModelPin,
    artifact: Path,
    *,
    dataset: Path,
    positive: positive_class.Label | None,
    kept: targets.Mask | None,
    report: Progress,
) -> score.Scores:
    return score.score_model(
        artifact,
        sha256=pin.sha256,
        dataset=dataset,
        signature=pin.signature,
        target=command.target or pin.target,
        problem=pin.problem,
        positive=positive,
        sample_weight=command.sample_weight,
        kept=kept,
        progress=report,
    )


def _draw(
    command: ScoreModel, scores: score.Scores, pin: contract.ModelPin, artifact: Path, *, dataset: Path
) -> explain.Details:
    return explain.draw(
        scores, pin, artifact, dataset=dataset, target=command.target or pin.target, explain=command.explain
    )


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
