"""Exports of a model version, in formats that other programs load."""

from collections.abc import Mapping
from typing import Any, Literal

import pydantic

from shared import contract

Format = Literal["skops", "onnx", "mlflow"]
SUFFIXES: dict[str, str] = {"skops": "skops", "onnx": "onnx", "mlflow": "tar.gz"}
"""How the name of an export's file ends."""


MAX_SERVING_DIFFERENCE = 1e-5
"""The greatest difference, as a part of the answers' spread, with which an ONNX model may answer in a model's place."""


def may_serve(details: Mapping[str, Any]) -> bool:
    """Return whether an ONNX export may answer in its model's place, by the details that it was stored with.

    Its labels are equal, or it would not have been made: docs/decisions/exports.md, "Whether ONNX may serve a model is
    decided by one function".
    """
    difference: float = details["parity"]["greatest_difference"]
    return difference <= MAX_SERVING_DIFFERENCE


class ExportModel(contract.Command):
    """Export a model version; an export that exists is not made again."""

    model: contract.ModelRef
    format: Format = pydantic.Field(
        description="`skops`: the artifact itself, with the code of Millrace's own transformers, so that it loads "
        "without Millrace: append the file to `sys.path`, then `skops.io.load` it; `onnx`: a model for ONNX Runtime, "
        "compared with scikit-learn on rows of the training data and refused when a label or a number differs; "
        "`mlflow`: a folder that MLflow loads without Millrace, as a .tar.gz."
    )


class ExportedModel(contract.Result):
    """An export that can be downloaded."""

    class Export(contract.Result):
        """The file that was made."""

        name: str = pydantic.Field(description="The model's name.")
        version: int = pydantic.Field(description="The model's version.")
        format: Format = pydantic.Field(description="The format.")
        sha256: str = pydantic.Field(description="SHA-256 of the file, in hexadecimal.")
        bytes: int = pydantic.Field(description="The file's size.")

    export: Export = pydantic.Field(description="The file that was made.")
    details: dict[str, pydantic.JsonValue] = pydantic.Field(
        description="For `onnx` the inputs, the outputs and the `parity` with scikit-learn: rows compared, labels that "
        "differ (none), and the greatest difference of a number or a probability, as a part of the answers' spread."
    )


EXPORT = contract.Kind(
    name="training.export",
    command=ExportModel,
    result=ExportedModel,
    description="Export a model version as skops, ONNX or an MLflow folder.",
)
