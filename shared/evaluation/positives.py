"""Which class an evaluation counts as positive: the requested one, else the model's own."""

from collections.abc import Sequence

from shared import contract, errors, positive_class


def choose(
    model: contract.ModelPin, requested: positive_class.Requested | None, *, pointer: str
) -> positive_class.Label | None:
    """Choose the class that counts as positive; None for a model that doesn't have two classes.

    BadModelError, with the pointer, for a request that names none of them.
    """
    if requested is None:
        return positive_class.of_signature(model.signature)
    if model.problem != "classification":
        raise errors.BadModelError(
            f"`positive` names one of two classes, but {model.label} does {model.problem}; leave it out",
            pointer=pointer,
        )
    return positive_class.find(requested, classes=list_classes(model), pointer=pointer)


def list_classes(model: contract.ModelPin) -> Sequence[positive_class.Label]:
    """List a classifier's classes, in order; none for another model."""
    classes = model.signature.get("classes") if model.problem == "classification" else None
    return classes if isinstance(classes, list) else []  # type: ignore[return-value]  # The labels of a signature.
