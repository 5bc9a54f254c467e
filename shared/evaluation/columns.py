"""Which columns of its dataset an evaluation needs."""

from typing import cast

from shared import column_names, contract, errors

_WITH_TRUTH = ("classification", "regression")
"""The problems whose models always predict one column, which only those made elsewhere may not name."""


def require_slice_columns(slices: list[str], *, present: list[str]) -> None:
    """Raise BadDataError when a dataset lacks a column by which its rows are to be sliced."""
    column_names.require(slices, present=present, pointer="#/params/slices")


def require_weight_column(sample_weight: str | None, *, present: list[str]) -> None:
    """Raise BadDataError when a dataset lacks the column of the rows' weights."""
    column_names.require([sample_weight] if sample_weight else [], present=present, pointer="#/params/sample_weight")


def require_model_columns(model: contract.ModelPin, *, target: str | None, present: list[str]) -> None:
    """Raise BadDataError when a dataset lacks the truth or a column that the model needs, or no truth is named.

    The truth is in the column `target`, else in the model's own target; labels that are columns of their own always
    have the model's names.
    """
    truth = target or model.target
    label_columns = cast(list[str] | None, model.signature.get("targets"))
    pointer = "#/params/target" if target and not label_columns else "#/params/dataset"
    if truth is None and model.problem in _WITH_TRUTH:
        raise errors.BadDataError(
            f"{model.label} was imported without a target; give `target`, the column with the truth",
            pointer="#/params/target",
        )
    column_names.require(label_columns or ([truth] if truth else []), present=present, pointer=pointer)
    column_names.require(model.needs, present=present, pointer="#/params/dataset")
