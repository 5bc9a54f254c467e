"""What an aggregation computes of the rows of each group: its functions, and which columns they take."""

from collections.abc import Mapping
from typing import Annotated, Literal

import pydantic

from shared import column_names, contract, errors
from shared.recipe import expressions, kinds

Function = Literal[
    "count",
    "count_distinct",
    "sum",
    "mean",
    "std",
    "var",
    "min",
    "max",
    "median",
    "quantile",
    "first",
    "last",
    "mode",
]
ColumnName = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=1000)]
OF_ROWS = frozenset({"count", "sum", "mean", "std", "var", "min", "max"})
"""The functions of the rows before each row."""
_OF_NUMBERS = frozenset({"sum", "mean", "std", "var", "median", "quantile"})
_ORDERED = frozenset({"first", "last"})
_MAX_NAME_CHARACTERS = 500


class Measure(contract.Document):
    """A function of the values that a column has in a group; missing values are left out."""

    function: Function = pydantic.Field(
        description="`count` without a column counts rows, else values. `std` and `var` are those of a sample (divided "
        "by n - 1). `quantile` and `median` interpolate between the nearest two values. `mode` is the most frequent "
        "value, the least of several. Of no values `count` and `count_distinct` are 0, all else is missing."
    )
    column: ColumnName | None = pydantic.Field(default=None, description="The column; only `count` needs none.")
    name: ColumnName | None = pydantic.Field(
        default=None, description="The name of the result's column; `<column>_<function>` when left out."
    )
    quantile: float | None = pydantic.Field(
        default=None, ge=0, le=1, allow_inf_nan=False, description="Which quantile, from 0 to 1."
    )
    order: ColumnName | None = pydantic.Field(
        default=None,
        description="By which column a value is `first` or `last`; by the window's time when left out, and by the "
        "dataset's order of rows without a window. Of equal ones the dataset's order decides.",
    )
    where: expressions.Text | None = pydantic.Field(
        default=None, description="Only rows for which this condition of the expression language is true."
    )

    @property
    def output(self) -> str:
        """The name of the result's column."""
        if self.name is not None:
            return self.name
        function = f"q{100 * self.quantile:g}" if self.quantile is not None else self.function
        return function if self.column is None else f"{self.column}_{function}"

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "Measure":
        if self.column is None and self.function != "count":
            raise ValueError(f"{self.function} needs a `column`")
        if (self.quantile is None) == (self.function == "quantile"):
            raise ValueError("`quantile` is needed by the function quantile, and by it alone")
        if self.order is not None and self.function not in _ORDERED:
            raise ValueError("`order` is for the functions first and last")
        if len(self.output) > _MAX_NAME_CHARACTERS:
            raise ValueError(f"a column's name has at most {_MAX_NAME_CHARACTERS} characters; give a shorter `name`")
        return self


def find_type(
    measure: Measure, columns: Mapping[str, contract.Column], *, label: str, pointer: str
) -> contract.ColumnType:
    """Find the type of a measure's results; BadDataError when the dataset's columns don't allow it."""
    for field, name in (("column", measure.column), ("order", measure.order)):
        if name is not None and name not in columns:
            described = column_names.describe_absent(name, present=columns)
            raise errors.BadDataError(f"{label} has no {described}", pointer=f"{pointer}/{field}")
    if measure.where is not None:
        _check_condition(measure.where, columns, pointer=f"{pointer}/where")
    if measure.column is None or measure.function in ("count", "count_distinct"):
        return "integer"
    kind = columns[measure.column].type
    if measure.function not in _OF_NUMBERS:
        return kind
    if kind not in contract.NUMERIC:
        raise errors.BadDataError(
            f"{measure.function} needs numbers, and {measure.column!r} is of type {kind}; cast it, or use count, "
            "count_distinct, min, max, first, last or mode",
            pointer=f"{pointer}/column",
        )
    return "integer" if measure.function == "sum" and kind != "number" else "number"


def _check_condition(text: str, columns: Mapping[str, contract.Column], *, pointer: str) -> None:
    tree = expressions.parse(text)
    for name in expressions.columns_of(tree):
        if name not in columns:
            described = column_names.describe_absent(name, present=columns)
            raise errors.BadDataError(f"the condition needs {described}", pointer=pointer)
    try:
        kind = kinds.kind_of(tree, types={name: columns[name].type for name in expressions.columns_of(tree)})
    except ValueError as error:
        raise errors.BadDataError(str(error), pointer=pointer) from error
    if kind != "boolean":
        raise errors.BadDataError(f"the condition makes a {kind}, not true or false", pointer=pointer)
