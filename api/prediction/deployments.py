"""Deployments: versions of models that answer under one name, their shares, and the ledger of all changes."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, queries
from api.intake import exporting, revisions
from api.intake.serving import deployments as changes
from api.prediction.canary_documents import DeployedCanary
from api.reads import deployments
from shared import contract
from shared.prediction import graphs
from shared.prediction.deployments import Deployment
from shared.prediction.experiments.document import Experiment
from shared.prediction.logs.document import PredictionLog
from shared.prediction.lookups import Lookup

blueprint = flask_openapi.APIBlueprint(
    "deployments", __name__, url_prefix="/v1/deployments", abp_tags=[{"name": "deployments"}]
)
REVISION = "The deployment's revision: how often it has been changed."


class ReasonQuery(queries.Query):
    """Why a deployment is changed."""

    reason: str | None = pydantic.Field(
        default=None, min_length=1, max_length=1000, description="Why, for the deployment's history."
    )


class HistoryQuery(documents.NamesQuery):
    """Which changes to list, and whether to check them."""

    verify: bool = pydantic.Field(default=False, description="Check the chain of all changes.")


class RollbackRequest(contract.Document):
    """What to return to, and why."""

    revision: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="The revision to return to; when left out, the one before.",
    )
    reason: str | None = pydantic.Field(
        default=None, min_length=1, max_length=1000, description="Why, for the deployment's history."
    )


class DeployedVersion(documents.Document):
    """A version of a model that a deployment needs."""

    model: str = pydantic.Field(description="The reference: `name@3`, or `name@alias` when the alias is followed.")
    version: int = pydantic.Field(description="The version that it stands for now.")
    sha256: str


class DeployedRoute(DeployedVersion):
    """A version of a model, and its share of the traffic."""

    weight: float
    share: float = pydantic.Field(description="Its weight divided by the sum of all, from 0 to 1.")


class RunningExperiment(Experiment):
    """An experiment as it runs."""

    control: str = pydantic.Field(description="The route that others are compared with.")
    arms: list[str] = pydantic.Field(description="The routes that are compared.")
    unit: str = pydantic.Field(description="The column that says which unit a row is of.")
    id: int = pydantic.Field(description="The revision of the deployment with which it began.")
    started_at: str


class DeployedShadow(DeployedVersion):
    """A version that gets the same input and answers nobody."""

    percent: float = pydantic.Field(description="The share of the requests that it gets, in percent.")
    segments: list[str] | None
    id: int = pydantic.Field(description="The revision of the deployment with which it began.")


class DeploymentState(documents.Document):
    """What a deployment is."""

    routes: list[DeployedRoute] = pydantic.Field(description="Its versions; none where it is a graph.")
    sequence: graphs.Sequence | None = pydantic.Field(description="The graph; null where it is something else.")
    switch: graphs.Switch | None = pydantic.Field(description="The graph; null where it is something else.")
    ensemble: graphs.Ensemble | None = pydantic.Field(description="The graph; null where it is something else.")
    fallback: DeployedVersion | None
    sticky_key: str | None
    canary: DeployedCanary | None = pydantic.Field(description="The latest canary; null if there has been none.")
    experiment: RunningExperiment | None
    shadow: list[DeployedShadow]
    lookup: Lookup | None = pydantic.Field(description="What is looked up by a key; null where nothing is.")
    log: PredictionLog | None = pydantic.Field(description="Which requests are kept; null where none are.")
    errors: str = pydantic.Field(description="`detailed` or `plain`.")
    max_concurrency: int
    max_waiting: int
    timeout_seconds: float


class DeploymentDetail(DeploymentState):
    """A deployment as it is now."""

    name: str
    revision: int = pydantic.Field(description=REVISION)
    created_at: str
    updated_at: str


class DeploymentList(documents.Document):
    """Deployments in alphabetical order."""

    deployments: list[DeploymentDetail]
    next_cursor: str | None


class Change(documents.Document):
    """A change of a deployment."""

    revision: int = pydantic.Field(description=REVISION)
    action: str = pydantic.Field(
        description="`put`, `rollback`, `alias_moved` or `delete`; of a canary `approve`, `pause`, `resume` or "
        "`abort`, and what its gate did: `canary_advanced`, `canary_promoted`, `canary_paused` or `canary_rolled_back`."
    )
    reason: str | None
    changed_by: str = pydantic.Field(
        description="The id of the API key that changed it, or of the job that moved its canary."
    )
    changed_at: str
    state: DeploymentState | None = pydantic.Field(description="What it was from then on; null when it was deleted.")
    previous_sha256: str | None = pydantic.Field(description="The hash of the change before.")
    sha256: str = pydantic.Field(description="The SHA-256 of this change, which includes that of the one before.")


class Verification(documents.Document):
    """Whether the chain of changes is whole."""

    whole: bool
    broken_at: int | None = pydantic.Field(description="The first revision that is not as it was.")
    problem: str | None = pydantic.Field(description="What is wrong there.")


class DeploymentHistory(documents.Document):
    """Every change of a deployment, newest first."""

    name: str
    changes: list[Change]
    next_cursor: str | None
    verified: Verification | None = pydantic.Field(description="The check of the whole chain; null without `verify`.")


@blueprint.put("/<name>", responses={200: DeploymentDetail})
@auth.needs("write")
def put(path: documents.NamePath, body: Deployment, query: ReasonQuery) -> flask.Response:
    """Create or change a deployment; with `If-Match` only if nobody has changed it since."""
    current = context.current()
    changes.put(
        current.databases,
        current.pinner,
        path.name,
        body,
        client=context.client(),
        reason=query.reason,
        expected_revision=read_expected_revision(),
    )
    document = deployments.show(*context.databases_and_tenant(), path.name)
    exporting.export_for_serving(current.submitter, document, client=context.client())
    return _to_response(document)


@blueprint.get("", responses={200: DeploymentList})
@auth.needs("read")
def list_deployments(query: documents.NamesQuery) -> flask.Response:
    """List deployments in alphabetical order."""
    return answers.json(deployments.page(*context.databases_and_tenant(), limit=query.limit, cursor=query.cursor))


@blueprint.get("/<name>", responses={200: DeploymentDetail})
@auth.needs("read")
def show(path: documents.NamePath) -> flask.Response:
    """Show a deployment."""
    return answer(path.name)


@blueprint.get("/<name>/history", responses={200: DeploymentHistory})
@auth.needs("read")
def show_history(path: documents.NamePath, query: HistoryQuery) -> flask.Response:
    """Show every change of a deployment, newest first; `verify=true` says whether and where their chain breaks."""
    document = deployments.history(
        *context.databases_and_tenant(), path.name, limit=query.limit, cursor=query.cursor, verify=query.verify
    )
    return answers.json(document)


@blueprint.post("/<name>/rollback", responses={200: DeploymentDetail})
@auth.needs("write")
def roll_back(path: documents.NamePath, body: RollbackRequest) -> flask.Response:
    """Make a deployment what it was before its last change, or at a revision."""
    current = context.current()
    changes.roll_back(
        current.databases,
        current.pinner,
        path.name,
        client=context.client(),
        revision=body.revision,
        reason=body.reason,
        expected_revision=read_expected_revision(),
    )
    return answer(path.name)


@blueprint.delete("/<name>", responses={204: None})
@auth.needs("write")
def delete(path: documents.NamePath, query: ReasonQuery) -> flask.Response:
    """Delete a deployment; its history stays."""
    changes.delete(
        context.current().databases,
        path.name,
        client=context.client(),
        reason=query.reason,
        expected_revision=read_expected_revision(),
    )
    return flask.Response(status=204)


def answer(name: str) -> flask.Response:
    """Answer with a deployment as it is now."""
    return _to_response(deployments.show(*context.databases_and_tenant(), name))


def _to_response(document: dict[str, Any]) -> flask.Response:
    response = answers.json(document)
    response.headers["ETag"] = f'"{document["revision"]}"'
    return response


def read_expected_revision() -> int | None:
    """Read the revision of the request's `If-Match` header; None when there is none."""
    return revisions.parse(flask.request.headers.get("If-Match"), of="deployment")
