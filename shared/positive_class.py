"""The positive class of two: the one that recall, precision, costs and thresholds are about.

docs/decisions/evaluation.md, "The positive class is chosen once, by training, and goes with the model".
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pydantic

from shared import errors

Label = str | int | bool
Requested = Annotated[
    bool | int | float | Annotated[str, pydantic.StringConstraints(max_length=10_000)],
    pydantic.Field(examples=["fraud"]),
]
"""A class as a request names it: a label in its own type, or its text."""
CONVENTION = frozenset({"1", "true", "yes"})
"""Labels that mean the positive class by themselves, in any case."""
_FLAGS = {"1": "true", "0": "false", "true": "1", "false": "0"}


@dataclasses.dataclass(frozen=True)
class Choice:
    """The positive class, and a note on why it is that one; None when it was requested."""

    label: Label
    note: str | None = None


def choose(
    classes: Sequence[Label], *, counts: Sequence[int], requested: Requested | None = None, pointer: str | None = None
) -> Choice | None:
    """Choose the positive class of a target with these classes, sorted, and rows of each; None unless there are two.

    The one that is requested, else 1, true or yes, else the rarer one, in a tie the last. BadModelError, with the
    pointer, for a request that names none of two classes.
    """
    if requested is not None:
        return Choice(find(requested, classes=classes, pointer=pointer))
    if len(classes) != 2:
        return None
    conventional = [label for label in classes if format_label(label).strip().lower() in CONVENTION]
    if len(conventional) == 1:
        return _describe(conventional[0], classes, reason="by convention")
    rows, total = min(counts), sum(counts)
    if counts[0] == counts[1]:
        return _describe(classes[1], classes, reason=f"the last in sorted order, because each has {rows:,} rows")
    label = classes[list(counts).index(rows)]
    return _describe(label, classes, reason=f"the rarer one, with {rows:,} of {total:,} rows")


def find(requested: Requested, *, classes: Sequence[Label], pointer: str | None = None) -> Label:
    """Find the class that a request names, by its text; 1 and 0 also stand for true and false, and these for them.

    BadModelError, with the pointer, when there are not two classes, or none of that text.
    """
    if len(classes) != 2:
        raise errors.BadModelError(
            f"`positive` names one of two classes, but the target has {len(classes)}; leave it out: metrics such as "
            "recall are named for each class",
            pointer=pointer,
        )
    is_whole = isinstance(requested, float) and requested.is_integer()
    text = format_label(int(requested) if is_whole else requested)
    if all(isinstance(label, bool) for label in classes):
        text = text.lower()
    by_text = {format_label(label): label for label in classes}
    for name in (text, _FLAGS.get(text, text)):
        if name in by_text:
            return by_text[name]
    raise errors.BadModelError(
        f"`positive` is {text[:100]!r}, which is no class of the target; the classes are "
        f"{' and '.join(map(_quote, classes))}",
        pointer=pointer,
    )


def of_signature(signature: Mapping[str, Any]) -> Label | None:
    """Return a stored model's positive class; None unless it is a classifier of two classes.

    Models of earlier releases name none: theirs is the last class in sorted order.
    """
    classes: Any = signature.get("classes") or []
    if signature.get("problem", "classification") != "classification" or len(classes) != 2:
        return None
    positive: Label | None = signature.get("positive")
    last: Label = classes[1]
    return last if positive is None else positive


def format_label(label: Any) -> str:
    """Format a label as it appears in names and messages: true and false for booleans."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _describe(label: Label, classes: Sequence[Label], *, reason: str) -> Choice:
    other = next(one for one in classes if one != label)
    note = f"the positive class is {_quote(label)}, {reason}; give `positive` to measure for {_quote(other)} instead"
    return Choice(label, note)


def _quote(label: Label) -> str:
    return repr(label[:100]) if isinstance(label, str) else format_label(label)
