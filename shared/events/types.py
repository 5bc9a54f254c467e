"""The table of all event types: what happened, of which subject, and what the event's data say.

A new type is one more row here. The documentation's table and the schemas that clients get are made from it.
"""

import dataclasses
from typing import Any, Literal

import pydantic

from shared import contract
from shared.jobs.states import TERMINAL


class _Data(pydantic.BaseModel):
    """What an event's data say; receivers must expect further fields in later releases."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class JobEnded(_Data):
    """A job's end; its result and its error stand in the job itself."""

    job_id: str = pydantic.Field(description="The job's id.")
    kind: str = pydantic.Field(description="The job's kind.", examples=["training.fit"])
    state: str = pydantic.Field(description="The state in which it ended.")
    attempt: int = pydantic.Field(description="How many attempts it took.")


class VersionChanged(_Data):
    """A version of something that is kept."""

    name: str = pydantic.Field(description="The name.")
    version: int = pydantic.Field(description="The version's number.")


class AliasChanged(VersionChanged):
    """An alias, and the version that it stands for, or stood for until it was deleted."""

    alias: str = pydantic.Field(description="The alias.", examples=["champion"])


class FeaturesPublished(VersionChanged):
    """A publication of a feature set, by which deployments look features up."""

    rows: int = pydantic.Field(description="How many rows it has, one a key.")


class EvaluationCreated(_Data):
    """An evaluation."""

    id: str = pydantic.Field(description="The evaluation's id.")
    model: str = pydantic.Field(description="The version that was evaluated.", examples=["churn@3"])
    passed: bool | None = pydantic.Field(description="Whether its gate let the version pass; null without a gate.")


class DeploymentChanged(_Data):
    """A change of a deployment, as its history shows it."""

    name: str = pydantic.Field(description="The deployment's name.")
    revision: int = pydantic.Field(description="The revision that the change made.")
    action: str = pydantic.Field(description="What was done.", examples=["put", "rollback"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventType:
    """What one type of event tells."""

    name: str
    """Without the prefix that it has outside: `job.succeeded`."""
    tells: str
    subject: str
    """What the subject of such an event is."""
    data: type[pydantic.BaseModel]


_VERSION = "The version, such as `telco@3`."
_ALIAS = "The alias, such as `churn@champion`."
_KEPT: dict[contract.Kept, str] = {"dataset": "a dataset", "features": "a feature set", "model": "a model"}
Change = Literal["created", "deleted"]
_CHANGES: tuple[Change, ...] = ("created", "deleted")

TYPES = {
    type_.name: type_
    for type_ in (
        *(
            EventType(name=f"job.{state}", tells=f"A job ended as {state}.", subject="The job's id.", data=JobEnded)
            for state in sorted(TERMINAL)
        ),
        *(
            EventType(
                name=f"{kept}.{change}",
                tells=f"A version of {label} was {change}.",
                subject=_VERSION,
                data=VersionChanged,
            )
            for kept, label in _KEPT.items()
            for change in _CHANGES
        ),
        EventType(
            name="features.published",
            tells="A version of a feature set was published for look-ups.",
            subject=_VERSION,
            data=FeaturesPublished,
        ),
        EventType(
            name="model.alias_changed",
            tells="An alias of a model stands for another version.",
            subject=_ALIAS,
            data=AliasChanged,
        ),
        EventType(
            name="model.alias_deleted", tells="An alias of a model was deleted.", subject=_ALIAS, data=AliasChanged
        ),
        EventType(
            name="evaluation.created",
            tells="A model's version was evaluated.",
            subject="The evaluation's id.",
            data=EvaluationCreated,
        ),
        EventType(
            name="deployment.changed",
            tells="A deployment was changed, by a request or by its canary.",
            subject="The deployment's revision, such as `churn@7`.",
            data=DeploymentChanged,
        ),
    )
}


def schema_id_of(name: str) -> str:
    """Return the URN by which an event names the schema of its data."""
    return f"urn:millrace:event:{name}"


def schema_of(type_: EventType) -> dict[str, Any]:
    """Build the JSON Schema of a type's data."""
    return {"$id": schema_id_of(type_.name), **type_.data.model_json_schema()}
