"""What a foreign file is read as, and what was asked of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
from sklearn import pipeline

from shared import contract, errors, positive_class
from shared.ml import signatures, targets
from shared.training import imports


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is known of a model beside its file: from the command, else from `like`, else from an MLflow folder."""

    problem: imports.Problem | None = None
    target: str | None = None
    columns: Sequence[imports.ImportedColumn] | None = None
    classes: list[targets.Label] | None = None
    positive: positive_class.Requested | None = None
    outputs: imports.OutputNames = dataclasses.field(default_factory=imports.OutputNames)
    scores: str = "probabilities"
    folder: Path | None = None
    """A folder with files that the model may say it is continued in."""

    @staticmethod
    def of(command: imports.ImportModel, like: Mapping[str, Any] | None) -> "Request":
        """Complete a command by the signature of the model that it names."""
        known = like or {}
        problem = command.problem or known.get("problem")
        described = known.get("columns")
        columns = None if described is None else [_like(column) for column in described]
        is_alike = problem == known.get("problem")
        return Request(
            problem=problem,
            target=command.target or (known.get("target") or {}).get("name"),
            columns=command.columns or columns,
            classes=command.classes or (known.get("classes") if is_alike else None),
            positive=command.positive if command.positive is not None else known.get("positive") if is_alike else None,
            outputs=command.outputs,
            scores=command.scores,
        )


def _like(column: Mapping[str, Any]) -> imports.ImportedColumn:
    return imports.ImportedColumn(name=column["name"], type=column["type"], categories=column.get("categories"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that was read: an estimator of ours that predicts by it, and what is known of it."""

    format: imports.Format
    estimator: Any
    columns: list[dict[str, Any]]
    """As the signature has them."""
    problem: imports.Problem
    classes: list[targets.Label] | None = None
    """Sorted."""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of its `imports.Origin`."""
    libraries: tuple[str, ...] = ()
    """The distributions of the libraries that predict."""
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def model(self) -> pipeline.Pipeline:
        """The estimator behind no recipe at all, as all models are a recipe and an estimator."""
        return pipeline.Pipeline([("features", "passthrough"), ("estimator", self.estimator)])

    def sign(self, request: Request) -> tuple[signatures.Signature, list[str]]:
        """Make the signature, and notes on what was decided in it; BadModelError for a class that there isn't."""
        signature: dict[str, Any] = {
            "columns": self.columns,
            "target": self._describe_target(request.target),
            "problem": self.problem,
            "classes": self.classes,
        }
        positive, notes = self._choose_positive(request)
        return signature | ({} if positive is None else {"positive": positive}), notes

    def _describe_target(self, name: str | None) -> dict[str, str] | None:
        if name in [column["name"] for column in self.columns]:
            raise errors.BadModelError(
                f"the target {name!r} is one of the columns that the model takes", pointer="#/params/target"
            )
        type_: contract.ColumnType = "number" if self.classes is None else targets.label_type(self.classes)
        return None if name is None else {"name": name, "type": type_}

    def _choose_positive(self, request: Request) -> tuple[positive_class.Label | None, list[str]]:
        classes = self.classes or []
        if request.positive is not None:
            return positive_class.find(request.positive, classes=classes, pointer="#/params/positive"), []
        if len(classes) != 2:
            return None, []
        usual = [label for label in classes if targets.format_label(label).strip().lower() in positive_class.CONVENTION]
        positive = usual[0] if len(usual) == 1 else classes[1]
        reason = "by convention" if len(usual) == 1 else "the last in sorted order"
        note = f"The positive class is {targets.format_label(positive)!r}, {reason}; give `positive` for the other one."
        return positive, [note]


class Reading(pydantic.BaseModel):
    """What a process has read of a foreign file: all that is stored of the version but the artifact."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    format: imports.Format
    problem: imports.Problem
    target: str | None
    signature: dict[str, pydantic.JsonValue]
    facts: dict[str, pydantic.JsonValue]
    libraries: dict[str, str]
    warnings: list[str]
    notes: list[str]
