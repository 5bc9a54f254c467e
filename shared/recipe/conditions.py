"""Conditions: which rows of a dataset a job works on, as an expression that is true of them."""

from collections.abc import Iterable

import pydantic

from shared import column_names, contract, errors
from shared.recipe import expressions, kinds


class KeptRows(contract.Result):
    """How many rows a condition keeps."""

    expression: str = pydantic.Field(description="The condition, in the expression language of recipes.")
    rows: int = pydantic.Field(description="How many rows it is true of.")
    dataset_rows: int = pydantic.Field(description="How many rows the dataset has.")

    def describe(self) -> str:
        """Say how many rows are kept, as a clause."""
        return f"`where` keeps {self.rows:,} of {self.dataset_rows:,} rows"


def check(text: str, *, columns: Iterable[contract.Column], pointer: str) -> None:
    """Refuse a condition that reads no column or an absent one, or that is not true or false; BadDataError."""
    types = {column.name: column.type for column in columns}
    tree = expressions.parse(text)
    names = expressions.columns_of(tree)
    if not names:
        raise errors.BadDataError("the condition reads no column, so it is the same for every row", pointer=pointer)
    column_names.require(names, present=types, pointer=pointer)
    try:
        kind = kinds.kind_of(tree, types=types)
    except ValueError as error:
        raise errors.BadDataError(f"the condition doesn't fit the columns: {error}", pointer=pointer) from error
    if kind != "boolean":
        raise errors.BadDataError(
            f"a condition is true or false, but this is a {kind}; compare it with something", pointer=pointer
        )
