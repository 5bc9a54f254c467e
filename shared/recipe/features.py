"""Steps that keep the columns that tell most, or put many into few."""

from typing import Annotated, ClassVar, Literal

import pydantic

from shared.recipe.slots import Slot, number
from shared.recipe.step import ColumnName, ColumnsStep, Seed, Takes, example


class SelectFeatures(ColumnsStep):
    """Keep those of the chosen columns that tell most; all others stay.

    Missing values must be filled before, but for `variance`.
    """

    model_config = example({"op": "select_features", "columns": "all", "method": "mutual_information", "keep": 10})
    family: ClassVar[str] = "Fewer columns"
    takes: ClassVar[Takes] = "numbers"

    op: Literal["select_features"]
    method: Literal["variance", "mutual_information", "model"] = pydantic.Field(
        description="`variance`: those that vary by more than `threshold`; `mutual_information`: the `keep` that tell "
        "most of the target one by one; `model`: the `keep` that 100 extremely randomized trees use most."
    )
    threshold: float = pydantic.Field(default=0.0, ge=0, description="The variance to exceed, for `variance`.")
    keep: int = pydantic.Field(default=10, ge=1, le=10_000, description="How many to keep, for the other methods.")
    seed: Seed = pydantic.Field(default=0, description="Seeds the noise and the trees.")

    @property
    def needs_target(self) -> bool:
        """Whether the step learns from the target too."""
        return self.method != "variance"

    @property
    def is_joint(self) -> bool:
        """Whether the step looks at several columns at once."""
        return True

    def of_several(self, chosen: list[Slot]) -> list[Slot]:
        """Say that any of the columns may be left out."""
        return [slot.become(type="number", sure=False) for slot in chosen]


class Projection(ColumnsStep):
    """What the steps that put many columns into few have in common."""

    usual_stem: ClassVar[str]
    """What the names of the new columns begin with, as scikit-learn has it."""
    prefix: ColumnName | None = pydantic.Field(
        default=None, description="What the new columns' names begin with; scikit-learn's name of it when left out."
    )
    seed: Seed = pydantic.Field(default=0, description="Seeds the randomized solvers.")
    components: int | float

    @property
    def is_joint(self) -> bool:
        """Whether the step looks at several columns at once."""
        return True

    @property
    def stem(self) -> str:
        """What the names of the new columns begin with."""
        return self.prefix or self.usual_stem

    def of_several(self, chosen: list[Slot]) -> list[Slot]:
        """Name the new columns; one that stands for them all where the data gives their number."""
        origins = frozenset({self.stem}).union(*(slot.origins | {slot.name} for slot in chosen))
        if isinstance(self.components, int):
            return [number(f"{self.stem}{place}", origins) for place in range(self.components)]
        widest = sum(slot.width for slot in chosen)
        return [Slot(self.stem, "number", "numeric", origins, stem=self.stem, width=widest)]


class Pca(Projection):
    """Put the chosen columns into their principal components, as `pca<n>`; missing values must be filled."""

    model_config = example({"op": "pca", "columns": "numeric", "components": 2, "prefix": "size"})
    family: ClassVar[str] = "Fewer columns"
    takes: ClassVar[Takes] = "numbers"
    usual_stem: ClassVar[str] = "pca"

    op: Literal["pca"]
    components: Annotated[int, pydantic.Field(ge=1, le=1000)] | Annotated[float, pydantic.Field(gt=0, lt=1)] = (
        pydantic.Field(description="How many, or the share of the variance that they are to explain.")
    )
    whiten: bool = pydantic.Field(default=False, description="Give each component the variance 1.")


class Svd(Projection):
    """Put the chosen columns, as of `tfidf`, into few by a singular value decomposition, as `truncatedsvd<n>`."""

    model_config = example({"op": "svd", "columns": ["review"], "components": 20})
    family: ClassVar[str] = "Fewer columns"
    takes: ClassVar[Takes] = "numbers"
    usual_stem: ClassVar[str] = "truncatedsvd"

    op: Literal["svd"]
    components: int = pydantic.Field(ge=1, le=1000, description="How many; fewer than there are columns.")
