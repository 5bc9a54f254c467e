"""What every role's contract is made of: commands, results, references and kinds."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import pydantic
from pydantic.fields import FieldInfo

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"
MOST_NAME_CHARACTERS = 63
REFERENCE_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}@[a-z0-9][a-z0-9._-]{0,62}$"

Kept = Literal["dataset", "features", "model"]
"""The types of things that are kept by name and version; `shared.catalog.kept_tables` says more of each."""
ReferenceType = Literal[Kept, "upload"]
ColumnType = Literal["integer", "number", "boolean", "string", "timestamp", "date"]
NUMERIC = frozenset({"integer", "number", "boolean"})
TEMPORAL = frozenset({"timestamp", "date"})


@dataclasses.dataclass(frozen=True)
class Reference:
    """Marks a field whose text names a stored thing, to be pinned when the job is submitted."""

    to: ReferenceType


Name = Annotated[
    str,
    pydantic.StringConstraints(pattern=NAME_PATTERN, max_length=MOST_NAME_CHARACTERS),
    pydantic.Field(description="Lower-case letters, digits, '.', '_' and '-'; at most 63.", examples=["telco"]),
]
DatasetRef = Annotated[
    str,
    Reference("dataset"),
    pydantic.StringConstraints(pattern=REFERENCE_PATTERN, max_length=127),
    pydantic.Field(description="A dataset's version: `name@3` or `name@latest`.", examples=["telco@latest"]),
]
FeaturesRef = Annotated[
    str,
    Reference("features"),
    pydantic.StringConstraints(pattern=REFERENCE_PATTERN, max_length=127),
    pydantic.Field(description="A feature set's version: `name@3` or `name@latest`.", examples=["telco-features@1"]),
]
ModelRef = Annotated[
    str,
    Reference("model"),
    pydantic.StringConstraints(pattern=REFERENCE_PATTERN, max_length=127),
    pydantic.Field(
        description="A model's version: `name@3`, `name@latest` or `name@alias`.", examples=["churn@champion"]
    ),
]


class Document(pydantic.BaseModel):
    """A frozen document that refuses unknown fields and never converts a value in silence."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


class Command(Document):
    """What a job is asked to do."""

    makes_any_dataset: ClassVar[bool] = False
    """Whether the job may make versions of datasets that the command doesn't name."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that the job may make a version of; other roles may have none of these names."""
        return ()

    @pydantic.model_validator(mode="after")
    def _makes_what_can_be_asked_for(self) -> Self:
        for name in self.datasets:
            if len(name) > MOST_NAME_CHARACTERS:
                raise ValueError(
                    f"the dataset that this makes would be called {name!r}, but a name has at most "
                    f"{MOST_NAME_CHARACTERS} characters; give a shorter `name`"
                )
        return self

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Raise a PermanentError, pointing into `#/params`, when what is pinned can't do what is asked.

        The API calls this before it accepts a job. Only what is certain without the data is refused, in the worker's
        words.
        """


class Result(Document):
    """What a job that succeeded answers."""


class Column(Document):
    """One column of a table."""

    name: str = pydantic.Field(description="The column's name, as the data gives it.")
    type: ColumnType = pydantic.Field(description="The type its values have.")
    nullable: bool = pydantic.Field(default=True, description="Whether a value may be missing.")


class DatasetVersion(Result):
    """A stored, immutable version of a table."""

    name: str = pydantic.Field(description="The dataset's name.")
    version: int = pydantic.Field(description="The version, counted from 1.")
    rows: int = pydantic.Field(description="How many rows it has.")
    columns: int = pydantic.Field(description="How many columns it has.")
    bytes: int = pydantic.Field(description="The size of its Parquet file, in bytes.")
    sha256: str = pydantic.Field(description="SHA-256 of its Parquet file, in hexadecimal.")


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of job: its name `role.verb`, what it takes and what it answers."""

    name: str
    command: type[Command]
    result: type[Result]
    description: str
    internal: bool = False
    """Whether only other jobs may submit it."""

    @property
    def role(self) -> str:
        """The role whose workers do this kind of job."""
        return self.name.partition(".")[0]


# Pins: what a reference became when the job was accepted. A worker sees only these.


class VersionPin(Document):
    """A version of something that has a name and versions, and where its object is."""

    name: str
    version: int
    key: str
    sha256: str

    @property
    def label(self) -> str:
        """The version as a reference names it."""
        return f"{self.name}@{self.version}"


class DatasetPin(VersionPin):
    """A dataset's version as a worker needs it, with no look into another role's database."""

    rows: int
    bytes: int
    columns: list[Column]

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]


class ModelPin(VersionPin):
    """A model's version as a worker needs it."""

    problem: str
    target: str | None
    signature: dict[str, pydantic.JsonValue]
    lineage: dict[str, pydantic.JsonValue] = {}
    """What it was made of; pins of releases before this one lack it."""

    @property
    def needs(self) -> list[str]:
        """The columns that it needs, in order."""
        return [column["name"] for column in cast(list[dict[str, str]], self.signature["columns"])]


class FeaturesPin(VersionPin):
    """A feature set's version as a worker needs it: its recipe, its data and its fitted transformer."""

    recipe: dict[str, pydantic.JsonValue]
    dataset: DatasetPin


class UploadPin(Document):
    """Bytes that a client sent, as the API stored them."""

    key: str
    bytes: int
    sha256: str


def references(document: pydantic.BaseModel, *, path: str = "") -> list[tuple[str, Reference, str]]:
    """Give every reference in a document: where it stands (`source.upload`), what it refers to, its text."""
    found: list[tuple[str, Reference, str]] = []
    for name, field in type(document).model_fields.items():
        value = getattr(document, name)
        where = f"{path}{name}"
        if isinstance(value, pydantic.BaseModel):
            found += references(value, path=f"{where}.")
        elif isinstance(value, str):
            found += [(where, mark, value) for mark in _marks(field)]
    return found


def _marks(field: FieldInfo) -> list[Reference]:
    """Give a field's reference marks, also when they stand inside `… | None`."""
    inner = [mark for part in typing.get_args(field.annotation) for mark in getattr(part, "__metadata__", ())]
    return [mark for mark in (*field.metadata, *inner) if isinstance(mark, Reference)]
