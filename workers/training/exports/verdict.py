"""Decides whether a fitted model may be served by ONNX Runtime, or only by the library that it was fitted with.

docs/decisions/exports.md, "Whether ONNX may serve a model is decided by one function".
"""

import dataclasses
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from shared import errors
from shared.ml import predictions, signatures
from shared.training import exports
from workers.training.exports import onnx_file


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of an attempt to write a model as ONNX: the export's details, or why there is none.

    `differs` says that there is one, whose numbers are too far from the model's for serving in its place.
    """

    details: dict[str, JsonValue] | None = None
    reason: str | None = None
    differs: bool = False

    @property
    def serves(self) -> bool:
        """Whether ONNX Runtime may serve the model."""
        return self.details is not None and not self.differs


def decide(
    pipeline: Any,
    dataset: Path,
    *,
    signature: signatures.Signature,
    problem: predictions.Problem,
    notes: dict[str, str],
    path: Path,
) -> Verdict:
    """Write a fitted pipeline as ONNX at `path`, and decide by its parity on rows of the training data.

    Labels must be equal, and other numbers differ by at most `exports.MAX_SERVING_DIFFERENCE` of the answers' spread.
    """
    try:
        details = onnx_file.write(pipeline, dataset, signature=signature, problem=problem, notes=notes, path=path)
    except errors.BadModelError as error:
        return Verdict(reason=error.message)
    if exports.may_serve(details):
        return Verdict(details)
    parity: Any = details["parity"]
    reason = (
        f"ONNX differs by up to {parity['greatest_difference']:.3g} of the answers' spread; "
        f"{exports.MAX_SERVING_DIFFERENCE:g} is allowed in serving"
    )
    return Verdict(details, reason, differs=True)
