"""What the ingestion role is asked and what it answers."""

from typing import Annotated, Literal

import pydantic

from shared import contract

Format = Literal["csv", "ndjson", "json", "parquet"]


class UploadSource(contract.Document):
    """Bytes that were uploaded to the door before the job was made."""

    type: Literal["upload"] = pydantic.Field(description="The kind of source.")
    upload: Annotated[str, contract.Reference("upload")] = pydantic.Field(
        pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$", description="The upload's id, as the door gave it."
    )


class CsvOptions(contract.Document):
    """How to read a CSV file; what is left out is detected."""

    delimiter: str | None = pydantic.Field(
        default=None, min_length=1, max_length=1, description="The one character between fields, such as `;`."
    )
    encoding: str | None = pydantic.Field(
        default=None, max_length=40, description="The text's encoding, such as `utf-8`, `latin-1` or `utf-16`."
    )
    null_values: list[Annotated[str, pydantic.Field(max_length=100)]] = pydantic.Field(
        default=["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"],
        max_length=50,
        description="Fields that mean a missing value, after spaces at both ends are cut off.",
    )


class LoadDataset(contract.Command):
    """Read a table, find its types, profile it, and store it as a new version of a dataset."""

    name: contract.Name = pydantic.Field(description="The dataset whose next version this makes.")
    source: UploadSource = pydantic.Field(description="Where the bytes come from.")
    format: Format = pydantic.Field(description="What the bytes are.")
    compression: Literal["none", "gzip"] = pydantic.Field(default="none", description="How the bytes are packed.")
    types: dict[str, contract.ColumnType] = pydantic.Field(
        default={}, max_length=10_000, description="Types by column name, instead of those found in the data."
    )
    csv: CsvOptions = pydantic.Field(default=CsvOptions(), description="How to read CSV.")


class LoadedDataset(contract.Result):
    """A dataset's new version, and what was noticed on the way."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was made.")
    notes: list[str] = pydantic.Field(description="What was detected or changed, each in a sentence.")


KINDS = (
    contract.Kind(
        name="ingestion.load",
        command=LoadDataset,
        result=LoadedDataset,
        description="Load uploaded CSV, NDJSON, JSON or Parquet as a new, typed, profiled version of a dataset.",
    ),
)
