"""How large a table may be, measured on what is really decoded from the file."""

import dataclasses

from shared import errors

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE


@dataclasses.dataclass(frozen=True)
class Limits:
    """The operator's limits on one load; exceeding any of them ends it with LimitExceededError."""

    decompressed_bytes: int = 20 * GIBIBYTE
    """Bytes of the decompressed table (for Parquet: of its decoded values)."""
    compression_ratio: int = 200
    """Unpacked bytes for each packed byte, once there are more than `ratio_free_bytes`. Gzip reaches about 1030."""
    ratio_free_bytes: int = 10 * MEBIBYTE
    """Unpacked bytes up to which any ratio is allowed, since small repetitive files are common and harmless."""
    rows: int = 1_000_000_000
    """Rows of the table."""
    columns: int = 10_000
    """Columns of the table."""
    cells: int = 5_000_000_000
    """Rows times columns."""
    field_bytes: int = MEBIBYTE
    """Bytes of one value as text."""
    row_bytes: int = 64 * MEBIBYTE
    """Bytes of the values of one row of a Parquet file."""
    name_characters: int = 500
    """Characters of a column's name."""
    document_characters: int = 8 * MEBIBYTE
    """Characters of a JSON document of the form `{"column": [...]}`, which has to be read in one piece."""

    def check_unpacked(self, unpacked_bytes: int, *, packed_bytes: int) -> None:
        """Refuse an unpacked size, or its ratio to the packed size, beyond the limits."""
        self.check_decoded(unpacked_bytes)
        if unpacked_bytes > self.ratio_free_bytes and unpacked_bytes > self.compression_ratio * max(packed_bytes, 1):
            raise errors.LimitExceededError(
                f"The first {packed_bytes:,} bytes of the gzip file unpack to {unpacked_bytes:,} bytes or more; "
                f"at most {self.compression_ratio} bytes for each packed byte are allowed."
            )

    def check_decoded(self, decoded_bytes: int) -> None:
        """Refuse more bytes of decoded data than allowed."""
        if decoded_bytes > self.decompressed_bytes:
            raise errors.LimitExceededError(
                f"The data unpacks to more than {self.decompressed_bytes:,} bytes, which is the limit."
            )

    def check_columns(self, columns: int) -> None:
        """Refuse more columns than allowed."""
        if columns > self.columns:
            raise errors.LimitExceededError(f"The table has {columns:,} columns; at most {self.columns:,} are allowed.")

    def check_shape(self, rows: int, *, columns: int) -> None:
        """Refuse more rows, columns or cells than allowed."""
        self.check_columns(columns)
        if rows > self.rows:
            raise errors.LimitExceededError(
                f"The table has {rows:,} rows or more; at most {self.rows:,} rows are allowed."
            )
        if rows * columns > self.cells:
            raise errors.LimitExceededError(
                f"The table has {rows:,} rows or more of {columns:,} columns, which is {rows * columns:,} cells; "
                f"at most {self.cells:,} cells are allowed."
            )

    def check_row(self, row_bytes: int, *, row: int) -> None:
        """Refuse a row that is larger than allowed."""
        if row_bytes > self.row_bytes:
            raise errors.LimitExceededError(
                f"Row {row:,} has {row_bytes:,} bytes; at most {self.row_bytes:,} are allowed."
            )

    def check_field(self, field_bytes: int, *, column: str, row: int) -> None:
        """Refuse a value that is longer than allowed."""
        if field_bytes > self.field_bytes:
            raise errors.LimitExceededError(
                f"Row {row:,}, column {column!r}: the value is {field_bytes:,} bytes long; "
                f"at most {self.field_bytes:,} are allowed."
            )
