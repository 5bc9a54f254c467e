"""What each column adds to the predictions of a request, for those who ask: reason codes.

docs/decisions/serving.md, "Contributions are of the columns that a caller knows"
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import structlog

from shared import errors
from workers.prediction.online import merging, rows
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.versions import Version

_log = structlog.get_logger()
MAX_ROWS = 1_000
"""How many rows of a request may be taken apart: that takes some hundred times as long as predicting them."""
OPTIONS = ("top", "class")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which contributions are wanted."""

    top: int | None = None
    """Only so many columns of each row, those that add or take most first; all without it."""
    label: Any = None
    """The class whose margin is taken apart; without it that of each row's prediction."""


@dataclasses.dataclass(frozen=True)
class RowContributions:
    """What columns add to the margin of a row; `bias`, `values` and `others` together are `output`."""

    columns: list[str]
    """In the order of the model, or those that add or take most first."""
    values: list[float]
    others: float | None
    """What the columns that aren't listed add together; None where all are."""
    bias: float
    output: float
    label: Any
    """The class whose margin this is; None for a number."""
    scale: str


@dataclasses.dataclass(frozen=True)
class Explained:
    """The contributions of the rows of a request."""

    rows: list[RowContributions | None]
    """None for a row that was answered by a version which can't be taken apart."""
    reasons: dict[str, str]
    """Why not, by the label of the version."""
    is_cut: bool = False
    """Whether only the columns that add or take most of each row are there."""


def read(document: Any) -> Wanted | None:
    """Read what a request wants: `true`, or an object with `top` or `class`; None where it wants nothing."""
    if document is None or document is False:
        return None
    if document is True:
        return Wanted()
    if not isinstance(document, dict) or document.keys() - set(OPTIONS):
        raise errors.InvalidRequestError('`contributions` is true, or an object with `top` or `class`: {"top": 5}.')
    top, label = document.get("top"), document.get("class")
    if top is not None and (type(top) is not int or top < 1):
        raise errors.InvalidRequestError("`top` is how many columns of each row are wanted, from 1 on.")
    if label is not None and not isinstance(label, str | int | float):
        raise errors.InvalidRequestError("`class` is one of the classes that the model predicts.")
    return Wanted(top=top, label=label)


def require(deployed: Deployed, wanted: Wanted, *, rows_count: int, version: Version | None = None) -> None:
    """Refuse, before anything is predicted, what no version of a deployment, or the one that is asked, can answer."""
    if rows_count > MAX_ROWS:
        raise errors.InvalidRequestError(
            f"Contributions are computed for at most {MAX_ROWS:,} rows a request; these are {rows_count:,}."
        )
    asked = deployed.versions if version is None else (version,)
    reasons = {each.pin.label: _find_reason(each, wanted) for each in asked}
    if reasons and None not in reasons.values():
        told = "; ".join(f"{label}: {reason}" for label, reason in reasons.items())
        raise errors.InvalidRequestError(f"There are no contributions here. {told}.")


def explain(deployed: Deployed, given: rows.Columns, predicted: merging.Prediction, *, wanted: Wanted) -> Explained:
    """Compute the contributions of rows that have been predicted, each for the version that answered; in a thread.

    A version that can't be taken apart has no effect on the rows of others, nor on what was predicted.
    """
    explained: list[RowContributions | None] = [None] * len(predicted.versions)
    reasons: dict[str, str] = {}
    labels = _find_labels(predicted, wanted)
    for name in dict.fromkeys(predicted.versions):
        members = [row for row, each in enumerate(predicted.versions) if each == name]
        version = _find_version(deployed, name)
        reason = "it isn't one version" if version is None else _find_reason(version, wanted)
        if version is not None and reason is None:
            try:
                part: rows.Columns = {column: merging.pick(values, members) for column, values in given.items()}
                part, _ = deployed.join(version, part, rows_count=len(members))
                found = _explain_by(version, part, [labels[row] for row in members], top=wanted.top)
                for row, each in zip(members, found, strict=True):
                    explained[row] = each
            except Exception as error:  # noqa: BLE001 - what was predicted is answered all the same.
                _log.error("contributions_failed", version=name, error=errors.to_reason(error))
                reason = f"this has failed ({type(error).__name__})"
        if reason is not None:
            reasons[name] = reason
    return Explained(explained, reasons, is_cut=wanted.top is not None)


def can_explain(version: Version) -> bool:
    """Return whether a version can be taken apart."""
    return version.explainer is not None


def _find_reason(version: Version, wanted: Wanted) -> str | None:
    """Find why a version can't answer what is wanted; None if it can."""
    if version.explainer is None:
        return version.unexplainable
    if wanted.label is not None and wanted.label not in version.explainer.labels:
        known = ", ".join(map(repr, version.explainer.labels[:20])) or "none, since it predicts a number"
        return f"{str(wanted.label)[:100]!r} is not among its classes, which are {known}"
    return None


def _find_version(deployed: Deployed, label: str) -> Version | None:
    candidates = (*deployed.versions, *([deployed.fallback] if deployed.fallback else []))
    return next((version for version in candidates if version.pin.label == label), None)


def _find_labels(predicted: merging.Prediction, wanted: Wanted) -> list[Any]:
    if wanted.label is not None:
        return [wanted.label] * len(predicted.versions)
    return predicted.values[0]


def _explain_by(version: Version, given: rows.Columns, labels: list[Any], *, top: int | None) -> list[RowContributions]:
    found = version.explain(given, labels)
    has_classes = bool(version.explainer and version.explainer.labels)
    explained = []
    for values, bias, label in zip(found.values, found.bias.tolist(), labels, strict=True):
        total = float(values.sum())
        order = range(len(values)) if top is None else (-abs(values)).argsort(kind="stable")[:top].tolist()
        listed = values[list(order)]
        explained.append(
            RowContributions(
                columns=[found.columns[index] for index in order],
                values=listed.tolist(),
                others=None if len(listed) == len(values) else total - float(listed.sum()),
                bias=bias,
                output=bias + total,
                label=label if has_classes else None,
                scale=found.scale,
            )
        )
    return explained


def describe(explained: Explained) -> Mapping[str, Any]:
    """Describe contributions as the native protocol answers them."""
    return {
        "contributions": [each and _describe_row(each) for each in explained.rows],
        **({"unexplained": explained.reasons} if explained.reasons else {}),
    }


def _describe_row(row: RowContributions) -> dict[str, Any]:
    return {
        "bias": row.bias,
        "output": row.output,
        "scale": row.scale,
        **({} if row.label is None else {"class": row.label}),
        "values": dict(zip(row.columns, row.values, strict=True)),
        **({} if row.others is None else {"others": row.others}),
    }
