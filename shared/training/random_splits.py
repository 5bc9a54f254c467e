"""Refuses estimators that split rows at random inside their own fit, where the validation keeps rows apart."""

from collections.abc import Mapping, Sequence

from shared.training.estimators import catalogue, checks
from shared.training.estimators.spec import STOPS_BY_GIVEN_ROWS, Problem

Described = tuple[str, Mapping[str, object]]
"""An estimator's name, with its parameters."""


def refuse(
    described: Described,
    *,
    members: Sequence[Described],
    problem: Problem,
    in_order: bool,
    stops: bool,
) -> None:
    """Raise ValueError, saying what would do, for what can't be told to keep time or groups apart.

    `in_order` says that it is time that is kept apart, `stops` that early stopping was asked for.
    """
    name, params = described
    if in_order and catalogue.specs()[name].members == "stacking":
        raise ValueError(
            f"{name} learns from what its members say of every row out of fold, but the first rows of a time series "
            "have none; take a Voting… estimator, or another validation"
        )
    if (stops or checks.holds_rows_out(name, params)) and not takes_rows_to_stop_by(name, problem=problem):
        raise ValueError(fault(name))
    for member, its_params in members:
        if checks.holds_rows_out(member, its_params):
            raise ValueError(f"{name}: its member {fault(member)}")
        if "cv" in catalogue.specs()[member].parameters:
            raise ValueError(
                f"{name}: its member {member} chooses by folds of its own, which would part what the validation keeps "
                "together; take one without cross-validation inside"
            )


def takes_rows_to_stop_by(name: str, *, problem: Problem) -> bool:
    """Tell whether an estimator can be told by which rows to stop early; many labels share no such rows."""
    return name in STOPS_BY_GIVEN_ROWS and problem != "multilabel"


def fault(name: str) -> str:
    """Say that an estimator would stop early by rows that stand on the wrong side of time or of a group."""
    return (
        f"{name} holds out rows at random to stop early by, which a time series and groups don't allow; leave "
        "early stopping out, or take HistGradientBoosting… or LGBM… (not for multilabel, not as a member)"
    )
