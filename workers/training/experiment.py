"""An experiment: what to learn, from which columns, with which estimator."""

import dataclasses

from shared import contract
from shared.ml import kept_rows
from shared.recipe.language import Recipe
from shared.training import columns
from shared.training.estimators.document import Estimator
from shared.training.setup import Setup


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One estimator, the setup of its training, and the columns of the data.

    The recipe is the setup's or the feature set's; when there is none, one is inferred from the data.
    """

    setup: Setup
    columns: list[contract.Column]
    estimator: Estimator
    recipe: Recipe | None = None
    value: kept_rows.Value | None = None
    """Only rows that have this value in the setup's column `per` are learned from; None: all rows."""

    @property
    def choice(self) -> kept_rows.Choice:
        """Which rows of the dataset are learned from, as far as their targets are known."""
        column = None if self.value is None else self.setup.per
        return kept_rows.Choice(where=self.setup.where, column=column, value=self.value)

    @property
    def features(self) -> list[contract.Column]:
        """The columns that may be learned from."""
        return columns.select_features(
            self.columns, excluded=[*self.setup.target_names, self.setup.sample_weight, self.setup.group]
        )

    @property
    def target_column(self) -> contract.Column | None:
        """The single column that holds the true values, if there is one."""
        return self.find_column(self.setup.target, field="target") if self.setup.target else None

    def find_column(self, name: str, *, field: str) -> contract.Column:
        """Find the column that a field names; BadDataError when there is none of that name."""
        present = columns.by_name(self.columns)
        return columns.find_column(name, field=field, columns=present, pointer=f"#/params/{field}")
