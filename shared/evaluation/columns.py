"""Which columns of its dataset an evaluation needs."""

from typing import cast

from shared import column_names, contract


def require_slices(slices: list[str], *, present: list[str]) -> None:
    """Raise BadDataError when a dataset lacks a column that is to split its rows."""
    column_names.require(slices, present=present, pointer="#/params/slices")


def require_scored(model: contract.ModelPin, *, target: str | None, present: list[str]) -> None:
    """Raise BadDataError when a dataset lacks the truth or a column that the model needs.

    The truth stands under the name that was given, else under the model's own; labels that are columns of their own
    always stand under the model's.
    """
    truth = target or model.target
    several = cast(list[str] | None, model.signature.get("targets"))
    pointer = "#/params/target" if target and not several else "#/params/dataset"
    column_names.require(several or ([truth] if truth else []), present=present, pointer=pointer)
    column_names.require(model.needs, present=present, pointer="#/params/dataset")
