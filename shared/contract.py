"""The building blocks of every role's contract: commands, results, references, kinds and pins."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import pydantic
from pydantic.fields import FieldInfo

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"
MAX_NAME_CHARACTERS = 63
REFERENCE_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}@[a-z0-9][a-z0-9._-]{0,62}$"

Kept = Literal["dataset", "features", "model"]
"""What is kept by name and version; `shared.catalog.kept_tables` describes each type.

See docs/decisions/kinds.md, "One table says what a kept thing is".
"""
ReferenceType = Literal[Kept, "upload"]
ColumnType = Literal["integer", "number", "boolean", "string", "timestamp", "date"]
NUMERIC = frozenset({"integer", "number", "boolean"})
TEMPORAL = frozenset({"timestamp", "date"})


@dataclasses.dataclass(frozen=True)
class Reference:
    """Marks a field whose text names an upload or a version, to be pinned when the job is accepted."""

    to: ReferenceType


Name = Annotated[
    str,
    pydantic.StringConstraints(pattern=NAME_PATTERN, max_length=MAX_NAME_CHARACTERS),
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
    """A frozen document that refuses unknown fields and never converts a value silently."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


class Command(Document):
    """The parameters of a job: what it is to do."""

    makes_any_dataset: ClassVar[bool] = False
    """Whether the job may make versions of datasets that the command doesn't name."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that the job may make a version of; each of these names belongs to the job's role alone."""
        return ()

    @property
    def models(self) -> tuple[str, ...]:
        """The models that the job may make a version of."""
        return ()

    @pydantic.model_validator(mode="after")
    def _check_dataset_names(self) -> Self:
        for name in self.datasets:
            if len(name) > MAX_NAME_CHARACTERS:
                raise ValueError(
                    f"the dataset that this makes would be called {name!r}, but a name has at most "
                    f"{MAX_NAME_CHARACTERS} characters; give a shorter `name`"
                )
        return self

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Raise a PermanentError, pointing into `#/params`, when the command can't work with what is pinned.

        The API calls this before it accepts a job. Only what is certain without the data is refused, with the worker's
        own message: docs/decisions/accepting.md, "The API refuses what pinned names and types rule out, and leaves the
        rest to the worker".
        """


class Result(Document):
    """The result of a job that succeeded."""

    @classmethod
    def find_refusal(cls, result: Mapping[str, Any]) -> str | None:  # noqa: ARG003 - most kinds refuse nothing.
        """Say, as words after "but", why a stored result is a refusal, such as a gate's; None when it is none."""
        return None


class Column(Document):
    """One column of a table."""

    name: str = pydantic.Field(description="The column's name, as in the data.")
    type: ColumnType = pydantic.Field(description="The type of its values.")
    nullable: bool = pydantic.Field(default=True, description="Whether a value may be missing.")


class DatasetVersion(Result):
    """A stored, immutable version of a table."""

    name: str = pydantic.Field(description="The dataset's name.")
    version: int = pydantic.Field(description="The version, counted from 1.")
    rows: int = pydantic.Field(description="How many rows it has.")
    columns: int = pydantic.Field(description="How many columns it has.")
    bytes: int = pydantic.Field(description="The size of its Parquet file, in bytes.")
    sha256: str = pydantic.Field(description="SHA-256 of its Parquet file, in hexadecimal.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gathering:
    """Lets a worker do waiting jobs of a kind together, in one call of the kind's body.

    Jobs of one tenant are done together whose pins have the same text under the name `alike`. Their pins have a number
    under the name `size`, such as a count of rows; together they have at most `max_size`, unless the first one alone
    has more.
    """

    alike: str
    size: str
    max_jobs: int
    max_size: int
    max_ahead: int = 1000
    """How many of the jobs that are ready, from the first in the queue on, are looked at for those that are alike."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of job: its name `role.verb`, its command and its result."""

    name: str
    command: type[Command]
    result: type[Result]
    description: str
    internal: bool = False
    """Whether only other jobs may submit it."""
    stores: bool = True
    """Whether it may store objects, for which the tenant's quota must have room."""
    gathers: Gathering | None = None
    """How jobs that wait are done together; None when each is done by itself."""

    @property
    def role(self) -> str:
        """The role whose workers do this kind of job."""
        return self.name.partition(".")[0]


# Pins: what references were resolved to when the job was accepted. A worker sees only these.


class VersionPin(Document):
    """A named version, and where its object is."""

    name: str
    version: int
    key: str
    sha256: str

    @property
    def label(self) -> str:
        """The version as a reference names it."""
        return f"{self.name}@{self.version}"


class DatasetPin(VersionPin):
    """A dataset's version with all that a worker needs, so that it reads no other role's database."""

    rows: int
    bytes: int
    columns: list[Column]

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]


class ModelPin(VersionPin):
    """A model's version with all that a worker needs."""

    problem: str
    target: str | None
    signature: dict[str, pydantic.JsonValue]
    lineage: dict[str, pydantic.JsonValue] = {}
    """What the model was made of; pins of earlier releases lack it."""

    @property
    def needs(self) -> list[str]:
        """The columns that the model needs, in order."""
        return [column["name"] for column in cast(list[dict[str, str]], self.signature["columns"])]


class FeaturesPin(VersionPin):
    """A feature set's version with all that a worker needs: its recipe, its data and its fitted transformer."""

    recipe: dict[str, pydantic.JsonValue]
    dataset: DatasetPin
    target: str | None = None
    """The column that the recipe left alone to be predicted; pins of earlier releases lack it."""


class UploadPin(Document):
    """Uploaded bytes, as the API stored them."""

    key: str
    bytes: int
    sha256: str


def find_references(document: pydantic.BaseModel, *, path: str = "") -> list[tuple[str, Reference, str]]:
    """Find every reference in a document: its path (`source.upload`), its mark and its text."""
    references: list[tuple[str, Reference, str]] = []
    for name, field in type(document).model_fields.items():
        value = getattr(document, name)
        field_path = f"{path}{name}"
        if isinstance(value, pydantic.BaseModel):
            references += find_references(value, path=f"{field_path}.")
        elif isinstance(value, str):
            references += [(field_path, mark, value) for mark in _reference_marks(field)]
    return references


def _reference_marks(field: FieldInfo) -> list[Reference]:
    """List a field's reference marks, also those inside `… | None`."""
    inner = [mark for member in typing.get_args(field.annotation) for mark in getattr(member, "__metadata__", ())]
    return [mark for mark in (*field.metadata, *inner) if isinstance(mark, Reference)]
