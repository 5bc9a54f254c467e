"""Compares a model with a baseline, metric by metric, on the same rows."""

from shared import contract, errors, positive_class
from shared.evaluation.contract import Comparison, Difference, Interval
from workers.evaluation import bootstrap, paired, score

NO_DIFFERENCE = (Interval(low=0.0, high=0.0), 1.0)


def require_comparable(model: contract.ModelPin, baseline: contract.ModelPin) -> None:
    """Raise BadDataError for versions that solve different problems or predict different targets."""
    if (model.problem, model.target) != (baseline.problem, baseline.target):
        raise errors.BadDataError(
            f"the baseline {baseline.label} does {baseline.problem} of {baseline.target!r}, but "
            f"{model.label} does {model.problem} of {model.target!r}; they can't be compared"
        )


def is_same(model: contract.ModelPin, baseline: contract.ModelPin) -> bool:
    """Return whether both references name the same version."""
    return model.label == baseline.label


def list_warnings(model: contract.ModelPin, baseline: contract.ModelPin) -> list[str]:
    """Warn of a comparison of a version with itself, or with one that was trained for the other class."""
    same = f"model and baseline are the same version, {model.label}: nothing can differ, and no gate can fail by it"
    if is_same(model, baseline):
        return [same]
    own, other = (positive_class.of_signature(pin.signature) for pin in (model, baseline))
    differs = (
        f"{model.label} was trained with {own!r} as the positive class, the baseline {baseline.label} with {other!r}; "
        "here both are measured for the same one"
    )
    return [differs] if None not in (own, other) and own != other else []


def compare(
    scores: score.Scores,
    baseline_scores: score.Scores,
    *,
    estimates: bootstrap.Estimates | None,
    baseline: contract.ModelPin,
) -> Comparison:
    """Compare two models' scores; a version compared with itself has the same object twice, and needs no estimates."""
    metrics, baseline_metrics = scores.metrics, baseline_scores.metrics
    differences = {}
    for metric in metrics:
        if metric in baseline_metrics:
            interval, p_value = _find_difference(metric, estimates, is_same=baseline_scores is scores)
            differences[metric] = Difference(
                model=metrics[metric],
                baseline=baseline_metrics[metric],
                difference=metrics[metric] - baseline_metrics[metric],
                interval=interval,
                p_value=p_value,
            )
    return Comparison(
        baseline=baseline.label,
        metrics=differences,
        test=paired.compare(scores.scored_rows, baseline_scores.scored_rows),
    )


def _find_difference(
    metric: str, estimates: bootstrap.Estimates | None, *, is_same: bool
) -> tuple[Interval | None, float | None]:
    if is_same:
        return NO_DIFFERENCE
    return (None, None) if estimates is None else estimates.differences.get(metric, (None, None))
