"""Imports: a model that was made elsewhere becomes a version of a model here."""

import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
import pydantic_core

from shared import column_names, contract, errors, positive_class
from shared.catalog import marks
from shared.training import validations
from shared.training.trained import TrainedModel

Format = Literal["onnx", "lightgbm", "xgboost", "mlflow"]
Problem = Literal["classification", "regression"]
MAX_COLUMNS = 10_000
MAX_CLASSES = 1000
MAX_METRICS = 200
MAX_PARAMETERS = 1000
FORMAT = (
    "What the file is: `onnx`, a model for ONNX Runtime; `lightgbm`, the text that LightGBM's `save_model` writes; "
    "`xgboost`, the JSON or UBJSON of XGBoost's `save_model`; `mlflow`, a folder of MLflow's `save_model`, as a zip or "
    "tar, which holds one of these. When omitted, it is told from the bytes."
)
PROBLEM = "What the model predicts; when omitted, it is told from the file, where the file tells."
TARGET = "The column that the model predicts, so that evaluations and feedback know what it is."
COLUMNS = (
    "The columns that the model takes, in the order of its inputs: names, or objects with `name`, `type` and "
    "`categories`. When omitted, they are those of the file, or of `like`."
)
CLASSES = (
    "The classes, in the order of the columns of the probabilities; when omitted, those that the file names. Whole "
    "numbers from 0 on may be given other names by this."
)
POSITIVE = "Of two classes the positive one, which metrics such as recall are about."
SCORES = (
    "What a classifier's outputs of numbers are: `probabilities`; `logits`, of which probabilities are computed; or "
    "`none`, where only its labels are to be used."
)
LIKE = "A model's version, such as `churn@3`: what is not given is taken from its signature."
METRICS = "How good it was where it was made, by the names of metrics; nothing of it is measured here."
PARAMETERS = "With which parameters it was trained, or whatever else its run recorded."
NOTE = "A note on the version."
RUN = "The run that made it elsewhere: an address, or a name."


class ImportedColumn(contract.Document):
    """A column that an imported model takes; its name alone is short for it."""

    name: validations.ColumnName = pydantic.Field(description="The column's name, as in the data.")
    type: contract.ColumnType | None = pydantic.Field(
        default=None, description="The type of its values; when omitted, the one that the model's input has."
    )
    categories: list[str] | None = pydantic.Field(
        default=None, max_length=100, description="Of text, the values that the model knows; others are warned of."
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _expand(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: pydantic_core.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe both forms."""
        return {"anyOf": [{"type": "string", "description": "The name alone."}, handler(core_schema)]}


class OutputNames(contract.Document):
    """Which of an ONNX model's outputs are which, where their names and types don't tell."""

    label: str | None = pydantic.Field(default=None, max_length=1000, description="Of a classifier: its labels.")
    probabilities: str | None = pydantic.Field(
        default=None, max_length=1000, description="Of a classifier: a number for each class, or that of the second."
    )
    prediction: str | None = pydantic.Field(default=None, max_length=1000, description="Of a regression: its numbers.")


class ModelUpload(contract.Document):
    """Bytes that were uploaded to the API before the job was accepted."""

    type: Literal["upload"] = pydantic.Field(description="The kind of source.")
    upload: Annotated[str, contract.Reference("upload")] = pydantic.Field(
        pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$", description="The upload's id, as the API assigned it."
    )


class ImportModel(contract.Command):
    """Read a model that was made elsewhere, check it and try it, and store it as the next version of a model.

    Nothing that could run code is read: no pickle, no joblib, no Python function of MLflow.
    """

    name: contract.Name = pydantic.Field(description="The model whose next version this creates.")
    source: ModelUpload = pydantic.Field(description="Where the file is.")
    format: Format | None = pydantic.Field(default=None, description=FORMAT)
    problem: Problem | None = pydantic.Field(default=None, description=PROBLEM)
    target: validations.ColumnName | None = pydantic.Field(default=None, description=TARGET)
    columns: Annotated[list[ImportedColumn], pydantic.Field(min_length=1, max_length=MAX_COLUMNS)] | None = (
        pydantic.Field(default=None, description=COLUMNS)
    )
    classes: Annotated[list[positive_class.Label], pydantic.Field(min_length=2, max_length=MAX_CLASSES)] | None = (
        pydantic.Field(default=None, description=CLASSES)
    )
    positive: positive_class.Requested | None = pydantic.Field(default=None, description=POSITIVE)
    outputs: OutputNames = pydantic.Field(
        default=OutputNames(), description="Which of an ONNX model's outputs are which."
    )
    scores: Literal["probabilities", "logits", "none"] = pydantic.Field(default="probabilities", description=SCORES)
    like: contract.ModelRef | None = pydantic.Field(default=None, description=LIKE)
    metrics: dict[
        Annotated[str, pydantic.Field(min_length=1, max_length=200)],
        Annotated[float, pydantic.Field(allow_inf_nan=False)],
    ] = pydantic.Field(default={}, max_length=MAX_METRICS, description=METRICS)
    parameters: dict[Annotated[str, pydantic.Field(min_length=1, max_length=200)], pydantic.JsonValue] = pydantic.Field(
        default={}, max_length=MAX_PARAMETERS, description=PARAMETERS
    )
    note: marks.Note | None = pydantic.Field(default=None, description=NOTE)
    run: str | None = pydantic.Field(default=None, min_length=1, max_length=1000, description=RUN)

    @property
    def models(self) -> tuple[str, ...]:
        """The model of which the job makes a version."""
        return (self.name,)

    @pydantic.model_validator(mode="after")
    def _names_nothing_twice(self) -> Self:
        names = [column.name for column in self.columns or []]
        twice = column_names.list_repeated(names)
        if twice:
            raise ValueError(f"columns has {min(twice)!r} twice")
        if len(set(self.classes or [])) < len(self.classes or []):
            raise ValueError("classes has one of them twice")
        if self.target is not None and self.target in names:
            raise ValueError(f"the target {self.target!r} is one of the columns that the model takes")
        return self

    @pydantic.model_validator(mode="after")
    def _has_classes_of_one_type(self) -> Self:
        if self.classes is not None and len({type(label) for label in self.classes}) > 1:
            raise ValueError("the classes must be all texts, all whole numbers, or true and false")
        if self.problem == "regression" and (self.classes is not None or self.positive is not None):
            raise ValueError("a regression has no classes")
        return self

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a `like` that predicts something else."""
        if "like" not in pinned:
            return
        model = contract.ModelPin.model_validate(pinned["like"])
        if model.problem not in typing.get_args(Problem):
            raise errors.BadModelError(
                f"{model.label} is a model for {model.problem}; only models for classification and regression can be "
                "imported",
                pointer="#/params/like",
            )


class Origin(contract.Result):
    """Where an imported version came from, as far as its file and whoever imported it say."""

    format: Format = pydantic.Field(description="In which format the model came; of an MLflow folder, what it holds.")
    sha256: str = pydantic.Field(description="SHA-256 of what was uploaded, in hexadecimal.")
    bytes: int = pydantic.Field(description="The size of what was uploaded.")
    run: str | None = pydantic.Field(default=None, description="The run that made it.")
    producer: str | None = pydantic.Field(default=None, description="The program that wrote the file.")
    opsets: dict[str, int] = pydantic.Field(default={}, description="Of ONNX: the version of each set of operators.")
    operators: dict[str, int] = pydantic.Field(default={}, description="Of ONNX: how often each operator is used.")
    trees: int | None = pydantic.Field(default=None, description="How many trees a booster has.")


class ImportedModel(contract.Result):
    """A version that was imported."""

    model: TrainedModel.Model = pydantic.Field(description="The version that was made.")
    format: Format = pydantic.Field(description="In which format the model came; of an MLflow folder, what it holds.")
    problem: Problem = pydantic.Field(description="What the model predicts.")
    signature: dict[str, pydantic.JsonValue] = pydantic.Field(
        description="The columns that the model takes, its target, its classes."
    )
    warnings: list[str] = pydantic.Field(description="What looks wrong.")
    notes: list[str] = pydantic.Field(description="What was decided automatically, each in a sentence.")


IMPORT = contract.Kind(
    name="training.import",
    command=ImportModel,
    result=ImportedModel,
    description="Import a model that was made elsewhere (ONNX, LightGBM, XGBoost, MLflow) as a version of a model.",
)
