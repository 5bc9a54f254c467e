"""What a client says of a graph: a deployment that answers by other deployments instead of by versions of its own.

docs/decisions/serving.md, "A graph names deployments, and asks them as a client would".
"""

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from shared import contract

MAX_MEMBERS = 20
MAX_CASES = 1000
Kind = Literal["sequence", "switch", "ensemble"]
KINDS: tuple[Kind, ...] = ("sequence", "switch", "ensemble")
OWN_FIELDS = ("sticky_key", "fallback", "canary", "experiment", "shadow", "lookup", "log")
"""What a deployment of versions may have and a graph may not: its members have their own."""

_Text = Annotated[str, pydantic.StringConstraints(max_length=1000)]
_Weight = Annotated[float, pydantic.Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class Sequence(contract.Document):
    """Deployments that answer one after the other, each with what those before it predicted."""

    steps: list[contract.Name] = pydantic.Field(
        min_length=2,
        max_length=MAX_MEMBERS,
        description="The deployments, in order. What a step predicts becomes columns of the rows that later steps get, "
        "each called `<step>_<column>`, such as `entities_prediction`.",
        examples=[["tokens", "entities", "sentiment"]],
    )
    answer: Literal["last", "all"] = pydantic.Field(
        default="last",
        description="What is answered: the columns of the last step, or also those of the steps before it, called "
        "`<step>_<column>`.",
    )

    @property
    def names(self) -> list[str]:
        """The deployments that it names, each once."""
        return self.steps

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        _require_once(self.steps, of="step")
        return self


class Switch(contract.Document):
    """Deployments of which each row is answered by the one of its value in a column."""

    column: str = pydantic.Field(
        min_length=1, max_length=1000, description="The column whose value decides.", examples=["region"]
    )
    cases: dict[_Text, contract.Name] = pydantic.Field(
        min_length=1,
        max_length=MAX_CASES,
        description="The deployment for each value, written as text: `1` is the number 1 too, `true` the boolean, and "
        "the empty text a missing value.",
        examples=[{"eu": "pricing-eu", "us": "pricing-us"}],
    )
    default: contract.Name | None = pydantic.Field(
        default=None, description="The deployment of all other values; without it a row that has one is refused."
    )

    @property
    def names(self) -> list[str]:
        """The deployments that it names, each once."""
        named = [*self.cases.values(), *([] if self.default is None else [self.default])]
        return list(dict.fromkeys(named))


class Ensemble(contract.Document):
    """Deployments that all answer, and whose answers become one; one that fails is left out and named."""

    members: list[contract.Name] = pydantic.Field(
        min_length=2, max_length=MAX_MEMBERS, description="The deployments.", examples=[["linear", "forest", "boosted"]]
    )
    combine: Literal["mean", "vote"] = pydantic.Field(
        description="`mean` averages numbers, and of labels the probabilities, of which the greatest then says the "
        "label; `vote` takes the label that most members say. What is equal is decided by the order of the labels."
    )
    weights: list[_Weight] | None = pydantic.Field(
        default=None, description="How much each member counts, in the order of `members`; equally when left out."
    )
    min_members: int = pydantic.Field(
        default=1, ge=1, description="How many members must answer; with fewer the request is answered with 503."
    )

    @property
    def names(self) -> list[str]:
        """The deployments that it names, each once."""
        return self.members

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        _require_once(self.members, of="member")
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ValueError(
                f"there are {len(self.weights)} `weights` for {len(self.members)} members; send one for each"
            )
        if self.min_members > len(self.members):
            raise ValueError(f"`min_members` is {self.min_members}, and there are {len(self.members)} members")
        return self


Graph = Sequence | Switch | Ensemble
_DOCUMENTS: Mapping[str, type[Graph]] = {"sequence": Sequence, "switch": Switch, "ensemble": Ensemble}


def to_state(kind: Kind, graph: Graph) -> dict[str, Any]:
    """Write a graph as the member `graph` of a deployment's state."""
    return {"kind": kind, **graph.model_dump(mode="json")}


def read_state(state: Mapping[str, Any]) -> Graph | None:
    """Read the graph of a deployment's state; None where it has versions of its own."""
    graph = state.get("graph")
    if graph is None:
        return None
    return _DOCUMENTS[graph["kind"]].model_validate({name: value for name, value in graph.items() if name != "kind"})


def name_column(step: str, column: str) -> str:
    """Name a column that a step of a sequence predicts, as later steps get it."""
    return f"{step}_{column}"


def _require_once(names: list[str], *, of: str) -> None:
    twice = next((name for name, group in itertools.groupby(sorted(names)) if len(list(group)) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is a {of} twice; name each deployment once")
