"""The search space: the values or the range of each parameter, and the estimators that take part."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from shared import contract
from shared.training.estimators import checks
from shared.training.estimators.document import Estimator, Scalar

MAX_VALUES = 100
MAX_DIMENSIONS = 20
Value = Scalar | Annotated[list[Scalar], pydantic.Field(max_length=MAX_VALUES)]
ParameterName = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=100)]
SPACE = (
    "Parameters that are tried, each with `values`, a range (`low`, `high` or `int_low`, `int_high`), or a list, which "
    "is short for `values`: `[0.1, 1, 10]`. A parameter that is itself a list has lists in its list: `[[50], [9, 5]]`. "
    "What is neither a list nor an object is the only value."
)


class Values(contract.Document):
    """A parameter with a list of values."""

    values: list[Value] = pydantic.Field(min_length=1, max_length=MAX_VALUES, description="The values, each once.")

    @pydantic.model_validator(mode="after")
    def _differ(self) -> "Values":
        _require_different(self.values)
        return self

    def values_to_check(self) -> list[Value]:
        """Return the values to check against the estimator's limits, in place of the whole range."""
        return self.values


class Range(contract.Document):
    """A parameter with a range of numbers."""

    low: float = pydantic.Field(description="The least value.")
    high: float = pydantic.Field(description="The greatest value.")
    log: bool = pydantic.Field(default=False, description="Whether values are drawn on a logarithmic scale.")

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        _require_range(self.low, self.high, log=self.log)
        return self

    def values_to_check(self) -> list[Value]:
        """Return the values to check against the estimator's limits, in place of the whole range."""
        return [float(self.low), float(self.high), self.low + (self.high - self.low) / 2]


class IntRange(contract.Document):
    """A parameter with a range of whole numbers."""

    int_low: int = pydantic.Field(description="The least value.")
    int_high: int = pydantic.Field(description="The greatest value, inclusive.")
    log: bool = pydantic.Field(default=False, description="Whether values are drawn on a logarithmic scale.")

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> "IntRange":
        _require_range(self.int_low, self.int_high, log=self.log)
        return self

    def values_to_check(self) -> list[Value]:
        """Return the values to check against the estimator's limits, in place of the whole range."""
        return [self.int_low, self.int_high]


def _require_different(values: list[Value]) -> None:
    # 1 and 1.0 mean different things to scikit-learn, as do 1 and true; their texts differ.
    texts = [repr(value) for value in values]
    repeated = next((text for text in texts if texts.count(text) > 1), None)
    if repeated is not None:
        raise ValueError(f"a value is given twice, {repeated[:100]}; give each once")


def _require_range(low: float, high: float, *, log: bool) -> None:
    if not all(math.isfinite(bound) and abs(bound) < 2**63 for bound in (low, high)):
        raise ValueError(f"the bounds are {low} and {high}; use numbers between -2^63 and 2^63")
    if not low < high:
        raise ValueError(f"the range goes from {low} to {high}; the first must be less than the second")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range can't begin at {low}; use a number above 0")


def _from_list(values: list[Value]) -> Values:
    _require_different(values)
    return Values(values=values)


def _from_value(value: Scalar) -> Values:
    return Values(values=[value])


def _dimension_kind(dimension: Any) -> str:
    """Return which kind of dimension is meant, by its form and its fields, so that errors are about that kind only."""
    if isinstance(dimension, list):
        return "list"
    if dimension is None or isinstance(dimension, bool | int | float | str):
        return "value"
    names = dimension if isinstance(dimension, Mapping) else getattr(dimension, "__dict__", {})
    if "values" in names:
        return "values"
    return "int_low" if {"int_low", "int_high"} & set(names) else "low"


def _read_as(form: Any) -> pydantic.GetPydanticSchema:
    """Let a member of a union be read in another form, which a validator makes into the member's type."""
    return pydantic.GetPydanticSchema(lambda _, handler: handler.generate_schema(form))


# docs/decisions/search.md, "A list in a space means choices, always".
_List = Annotated[list[Value], pydantic.Field(min_length=1, max_length=MAX_VALUES), pydantic.AfterValidator(_from_list)]
_Plain = Annotated[Scalar, pydantic.AfterValidator(_from_value)]
Dimension = Annotated[
    Annotated[Values, pydantic.Tag("values")]
    | Annotated[Range, pydantic.Tag("low")]
    | Annotated[IntRange, pydantic.Tag("int_low")]
    | Annotated[Values, _read_as(_List), pydantic.Tag("list")]
    | Annotated[Values, _read_as(_Plain), pydantic.Tag("value")],
    pydantic.Discriminator(_dimension_kind),
]
Space = Annotated[dict[ParameterName, Dimension], pydantic.Field(max_length=MAX_DIMENSIONS)]


class Candidate(Estimator):
    """An estimator that takes part in a search: its fixed parameters, and those that are tried."""

    space: Space = pydantic.Field(default={}, description=SPACE)

    @pydantic.model_validator(mode="after")
    def _has_a_valid_space(self) -> "Candidate":
        twice = sorted(set(self.params) & set(self.space))
        if twice:
            raise ValueError(f"{self.name}: {twice[0]!r} is given in `params` and in `space`; leave one out")
        for parameter, dimension in self.space.items():
            for value in dimension.values_to_check():
                checks.check(self.name, {parameter: value})
        return self

    @property
    def fixed(self) -> dict[str, Any]:
        """The parameters that are the same in every trial: those in `params`, and those of one value in the space."""
        single = {
            name: dimension.values[0]
            for name, dimension in self.space.items()
            if isinstance(dimension, Values) and len(dimension.values) == 1
        }
        return {**self.params, **single}

    def to_estimator(self, params: dict[str, Any]) -> Estimator:
        """Return the estimator with all parameters of one trial."""
        document = self.model_dump(exclude={"space", "params"})
        return Estimator.model_validate({**document, "params": params})
