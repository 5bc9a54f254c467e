"""Refuses estimators that split rows at random inside their own fit, where the validation keeps rows apart."""

from collections.abc import Mapping, Sequence

from shared.training.estimators import allow_list, checks
from shared.training.estimators.spec import ACCEPTS_VALIDATION_ROWS, Problem

EstimatorConfig = tuple[str, Mapping[str, object]]
"""An estimator's name, with its parameters."""


def refuse(
    config: EstimatorConfig,
    *,
    members: Sequence[EstimatorConfig],
    problem: Problem,
    in_order: bool,
    stops: bool,
) -> None:
    """Raise ValueError, saying what helps, for an estimator that can't be made to keep time or groups apart.

    `in_order` says that the validation splits by time, `stops` that the request has early stopping.
    docs/decisions/models.md, "What splits rows inside a fit follows the validation".
    """
    name, params = config
    if in_order and allow_list.specs()[name].members == "stacking":
        raise ValueError(
            f"{name} learns from its members' out-of-fold predictions of every row, but the first rows of a time "
            "series have none; use a Voting… estimator, or another validation"
        )
    if (stops or checks.holds_rows_out(name, params)) and not accepts_validation_rows(name, problem=problem):
        raise ValueError(describe_refusal(name))
    for member, member_params in members:
        if checks.holds_rows_out(member, member_params):
            raise ValueError(f"{name}: its member {describe_refusal(member)}")
        if "cv" in allow_list.specs()[member].parameters:
            raise ValueError(
                f"{name}: its member {member} cross-validates with folds of its own, which would separate rows that "
                "the validation keeps together; use a member without built-in cross-validation"
            )


def accepts_validation_rows(name: str, *, problem: Problem) -> bool:
    """Return whether an estimator can be given the rows to stop early by; with multilabel no estimator can."""
    return name in ACCEPTS_VALIDATION_ROWS and problem != "multilabel"


def describe_refusal(name: str) -> str:
    """Explain that an estimator would stop early by rows from the wrong side of time or of a group."""
    return (
        f"{name} holds out rows at random to stop early by, which a time series and groups don't allow; leave "
        "early stopping out, or use HistGradientBoosting… or LGBM… (not for multilabel, not as a member)"
    )
