"""Reads columns of integers as text where a model has text: a batch of codes may happen to hold digits only.

docs/decisions/models.md, "Codes of digits are read as the text that a model has"
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import pyarrow as pa

from shared import contract
from shared.ml import frames, signatures

Table = TypeVar("Table", pa.Table, pa.RecordBatch)


class IntegerTexts:
    """Turns columns of integers into their plain decimal text, where the model has text, and says so in notes."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Take the columns that the model has as text."""
        self._texts = frozenset(texts)
        self._examples: dict[str, str] = {}

    @classmethod
    def of_signature(cls, signature: signatures.Signature, *, target: str | None = None) -> "IntegerTexts":
        """Take the columns of text of a model's signature, and the `target` where the model's labels are text."""
        has_text_labels = target is not None and signatures.has_text_labels(signature)
        return cls([*signatures.list_texts(signature), *([target] if target and has_text_labels else [])])

    def convert(self, table: Table) -> Table:
        """Return the table with its columns of integers as text, where the model has text; all others stay."""
        for column in frames.columns_of(table.schema):
            if column.name in self._texts and column.type == "integer":
                table = self._convert_column(table, column)
        return table

    def to_document(self) -> dict[str, str]:
        """Describe the columns that were converted in JSON."""
        return dict(self._examples)

    def add(self, document: Mapping[str, str]) -> None:
        """Add the columns that were converted in later rows, as `to_document` has described them."""
        for name, example in document.items():
            self._examples.setdefault(name, example)

    def notes(self) -> list[str]:
        """List the columns that were converted, a sentence for each."""
        return [
            f"Column {name!r} holds whole numbers, but was text in training; each was read as its text, such as "
            f"{example!r}."
            for name, example in self._examples.items()
        ]

    def _convert_column(self, table: Table, column: contract.Column) -> Table:
        position = table.schema.get_field_index(column.name)
        values = table.column(position)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        texts = values.cast(pa.string())
        if column.name not in self._examples and texts.null_count < len(texts):
            self._examples[column.name] = texts.drop_null()[0].as_py()
        return table.set_column(position, column.name, texts)
