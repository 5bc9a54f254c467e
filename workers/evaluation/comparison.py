"""Holds a model beside a baseline, metric by metric, on the same rows."""

from shared import contract, errors
from shared.evaluation.contract import Comparison, Difference, Interval
from workers.evaluation import bootstrap, paired, score

NO_DIFFERENCE = (Interval(low=0.0, high=0.0), 1.0)


def require_alike(model: contract.ModelPin, baseline: contract.ModelPin) -> None:
    """Raise BadDataError for versions whose metrics are of different things."""
    if (model.problem, model.target) != (baseline.problem, baseline.target):
        raise errors.BadDataError(
            f"{baseline.label} does {baseline.problem} of {baseline.target!r}, but "
            f"{model.label} does {model.problem} of {model.target!r}; they can't be compared"
        )


def is_same(model: contract.ModelPin, baseline: contract.ModelPin) -> bool:
    """Tell whether both references mean one version."""
    return model.label == baseline.label


def warnings(model: contract.ModelPin, baseline: contract.ModelPin) -> list[str]:
    """Say that a comparison can tell nothing."""
    if not is_same(model, baseline):
        return []
    return [f"model and baseline are the same version, {model.label}: nothing can differ, and no gate can fail by it"]


def compare(
    mine: score.Scores, theirs: score.Scores, *, drawn: bootstrap.Drawn | None, baseline: contract.ModelPin
) -> Comparison:
    """Compare scores; those of a version beside itself are the same ones, of which nothing has to be drawn."""
    found, other = mine.metrics, theirs.metrics
    differences = {}
    for metric in found:
        if metric in other:
            interval, p_value = _difference(metric, drawn, is_same=theirs is mine)
            differences[metric] = Difference(
                model=found[metric],
                baseline=other[metric],
                difference=found[metric] - other[metric],
                interval=interval,
                p_value=p_value,
            )
    return Comparison(baseline=baseline.label, metrics=differences, test=paired.compare(mine.scored, theirs.scored))


def _difference(metric: str, drawn: bootstrap.Drawn | None, *, is_same: bool) -> tuple[Interval | None, float | None]:
    if is_same:
        return NO_DIFFERENCE
    return (None, None) if drawn is None else drawn.differences.get(metric, (None, None))
