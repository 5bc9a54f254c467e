"""The fields of the command `ingestion.load` that loading a table uses."""

from typing import Protocol

from shared import contract
from shared.ingestion.contract import Format, Incremental
from shared.ingestion.expectations import AnyExpectation
from shared.ingestion.reading import CsvOptions


class Options(Protocol):
    """How to read a table."""

    @property
    def format(self) -> Format | None:
        """The format of the bytes; None stands for CSV."""

    @property
    def compression(self) -> str | None:
        """How the bytes are compressed: `none` or `gzip`; None stands for `none`."""

    @property
    def types(self) -> dict[str, contract.ColumnType]:
        """Types by column name that replace the inferred ones."""

    @property
    def reading(self) -> CsvOptions:
        """How to read text."""

    @property
    def key(self) -> list[str]:
        """Columns that identify a row."""

    @property
    def expectations(self) -> list[AnyExpectation]:
        """What must hold for the rows."""

    @property
    def watermark(self) -> Incremental | None:
        """Load only what is new."""


def list_used_columns(options: Options) -> set[str]:
    """List the columns that the options name, in whatever role."""
    expected = [name for expectation in options.expectations for name in expectation.columns]
    watermark = [options.watermark.column] if options.watermark else []
    return {*options.types, *options.key, *watermark, *expected, *(options.reading.columns or ())}
