"""How a request names an estimator, its parameters and, where it combines others, its members."""

from typing import Annotated, Any

import pydantic

from shared import contract
from shared.training.estimators import allow_list, checks
from shared.training.estimators.spec import MAX_LIST_LENGTH

Text = Annotated[str, pydantic.StringConstraints(max_length=1000)]
Scalar = bool | int | float | Text | None
ParameterValue = (
    Scalar
    | Annotated[list[Scalar], pydantic.Field(max_length=MAX_LIST_LENGTH)]
    | Annotated[dict[Text, float | int], pydantic.Field(max_length=MAX_LIST_LENGTH)]
)


def _list_names(schema: dict[str, Any]) -> None:
    """List the estimators in a schema; only when the schema is requested, because installed packages may add some."""
    schema["enum"] = sorted(allow_list.specs())


class Member(contract.Document):
    """A scikit-learn estimator from the allow-list, with its parameters."""

    name: str = pydantic.Field(
        max_length=100,
        description="The estimator's class name in scikit-learn.",
        json_schema_extra=_list_names,
        examples=["LogisticRegression"],
    )
    params: dict[Text, ParameterValue] = pydantic.Field(
        default={}, max_length=100, description="Its constructor's parameters, as scikit-learn documents them."
    )

    @pydantic.model_validator(mode="after")
    def _is_allowed(self) -> "Member":
        checks.check(self.name, self.params)
        return self


class Estimator(Member):
    """An estimator; one that votes or stacks combines others."""

    estimators: list[Member] | None = pydantic.Field(
        default=None, min_length=2, max_length=10, description="The members of a Voting… or Stacking… estimator."
    )
    final_estimator: Member | None = pydantic.Field(
        default=None, description="What a Stacking… estimator fits on its members' predictions."
    )

    @pydantic.model_validator(mode="after")
    def _has_the_members_it_needs(self) -> "Estimator":
        kind = allow_list.specs()[self.name].members
        if kind is None and (self.estimators or self.final_estimator):
            raise ValueError(f"{self.name} doesn't combine other estimators; leave `estimators` out")
        if kind is not None and not self.estimators:
            raise ValueError(f"{self.name} combines other estimators; give `estimators`, two or more")
        if kind != "stacking" and self.final_estimator:
            raise ValueError(f"{self.name} has no `final_estimator`; only Stacking… estimators do")
        if any(allow_list.specs()[member.name].members for member in self.all_members):
            raise ValueError(f"{self.name}: its members can't combine other estimators themselves")
        return self

    @property
    def all_members(self) -> list[Member]:
        """The members, and the final estimator if there is one."""
        return [*(self.estimators or []), *([self.final_estimator] if self.final_estimator else [])]
