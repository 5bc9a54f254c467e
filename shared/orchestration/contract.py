"""The orchestration role's commands and results."""

from typing import Literal

import pydantic

from shared import contract, ping
from shared.orchestration.language.resuming import Edits
from shared.orchestration.moments import Moment

MAX_OUTPUT_BYTES = 256 * 1024


class RunPipeline(contract.Command):
    """Carry out a pipeline: submit its steps as jobs, each when what it needs has ended."""

    pipeline: contract.Name = pydantic.Field(description="The pipeline's name.", examples=["nightly"])
    version: int | None = pydantic.Field(
        default=None, ge=1, le=2**31 - 1, description="The pipeline's version; the latest when left out."
    )
    params: dict[str, pydantic.JsonValue] = pydantic.Field(
        default={}, max_length=200, description="Its parameters; those that are left out have their defaults."
    )
    at: Moment | None = pydantic.Field(
        default=None,
        description="The moment that the run is about, `${run.at}` (RFC 3339); when it begins, or that of the run that "
        "it resumes, when left out.",
    )
    resumes: str | None = pydantic.Field(
        default=None,
        max_length=64,
        description="An ended run of the same pipeline, whose steps that succeeded are not done again.",
    )
    edits: Edits = pydantic.Field(
        default=Edits(), description="What is changed where a run is resumed; steps that are named are done again."
    )

    @pydantic.model_validator(mode="after")
    def _check_edits(self) -> "RunPipeline":
        if self.resumes is None and self.edits != Edits():
            raise ValueError(
                "`edits` are for a run that `resumes` another one; put what is to change into the pipeline"
            )
        return self


class StepSummary(contract.Document):
    """How a step ended."""

    state: Literal["succeeded", "failed", "cancelled", "skipped"] = pydantic.Field(description="Its state.")
    items: int | None = pydantic.Field(default=None, description="Of a step with `for_each`: how many items it had.")


class PipelineRun(contract.Result):
    """A run that succeeded."""

    pipeline: str = pydantic.Field(description="The pipeline.")
    version: int = pydantic.Field(description="Its version.")
    steps: dict[str, StepSummary] = pydantic.Field(description="The steps, by name.")
    outputs: dict[str, pydantic.JsonValue] = pydantic.Field(
        description="The results of its steps without items, by name, up to 256 KiB together."
    )
    left_out: list[str] = pydantic.Field(description="Steps whose results are too large to be among them.")


class WindUpRun(contract.Command):
    """Cancel what is left of a run that has ended before its steps."""

    run: str = pydantic.Field(max_length=64, description="The run's id.")


class WoundUp(contract.Result):
    """What was left of a run."""

    cancelled: int = pydantic.Field(description="How many steps and items were cancelled.")


RUN = contract.Kind(
    name="orchestration.run",
    command=RunPipeline,
    result=PipelineRun,
    description="Carry out a pipeline: its steps are jobs of all roles, which begin when what they need has ended.",
    stores=False,
)
WIND_UP = contract.Kind(
    name="orchestration.wind_up",
    command=WindUpRun,
    result=WoundUp,
    description="Cancel what is left of a run that has ended before its steps.",
    internal=True,
    stores=False,
)
PING = ping.kind_for("orchestration")
KINDS = (RUN, WIND_UP, PING)
