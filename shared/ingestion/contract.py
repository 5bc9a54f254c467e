"""The commands and results of the ingestion role."""

from typing import Annotated, Any, Literal, Self

import pydantic
import pydantic_core

from shared import contract, ping
from shared.catalog import adoption
from shared.ingestion import lags, sources
from shared.ingestion.expectations import AnyExpectation, ColumnName, Outcome
from shared.ingestion.reading import CsvOptions, ReadingOptions

Format = sources.Format
UploadSource = sources.UploadSource
QUARANTINE = ".quarantine"
MAX_NAME_LENGTH = 63


def _check_lag(text: str) -> str:
    lags.parse(text)
    return text


class Incremental(contract.Document):
    """How to recognise the rows that are new; the column's name alone is short for it."""

    column: ColumnName = pydantic.Field(
        description="A column whose values grow, such as a time of change. Rows below its greatest value in the "
        "dataset's latest version are left out and counted, and so are rows without a value. Rows with that very value "
        "are read again: those that the latest version has are left out, the others are new. A query's database "
        "compares in its own order."
    )
    lag: (
        Annotated[int, pydantic.Field(ge=0)]
        | Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
        | Annotated[str, pydantic.Field(max_length=60), pydantic.AfterValidator(_check_lag)]
        | None
    ) = pydantic.Field(
        default=None,
        description="How far below the greatest value to read again, for rows that come late: `2 days`, `36 h`, "
        "`90 min` or `PT36H`, or a number in the column's unit (for dates days, for times seconds). With a `key`, rows "
        "that have changed replace those before.",
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _expand(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: pydantic_core.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe both forms."""
        return {"anyOf": [{"type": "string", "description": "The column alone."}, handler(core_schema)]}


class LoadDataset(ReadingOptions, contract.Command):
    """Read a table, infer its types, profile it, and store it as a new version of a dataset."""

    name: contract.Name = pydantic.Field(description="The dataset whose next version this creates.")
    source: sources.AnySource = pydantic.Field(description="Where the rows come from.")
    format: Format | None = pydantic.Field(
        default=None,
        description="The format of the bytes; when omitted, the one that the source declares, and CSV if it "
        "declares none.",
    )
    compression: sources.Compression | None = pydantic.Field(
        default=None, description="How the bytes are compressed; when omitted, as the source declares."
    )
    types: dict[str, contract.ColumnType] = pydantic.Field(
        default={}, max_length=10_000, description="Types by column name, instead of those inferred from the data."
    )
    like: contract.ModelRef | None = pydantic.Field(
        default=None,
        description="A model's version, such as `churn@3` or `churn@champion`: columns that it names get the types "
        "that they had in its training (whole numbers are inferred), unless `types` says otherwise.",
    )
    csv: CsvOptions = pydantic.Field(
        default=CsvOptions(), description='The same options as beside it: `{"csv": {"decimal": ","}}`.'
    )
    mode: Literal["replace", "append"] = pydantic.Field(
        default="replace",
        description="`replace`: the new version holds only the rows that are read; `append`: those of the latest "
        "version too.",
    )
    watermark: Incremental | None = pydantic.Field(default=None, description="Load only rows that are new.")
    key: list[ColumnName] = pydantic.Field(
        default=[],
        max_length=100,
        description="Columns that together identify a row: of several rows with the same key, one is kept. "
        "Rows with a missing value in a key column are all kept.",
    )
    keep: Literal["last", "first"] = pydantic.Field(
        default="last", description="Which row of a key to keep; appended rows come after those of the latest version."
    )
    on_schema_change: Literal["allow", "fail"] = pydantic.Field(
        default="allow", description="Whether columns may be added, disappear or change their type."
    )
    expectations: list[AnyExpectation] = pydantic.Field(
        default=[],
        max_length=100,
        description="What must hold for the new version. They are checked in this order, and rows that one of them "
        "puts into quarantine are not checked by the next.",
    )

    @property
    def reading(self) -> CsvOptions:
        """How to read the bytes: the options in `csv`, and those beside it."""
        return self.csv.model_copy(update=self.given)

    @property
    def quarantine(self) -> str:
        """The name of the dataset that holds the quarantined rows."""
        return f"{self.name}{QUARANTINE}"

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the datasets of which this load may create a version."""
        may_quarantine = any(expectation.on_failure == "quarantine" for expectation in self.expectations)
        return (self.name, self.quarantine) if may_quarantine else (self.name,)

    @pydantic.model_validator(mode="after")
    def _gives_each_option_once(self) -> Self:
        for name in self.given.keys() & self.csv.given.keys():
            if self.given[name] != self.csv.given[name]:
                raise ValueError(f"{name!r} and 'csv.{name}' differ; give one of them")
        CsvOptions(**self.csv.given | self.given)
        return self

    @pydantic.model_validator(mode="after")
    def _has_a_name_for_quarantine(self) -> Self:
        if self.quarantine in self.datasets and len(self.quarantine) > MAX_NAME_LENGTH:
            raise ValueError(
                f"{self.quarantine!r} would have {len(self.quarantine)} characters; with on_failure 'quarantine' "
                f"a dataset's name may have at most {MAX_NAME_LENGTH - len(QUARANTINE)}"
            )
        return self


class Retyped(contract.Document):
    """A column whose type has changed."""

    name: str = pydantic.Field(description="The column's name.")
    before: contract.ColumnType = pydantic.Field(description="Its type in the previous version.")
    now: contract.ColumnType = pydantic.Field(description="Its type in the new version.")


class SchemaChanges(contract.Document):
    """How a version's columns differ from those of the previous version."""

    against: int = pydantic.Field(description="The number of the previous version.")
    added: list[str] = pydantic.Field(description="Columns that the previous version did not have.")
    gone: list[str] = pydantic.Field(description="Columns that the data no longer has.")
    retyped: list[Retyped] = pydantic.Field(description="Columns whose type has changed.")


class Counts(contract.Document):
    """How many rows were read, and how many were left out for which reason."""

    read: int = pydantic.Field(
        description="Rows in the data; of a query, with those that the database left out, if it counted them in time."
    )
    not_new: int = pydantic.Field(
        description="Rows left out by the watermark: those below it, those without a value, and those that the latest "
        "version has already."
    )
    duplicates: int = pydantic.Field(
        description="Rows left out because another has the same key, those of the latest version included."
    )
    quarantined: int = pydantic.Field(description="Rows put into quarantine.")


class Watermark(contract.Document):
    """The value up to which the dataset is loaded."""

    column: str = pydantic.Field(description="The column.")
    value: int | float | str | None = pydantic.Field(
        description="Its greatest value; dates and times as ISO 8601 text, null when every value is missing."
    )
    quarantined_from: int | float | str | None = pydantic.Field(
        default=None,
        description="The lowest value of the rows in quarantine, if it is below the greatest; the next load reads from "
        "there, so that a row that was mended is not lost.",
    )


class LoadedDataset(contract.Result):
    """A dataset's new version, and what was noticed during the load."""

    dataset: contract.DatasetVersion = pydantic.Field(
        description="The version that was created, or the latest one when none was."
    )
    created: bool = pydantic.Field(
        default=True, description="Whether a version was created; false when a watermark is given and no row is new."
    )
    notes: list[str] = pydantic.Field(description="What was detected or changed, each in a sentence.")
    counts: Counts | None = pydantic.Field(default=None, description="How many rows were read and left out.")
    schema_changes: SchemaChanges | None = pydantic.Field(
        default=None, description="How the columns differ from the previous version; null when there was none."
    )
    watermark: Watermark | None = pydantic.Field(
        default=None, description="The value up to which the dataset is loaded; null for a load without a watermark."
    )
    expectations: list[Outcome] = pydantic.Field(default=[], description="The outcome of each expectation.")
    quarantine: contract.DatasetVersion | None = pydantic.Field(
        default=None, description="The version that holds the quarantined rows, if there are any."
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
