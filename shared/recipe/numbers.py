"""Steps that work on numbers, and the one that fills missing values."""

import itertools
import math
from typing import Annotated, ClassVar, Literal

import pydantic

from shared import errors
from shared.recipe.slots import Slot, new_number_slot
from shared.recipe.step import ColumnsStep, Scope, Seed, Takes, with_example

MAX_PRODUCTS = 10_000


class Impute(ColumnsStep):
    """Fill missing values."""

    model_config = with_example({"op": "impute", "columns": ["age"], "strategy": "median", "indicator": True})
    family: ClassVar[str] = "Missing values"
    keeps_missing: ClassVar[bool] = True

    op: Literal["impute"]
    strategy: Literal["mean", "median", "most_frequent", "constant", "knn", "iterative"] = pydantic.Field(
        default="median",
        description="What to fill with; all but `most_frequent` and `constant` are for numbers. `knn` takes the mean "
        "of the nearest rows by the chosen columns, `iterative` predicts each chosen column from the others.",
    )
    value: str | float | int | None = pydantic.Field(default=None, description="The constant, for `constant`.")
    indicator: bool = pydantic.Field(default=False, description="Add a column that says which values were missing.")
    neighbours: int = pydantic.Field(default=5, ge=1, le=1000, description="How many rows, for `knn`.")
    rounds: int = pydantic.Field(default=10, ge=1, le=100, description="The most rounds, for `iterative`.")
    seed: Seed = pydantic.Field(default=0, description="Seeds `iterative`.")

    @property
    def is_joint(self) -> bool:
        """Whether a column is filled from the values of the others."""
        return self.strategy in ("knn", "iterative")

    @property
    def fills_integers(self) -> bool:
        """Whether gaps among integers are filled with integers."""
        is_whole = isinstance(self.value, int) and not isinstance(self.value, bool)
        return self.strategy == "most_frequent" or (self.strategy == "constant" and is_whole)

    @property
    def is_fitted(self) -> bool:
        """Whether the values to fill with are learned."""
        return self.strategy != "constant"

    def find_mismatch(self, slot: Slot) -> str | None:
        """Refuse a value or a strategy that doesn't match the column's type."""
        if slot.type_group == "temporal":
            return super().find_mismatch(slot)
        if self.strategy == "most_frequent":
            return None
        if self.strategy != "constant":
            return (
                None
                if slot.type_group == "numeric"
                else f"is {slot.type_group}; use the strategy most_frequent or constant"
            )
        if self.value is None:
            return "can't be filled: the strategy constant needs `value`"
        if slot.type_group == "categorical":
            return None if isinstance(self.value, str) else f"is text, but `value` is {self.value!r}; give text"
        if isinstance(self.value, str) or not math.isfinite(self.value):
            return f"is numeric, but `value` is {self.value!r}; give a finite number"
        return None

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan the column with its type: texts stay texts, numbers numbers, and integers where gaps get integers."""
        if slot.type_group == "categorical":
            return [slot.become(type="string")]
        return [slot.become(type="integer" if slot.type == "integer" and self.fills_integers else "number")]


class Scale(ColumnsStep):
    """Scale numbers to a common range or distribution."""

    model_config = with_example({"op": "scale", "columns": "numeric", "method": "standard"})
    family: ClassVar[str] = "Numbers"
    takes: ClassVar[Takes] = "numbers"
    keeps_missing: ClassVar[bool] = True

    op: Literal["scale"]
    method: Literal["standard", "min_max", "robust", "quantile", "yeo_johnson", "box_cox"] = pydantic.Field(
        default="standard",
        description="`standard`: mean 0, variance 1; `min_max`: 0 to 1; `robust`: median 0, quartile range 1; "
        "`quantile`: by rank; `yeo_johnson` and `box_cox` (values above 0 only): the power that makes the "
        "distribution most like the normal one, then `standard`.",
    )
    quantiles: int = pydantic.Field(
        default=1000, ge=2, le=10_000, description="How many quantiles to learn, for `quantile`; at most one per row."
    )
    distribution: Literal["uniform", "normal"] = pydantic.Field(
        default="uniform", description="The distribution of the result, for `quantile`."
    )
    seed: Seed = pydantic.Field(
        default=0, description="Seeds the choice of 10,000 rows that `quantile` learns from, when there are more."
    )


class Bin(ColumnsStep):
    """Replace a value by the number of its interval; missing values must be filled before."""

    model_config = with_example({"op": "bin", "columns": ["age"], "bins": 4, "strategy": "quantile"})
    family: ClassVar[str] = "Numbers"
    fewer_by: ClassVar[str] = "give fewer `bins`, or `encode`: `ordinal`"
    takes: ClassVar[Takes] = "numbers"

    op: Literal["bin"]
    bins: int = pydantic.Field(default=5, ge=2, le=1000, description="How many intervals.")
    strategy: Literal["uniform", "quantile", "kmeans"] = pydantic.Field(
        default="quantile",
        description="Intervals of equal width, of about equally many rows, or around the means of k-means clusters.",
    )
    encode: Literal["ordinal", "one_hot"] = pydantic.Field(
        default="ordinal", description="One column with the interval's number, or one 0/1 column per interval."
    )
    seed: Seed = pydantic.Field(
        default=0, description="Seeds the choice of the 200,000 rows to learn from, when there are more."
    )

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan a column, or one for each interval."""
        return [slot.spread(self.bins)] if self.encode == "one_hot" else super().plan_one(slot)


class Log1p(ColumnsStep):
    """Take log(1 + x); values below 0 are refused."""

    model_config = with_example({"op": "log1p", "columns": ["income"]})
    family: ClassVar[str] = "Numbers"
    takes: ClassVar[Takes] = "numbers"
    keeps_missing: ClassVar[bool] = True
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["log1p"]


class Clip(ColumnsStep):
    """Replace outliers by the nearest bound."""

    model_config = with_example(
        {"op": "clip", "columns": ["income"], "method": "quantile", "low_quantile": 0.01, "high_quantile": 0.99}
    )
    family: ClassVar[str] = "Numbers"
    takes: ClassVar[Takes] = "numbers"

    op: Literal["clip"]
    method: Literal["quantile", "iqr", "fixed"] = pydantic.Field(
        default="quantile",
        description="Bounds at quantiles; at `factor` times the quartile range beyond the quartiles; or as given.",
    )
    low_quantile: float = pydantic.Field(default=0.01, ge=0, le=1, description="The lower bound, for `quantile`.")
    high_quantile: float = pydantic.Field(default=0.99, ge=0, le=1, description="The upper bound, for `quantile`.")
    factor: float = pydantic.Field(default=1.5, ge=0, le=1000, description="How many quartile ranges, for `iqr`.")
    least: Annotated[float, pydantic.Field(allow_inf_nan=False)] | None = pydantic.Field(
        default=None, description="The lower bound, for `fixed`."
    )
    most: Annotated[float, pydantic.Field(allow_inf_nan=False)] | None = pydantic.Field(
        default=None, description="The upper bound, for `fixed`."
    )

    @property
    def is_fitted(self) -> bool:
        """Whether the bounds are learned."""
        return self.method != "fixed"

    @pydantic.model_validator(mode="after")
    def _has_bounds_in_order(self) -> "Clip":
        if self.method == "fixed" and self.least is None and self.most is None:
            raise ValueError("the method fixed needs `least`, `most` or both")
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        if least > most or self.low_quantile > self.high_quantile:
            raise ValueError("the lower bound is above the upper one")
        return self


class Polynomial(ColumnsStep):
    """Add powers and products of the chosen columns, named like `a^2` and `a b`; missing values must be filled."""

    model_config = with_example(
        {"op": "polynomial", "columns": ["width", "height"], "degree": 2, "interaction_only": True}
    )
    family: ClassVar[str] = "Numbers"
    fewer_by: ClassVar[str] = "choose fewer columns, a lower `degree`, or `interaction_only`"
    takes: ClassVar[Takes] = "numbers"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["polynomial"]
    degree: int = pydantic.Field(default=2, ge=2, le=5, description="The highest sum of powers.")
    interaction_only: bool = pydantic.Field(default=False, description="Leave out powers of a single column.")

    @property
    def is_joint(self) -> bool:
        """Whether the step looks at several columns at once."""
        return True

    def find_mismatch(self, slot: Slot) -> str | None:
        """Refuse columns whose number depends on the data."""
        if slot.type_group == "numeric" and (slot.stem or not slot.certain):
            return "is of unknown width, which depends on the data; polynomial needs columns that are certain to exist"
        return super().find_mismatch(slot)

    def plan_jointly(self, slots: list[Slot]) -> list[Slot]:
        """Plan a column for each power and product; LimitExceededError when there would be too many."""
        columns, powers = len(slots), range(1, self.degree + 1)
        count = sum(math.comb(columns if self.interaction_only else columns + power - 1, power) for power in powers)
        if count > MAX_PRODUCTS:
            raise errors.LimitExceededError(
                f"it would make {count:,} columns of {columns}; at most {MAX_PRODUCTS:,} are allowed: {self.fewer_by}"
            )
        kept = {slot.name: slot.become(type="number") for slot in slots}
        names = self.name_products([slot.name for slot in slots])
        return [kept.get(name) or new_number_slot(name, frozenset()) for name in names]

    def name_products(self, names: list[str]) -> list[str]:
        """Name the powers and products of these columns as scikit-learn does, in its order."""
        combine = itertools.combinations if self.interaction_only else itertools.combinations_with_replacement
        products = (factors for degree in range(1, self.degree + 1) for factors in combine(names, degree))
        return [
            " ".join(_name_power(name, len([*repeats])) for name, repeats in itertools.groupby(factors))
            for factors in products
        ]


def _name_power(name: str, exponent: int) -> str:
    return name if exponent == 1 else f"{name}^{exponent}"
