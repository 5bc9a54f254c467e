"""Steps that keep the most informative columns, or reduce many columns to few."""

from typing import Annotated, ClassVar, Literal

import pydantic

from shared.recipe.slots import Slot, names_of, new_number_slot
from shared.recipe.step import ColumnName, ColumnsStep, Seed, Takes, with_example


class SelectFeatures(ColumnsStep):
    """Keep the most informative of the chosen columns; the columns that were not chosen stay.

    Missing values must be filled before, except for `variance`.
    """

    model_config = with_example({"op": "select_features", "columns": "all", "method": "mutual_information", "keep": 10})
    family: ClassVar[str] = "Fewer columns"
    takes: ClassVar[Takes] = "numbers"

    op: Literal["select_features"]
    method: Literal["variance", "mutual_information", "model"] = pydantic.Field(
        description="`variance`: the columns whose variance is above `threshold`; `mutual_information`: the `keep` "
        "columns that each share most information with the target; `model`: the `keep` columns that are most important "
        "to 100 extremely randomized trees."
    )
    threshold: float = pydantic.Field(default=0.0, ge=0, description="The variance to exceed, for `variance`.")
    keep: int = pydantic.Field(default=10, ge=1, le=10_000, description="How many to keep, for the other methods.")
    seed: Seed = pydantic.Field(
        default=0, description="Seeds the noise that `mutual_information` adds, and the trees of `model`."
    )

    @property
    def needs_target(self) -> bool:
        """Whether the step learns from the target too."""
        return self.method != "variance"

    @property
    def is_joint(self) -> bool:
        """Whether the step looks at several columns at once."""
        return True

    def plan_jointly(self, slots: list[Slot]) -> list[Slot]:
        """Plan the same columns, any of which may be left out."""
        return [slot.become(type="number", certain=False) for slot in slots]


class Projection(ColumnsStep):
    """What the steps that reduce many columns to few have in common."""

    default_stem: ClassVar[str]
    """What scikit-learn lets the names of the new columns begin with."""
    prefix: ColumnName | None = pydantic.Field(
        default=None, description="What the new columns' names begin with; when left out, what scikit-learn chooses."
    )
    seed: Seed = pydantic.Field(default=0, description="Seeds the randomized solvers.")
    components: int | float

    @property
    def is_joint(self) -> bool:
        """Whether the step looks at several columns at once."""
        return True

    @property
    def stem(self) -> str:
        """The text that the names of the new columns begin with."""
        return self.prefix or self.default_stem

    def plan_jointly(self, slots: list[Slot]) -> list[Slot]:
        """Plan the new columns; they are one family where their number depends on the data."""
        origins = names_of(slots) | {self.stem}
        if isinstance(self.components, int):
            return [new_number_slot(f"{self.stem}{number}", origins) for number in range(self.components)]
        max_width = sum(slot.width for slot in slots)
        return [Slot(self.stem, "number", "numeric", origins, stem=self.stem, width=max_width)]


class Pca(Projection):
    """Replace the chosen columns by their principal components, as `pca<n>`; missing values must be filled."""

    model_config = with_example({"op": "pca", "columns": "numeric", "components": 2, "prefix": "size"})
    family: ClassVar[str] = "Fewer columns"
    fewer_by: ClassVar[str] = "give fewer `components`"
    takes: ClassVar[Takes] = "numbers"
    default_stem: ClassVar[str] = "pca"

    op: Literal["pca"]
    components: Annotated[int, pydantic.Field(ge=1, le=1000)] | Annotated[float, pydantic.Field(gt=0, lt=1)] = (
        pydantic.Field(description="How many, or the share of the variance that they must explain.")
    )
    whiten: bool = pydantic.Field(default=False, description="Scale each component to variance 1.")


class Svd(Projection):
    """Reduce the chosen columns, such as those of `tfidf`, by a singular value decomposition, as `truncatedsvd<n>`."""

    model_config = with_example({"op": "svd", "columns": ["review"], "components": 20})
    family: ClassVar[str] = "Fewer columns"
    fewer_by: ClassVar[str] = "give fewer `components`"
    takes: ClassVar[Takes] = "numbers"
    default_stem: ClassVar[str] = "truncatedsvd"

    op: Literal["svd"]
    components: int = pydantic.Field(ge=1, le=1000, description="How many; fewer than there are columns.")
