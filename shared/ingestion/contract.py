"""What the ingestion role is asked and what it answers."""

from typing import Annotated, Literal, Self

import pydantic

from shared import contract, ping
from shared.catalog import adoption
from shared.ingestion import encodings, sources
from shared.ingestion.expectations import AnyExpectation, ColumnName, Outcome

Format = sources.Format
UploadSource = sources.UploadSource
QUARANTINE = ".quarantine"
LONGEST_NAME = 63


class CsvOptions(contract.Document):
    """How to read a CSV file; what is left out is detected."""

    delimiter: str | None = pydantic.Field(
        default=None, min_length=1, max_length=1, description="The one character between fields, such as `;`."
    )
    encoding: Annotated[str, pydantic.Field(max_length=40), pydantic.AfterValidator(encodings.known)] | None = (
        pydantic.Field(default=None, description="The text's encoding, such as `utf-8`, `latin-1` or `utf-16`.")
    )
    null_values: list[Annotated[str, pydantic.Field(max_length=100)]] = pydantic.Field(
        default=["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"],
        max_length=50,
        description="Fields that mean a missing value, after spaces at both ends are cut off.",
    )


class Incremental(contract.Document):
    """How to tell the rows that are new."""

    column: ColumnName = pydantic.Field(
        description="A column that only grows, such as a time of change. Rows at or below the greatest value that "
        "the dataset's latest version holds in it are left out, and so are rows without a value. "
        "A query leaves both out in its database, uncounted."
    )


class LoadDataset(contract.Command):
    """Read a table, find its types, profile it, and store it as a new version of a dataset."""

    name: contract.Name = pydantic.Field(description="The dataset whose next version this makes.")
    source: sources.AnySource = pydantic.Field(description="Where the rows come from.")
    format: Format | None = pydantic.Field(
        default=None, description="What the bytes are; told by the source when left out, and CSV if it can't tell."
    )
    compression: sources.Compression | None = pydantic.Field(
        default=None, description="How the bytes are packed; told by the source when left out."
    )
    types: dict[str, contract.ColumnType] = pydantic.Field(
        default={}, max_length=10_000, description="Types by column name, instead of those found in the data."
    )
    csv: CsvOptions = pydantic.Field(default=CsvOptions(), description="How to read CSV.")
    mode: Literal["replace", "append"] = pydantic.Field(
        default="replace",
        description="`replace`: the new version holds the rows that are read; `append`: the latest version's too.",
    )
    watermark: Incremental | None = pydantic.Field(default=None, description="Load only rows that are new.")
    key: list[ColumnName] = pydantic.Field(
        default=[],
        max_length=100,
        description="Columns that identify a row together: of several rows with the same key one is kept. "
        "Rows that lack a part of the key are all kept.",
    )
    keep: Literal["last", "first"] = pydantic.Field(
        default="last", description="Which row of a key to keep; rows that are appended come after those before."
    )
    on_schema_change: Literal["allow", "fail"] = pydantic.Field(
        default="allow", description="Whether columns may be added, be gone or change their type."
    )
    expectations: list[AnyExpectation] = pydantic.Field(
        default=[],
        max_length=100,
        description="What the new version must be like. They are looked at in this order, and rows that one "
        "puts into quarantine are not seen by those after it.",
    )

    @property
    def quarantine(self) -> str:
        """The dataset that takes the rows which were kept out."""
        return f"{self.name}{QUARANTINE}"

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that this may make a version of."""
        kept_out = any(one.on_failure == "quarantine" for one in self.expectations)
        return (self.name, self.quarantine) if kept_out else (self.name,)

    @pydantic.model_validator(mode="after")
    def _has_a_name_for_quarantine(self) -> Self:
        if self.quarantine in self.datasets and len(self.quarantine) > LONGEST_NAME:
            raise ValueError(
                f"{self.quarantine!r} would have {len(self.quarantine)} characters; with on_failure 'quarantine' "
                f"a dataset's name has {LONGEST_NAME - len(QUARANTINE)} at most"
            )
        return self


class Retyped(contract.Document):
    """A column whose type has changed."""

    name: str = pydantic.Field(description="The column's name.")
    before: contract.ColumnType = pydantic.Field(description="Its type in the version before.")
    now: contract.ColumnType = pydantic.Field(description="Its type in the new version.")


class SchemaChanges(contract.Document):
    """How a version's columns differ from those of the version before."""

    against: int = pydantic.Field(description="The version before.")
    added: list[str] = pydantic.Field(description="Columns that it did not have.")
    gone: list[str] = pydantic.Field(description="Columns that the data does not have any more.")
    retyped: list[Retyped] = pydantic.Field(description="Columns of another type.")


class Counts(contract.Document):
    """What became of the rows."""

    read: int = pydantic.Field(description="Rows in the data.")
    not_new: int = pydantic.Field(description="Rows left out by the watermark.")
    duplicates: int = pydantic.Field(description="Rows left out because another has the same key, older ones too.")
    quarantined: int = pydantic.Field(description="Rows put into quarantine.")


class Watermark(contract.Document):
    """Up to where the dataset is loaded now."""

    column: str = pydantic.Field(description="The column.")
    value: int | float | str | None = pydantic.Field(
        description="Its greatest value; dates and times as ISO 8601 text, null when every value is missing."
    )


class LoadedDataset(contract.Result):
    """A dataset's new version, and what was noticed on the way."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was made, or the latest one.")
    created: bool = pydantic.Field(
        default=True, description="Whether a version was made; not so when no row lies beyond the watermark."
    )
    notes: list[str] = pydantic.Field(description="What was detected or changed, each in a sentence.")
    counts: Counts | None = pydantic.Field(default=None, description="What became of the rows.")
    schema_changes: SchemaChanges | None = pydantic.Field(
        default=None, description="How the columns differ from the version before; null when there was none."
    )
    watermark: Watermark | None = pydantic.Field(default=None, description="Up to where the dataset is loaded now.")
    expectations: list[Outcome] = pydantic.Field(default=[], description="How each expectation fared.")
    quarantine: contract.DatasetVersion | None = pydantic.Field(
        default=None, description="The version that holds the rows kept out, if there are any."
    )


LOAD = contract.Kind(
    name="ingestion.load",
    command=LoadDataset,
    result=LoadedDataset,
    description="Load CSV, NDJSON, JSON or Parquet as a typed, profiled version of a dataset, or append to it.",
)
ADOPT = adoption.kind_for("ingestion.adopt", of="dataset")
PING = ping.kind_for("ingestion")
KINDS = (LOAD, ADOPT, PING)
