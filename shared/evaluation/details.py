"""What an evaluation records of a model besides its metrics: curves and tables of the rows that were scored."""

import pydantic

from shared import contract, errors
from shared.figures import curves, importances


class Explain(contract.Document):
    """What the evaluation reports of each model besides metrics; the curves that apply are always included."""

    permutation_importance: importances.PermutationImportance | None = pydantic.Field(
        default=None, description="How much each model depends on each of its columns, on the scored rows."
    )
    seed: int = pydantic.Field(default=0, ge=0, le=2**32 - 1, description="Seeds the choice of rows and the shuffling.")

    def check(self, model: contract.ModelPin) -> None:
        """Raise BadModelError where what is asked for needs a truth that the model's problem doesn't have."""
        if self.permutation_importance is not None and model.problem not in importances.PROBLEMS:
            raise errors.BadModelError(
                f"permutation_importance explains {', '.join(importances.PROBLEMS)}, but {model.label} does "
                f"{model.problem}; leave it out of `explain`",
                pointer="#/params/explain/permutation_importance",
            )


class EvaluationDetails(curves.Curves):
    """Curves and tables of the scored rows, as training draws them of held-out rows."""

    permutation_importance: importances.PermutationImportances | None = pydantic.Field(
        default=None, description="How much the model depends on each column, on the scored rows."
    )
