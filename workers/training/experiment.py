"""What is to be learned from which rows."""

import dataclasses

from shared import contract
from shared.recipe.language import Recipe
from shared.training import columns
from shared.training.estimators.document import Estimator
from shared.training.setup import Setup


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One estimator, and what it is to learn from columns that are there.

    A feature set brings the recipe, where the setup has none; without either one is inferred from the data.
    """

    setup: Setup
    columns: list[contract.Column]
    estimator: Estimator
    recipe: Recipe | None = None

    @property
    def features(self) -> list[contract.Column]:
        """The columns that may be learned from."""
        return columns.select_features(
            self.columns, excluded=[*self.setup.target_names, self.setup.sample_weight, self.setup.group]
        )

    @property
    def target_column(self) -> contract.Column | None:
        """The single column that holds the truth, if there is one."""
        return self.column(self.setup.target, field="target") if self.setup.target else None

    def column(self, name: str, *, field: str) -> contract.Column:
        """Give a column that a field names; BadDataError when there is none of that name."""
        return columns.find_column(name, field=field, columns=self.columns, pointer=f"#/params/{field}")
