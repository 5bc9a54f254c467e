"""What a client says of a deployment: which versions of models answer under one name, and with which shares."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from shared import contract
from shared.prediction import graphs
from shared.prediction.canaries.document import Canary
from shared.prediction.experiments.document import Experiment
from shared.prediction.logs.document import PredictionLog
from shared.prediction.lookups import Lookup
from shared.prediction.shadows.document import MAX_SHADOWS, Shadow

MAX_ROUTES = 20

ModelRef = Annotated[
    str,
    pydantic.StringConstraints(pattern=contract.REFERENCE_PATTERN, max_length=127),
    pydantic.Field(
        description="A model's version: `name@3`, or `name@alias`, which follows the alias when it is moved. "
        "`name@latest` is the version that is the latest at this moment.",
        examples=["churn@champion"],
    ),
]


class Route(contract.Document):
    """A version of a model, and its share of the traffic."""

    model: ModelRef
    # PostgreSQL keeps no sign of 0, and the ledger's hash is of what is kept.
    weight: Annotated[float, pydantic.AfterValidator(lambda weight: weight + 0.0)] = pydantic.Field(
        default=100,
        ge=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="Its weight; a route's share is its weight divided by the sum of all.",
    )


class Deployment(contract.Document):
    """Versions of models that answer under one name, or a graph of other deployments.

    It has exactly one of `routes`, `sequence`, `switch` and `ensemble`.
    """

    routes: list[Route] = pydantic.Field(
        default_factory=list,
        min_length=1,
        max_length=MAX_ROUTES,
        description="The versions that answer, and their shares.",
    )
    sequence: graphs.Sequence | None = pydantic.Field(
        default=None, description="Deployments that answer one after the other."
    )
    switch: graphs.Switch | None = pydantic.Field(
        default=None, description="Deployments of which a column's value chooses the one that answers."
    )
    ensemble: graphs.Ensemble | None = pydantic.Field(
        default=None, description="Deployments whose answers become one, also while some of them fail."
    )
    sticky_key: str | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="The column whose value decides which route answers: equal values always get the same one, and a "
        "change of the weights moves only as many as it must. Without it each row is sent by chance.",
    )
    fallback: ModelRef | None = pydantic.Field(
        default=None, description="The version that answers where a route's own version can't."
    )
    canary: Canary | None = pydantic.Field(
        default=None, description="A version that is to take over from the routes, step by step."
    )
    experiment: Experiment | None = pydantic.Field(
        default=None,
        description="What the routes are compared for; it needs `sticky_key`, whose values are the units. Weights may "
        "change while it runs; anything else that changes in it, or other routes, begin a new one.",
    )
    shadow: list[Shadow] = pydantic.Field(
        default=[],
        max_length=MAX_SHADOWS,
        description="Versions that get the same input and answer nobody; `GET …/shadow` compares them with those that "
        "answered. One of them that fails, or is slow, costs callers nothing.",
    )
    lookup: Lookup | None = pydantic.Field(
        default=None,
        description="Features that are looked up by a key that each row has, and joined with its own columns before a "
        "version predicts. What a request has itself holds.",
    )
    log: PredictionLog | None = pydantic.Field(
        default=None,
        description="Which of the requests that the inference server answers are kept, with what was answered, as "
        "Parquet files; `GET …/log` lists them. Without it none are.",
    )
    errors: Literal["detailed", "plain"] = pydantic.Field(
        default="detailed",
        description="What the inference server says of errors: `detailed` names column, row, value and reason; `plain` "
        "names the status and its title alone, and the log has the rest, by the answer's `Millrace-Request-Id`.",
    )
    max_concurrency: int = pydantic.Field(
        default=4, ge=1, le=256, description="Requests that one copy computes at once for this deployment."
    )
    max_waiting: int = pydantic.Field(
        default=64, ge=0, le=10_000, description="Requests that may wait for their turn; more are answered with 429."
    )
    timeout_seconds: float = pydantic.Field(
        default=30, gt=0, le=600, description="How long a request may take, in seconds."
    )

    @property
    def graph(self) -> tuple[graphs.Kind, graphs.Graph] | None:
        """The graph, with its kind; None where it has versions of its own."""
        found: list[tuple[graphs.Kind, graphs.Graph]] = [
            (kind, graph) for kind in graphs.KINDS if (graph := getattr(self, kind)) is not None
        ]
        return found[0] if found else None

    @pydantic.model_validator(mode="after")
    def _check_what_answers(self) -> Self:
        kinds = [name for name in ("routes", *graphs.KINDS) if getattr(self, name)]
        if len(kinds) != 1:
            has = " and ".join(f"`{name}`" for name in kinds) or "none of them"
            raise ValueError(f"a deployment has one of `routes`, `sequence`, `switch`, `ensemble`; this one has {has}")
        for name in graphs.OWN_FIELDS if self.graph else ():
            if getattr(self, name):
                raise ValueError(
                    f"`{name}` belongs to the deployments that the {kinds[0]} names, each of which has its own; "
                    "leave it out here"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _check_routes(self) -> Self:
        if not self.routes:
            return self
        models = [route.model for route in self.routes]
        twice = sorted({model for model in models if models.count(model) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is in two routes; name each version once")
        if sum(route.weight for route in self.routes) <= 0:
            raise ValueError("all routes have the weight 0, so that none would answer; set one to more")
        return self

    @pydantic.model_validator(mode="after")
    def _check_shadows(self) -> Self:
        models = [shadow.model for shadow in self.shadow]
        twice = sorted({model for model in models if models.count(model) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is a shadow twice; name each version once")
        return self

    @pydantic.model_validator(mode="after")
    def _check_experiment(self) -> Self:
        if self.experiment is None:
            return self
        if self.canary is not None:
            raise ValueError("a canary moves the weights of an experiment's routes; take one of `canary`, `experiment`")
        if self.sticky_key is None:
            raise ValueError("an experiment needs a `sticky_key`: the column that says which unit, such as a customer")
        if len(self.routes) < 2:
            raise ValueError("an experiment compares routes, and there is one; name two or more")
        control = self.experiment.control
        if control is not None and control not in {route.model for route in self.routes}:
            raise ValueError(f"the experiment's control {control!r} is the `model` of no route; name one of them")
        return self


def describe_answers(pin: Mapping[str, Any]) -> str:
    """Describe what a version answers, given its pin; only versions of equal answers can stand for one another."""
    classes = pin["signature"].get("classes") or []
    return f"{pin['problem']} of {type(classes[0]).__name__} labels" if classes else f"{pin['problem']}"
