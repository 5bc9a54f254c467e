"""What a pipeline is: its parameters, and its steps, each a job of a kind that begins when what it needs has ended."""

from typing import Annotated, Any, Literal

import pydantic

from shared import contract

MAX_STEPS = 1_000
MAX_ITEMS = 10_000
MAX_PARAMS = 200
MAX_RETRIES = 10
MAX_SECONDS = 30 * 24 * 3600
MAX_CONDITION = 2_000
MAX_WAIT_SECONDS = 24 * 3600
RESERVED = frozenset({"params", "item", "run", "fail", "continue"})
"""Names that no step may have, because references and `on_failure` mean something else by them."""

ParameterType = Literal["string", "integer", "number", "boolean", "array", "object"]
StepName = Annotated[
    str,
    pydantic.StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$"),
    pydantic.Field(description="Lower-case letters, digits, '_' and '-'; at most 63.", examples=["fit"]),
]
ParameterName = Annotated[
    str,
    pydantic.StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"),
    pydantic.Field(description="Letters, digits and '_'; at most 63.", examples=["region"]),
]
_Scalar = str | int | float | bool | None


class Parameter(contract.Document):
    """A parameter of a pipeline: of which type it is, and what it is when a run gives none."""

    type: ParameterType | None = pydantic.Field(
        default=None, description="Of which type its values are; that of the default when left out."
    )
    default: pydantic.JsonValue = pydantic.Field(
        default=None, description="Its value in runs that give none. Without one each run must give it."
    )
    description: str = pydantic.Field(default="", max_length=1000, description="What it is for.")

    @property
    def is_required(self) -> bool:
        """Whether each run must give it."""
        return "default" not in self.model_fields_set


class Retries(contract.Document):
    """How often a step is tried again after it failed, and how long each waits."""

    count: int = pydantic.Field(ge=0, le=MAX_RETRIES, description="How often it is tried again.")
    wait_seconds: int = pydantic.Field(
        default=10,
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="The wait before the first of them, in seconds; it doubles with each, up to a day.",
    )

    def wait_before(self, number: int) -> int:
        """Return the wait before the retry of this number, from 1, in seconds."""
        return int(min(self.wait_seconds * 2 ** (number - 1), MAX_WAIT_SECONDS))


class Concurrency(contract.Document):
    """How many runs may be under way at once, and what becomes of one more."""

    limit: int = pydantic.Field(default=1, ge=1, le=1000, description="How many runs of one key are under way at once.")
    key: str = pydantic.Field(
        default="",
        max_length=500,
        description="Runs are counted by this text, such as `${params.region}`; all together when it is left out.",
    )
    on_full: Literal["queue", "skip", "cancel_running", "fail"] = pydantic.Field(
        default="queue",
        description="What becomes of a run beyond the limit: it waits, is left out, takes the place of the oldest, "
        "which is cancelled, or fails.",
    )


class Step(contract.Document):
    """A step: one job of a kind, or one for each item of a list."""

    name: StepName
    kind: str = pydantic.Field(max_length=200, description="The kind of job.", examples=["training.fit"])
    params: dict[str, pydantic.JsonValue] = pydantic.Field(
        default={},
        description="The kind's parameters. `${load.dataset}` in them stands for what the step `load` resulted in.",
    )
    needs: list[StepName] = pydantic.Field(
        default=[],
        max_length=MAX_STEPS,
        description="Steps that must have ended before it begins. Steps that it refers to needn't be named.",
    )
    when: str | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=MAX_CONDITION,
        description="A condition; where it is false the step is skipped.",
        examples=["score.metrics.roc_auc > 0.8"],
    )
    for_each: list[pydantic.JsonValue] | str | None = pydantic.Field(
        default=None,
        max_length=MAX_ITEMS,
        description="A list, or a reference to one; the step is done once for each item, which is `${item}`.",
        examples=[["eu", "us"], "${params.regions}"],
    )
    retries: Annotated[int, pydantic.Field(ge=0, le=MAX_RETRIES)] | Retries = pydantic.Field(
        default=0, description="How often it is tried again after it failed, 0 to 10; or also how long it waits."
    )
    timeout_seconds: int | None = pydantic.Field(
        default=None, ge=1, le=MAX_SECONDS, description="How long each attempt may take, in seconds."
    )
    on_failure: str = pydantic.Field(
        default="fail",
        max_length=63,
        description="What its failure means: `fail`, no further steps begin and the run fails; `continue`, the run "
        "goes on; or the name of a step, which then runs before the run fails.",
        examples=["fail", "continue", "clean-up"],
    )
    description: str = pydantic.Field(default="", max_length=1000, description="What it is for.")

    @property
    def retry_policy(self) -> Retries:
        """How often it is tried again, and after which waits."""
        return self.retries if isinstance(self.retries, Retries) else Retries(count=self.retries)

    @property
    def handler(self) -> str | None:
        """The step that runs when this one has failed; None when there is none."""
        return None if self.on_failure in ("fail", "continue") else self.on_failure


class Pipeline(contract.Document):
    """Steps that are done in the order of their needs, with parameters that each run may give."""

    params: dict[ParameterName, Parameter | list[pydantic.JsonValue] | _Scalar] = pydantic.Field(
        default={},
        max_length=MAX_PARAMS,
        description="The parameters: of each the default, or an object with `type`, `default` and `description`.",
        examples=[{"region": "eu", "folds": {"type": "integer", "default": 5}}],
    )
    steps: list[Step] = pydantic.Field(min_length=1, max_length=MAX_STEPS, description="The steps, in any order.")
    concurrency: Annotated[int, pydantic.Field(ge=1, le=1000)] | Concurrency | None = pydantic.Field(
        default=None, description="How many runs may be under way at once; as many as there are when left out."
    )
    description: str = pydantic.Field(default="", max_length=4000, description="What it is for.")

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Its parameters, also those that are written as a default alone."""
        return {
            name: given if isinstance(given, Parameter) else Parameter(default=given)
            for name, given in self.params.items()
        }

    @property
    def concurrency_policy(self) -> Concurrency | None:
        """How many runs may be under way at once; None when any number may."""
        given = self.concurrency
        return Concurrency(limit=given) if isinstance(given, int) else given

    def to_stored(self) -> dict[str, Any]:
        """Write it as it was sent, to be kept; `Pipeline.model_validate` reads it back."""
        return self.model_dump(mode="json", exclude_unset=True)
