"""The logs of deployments, and the datasets that are made of them."""

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, queries
from api.intake.deployment_pins import NoSuchDeploymentError
from api.reads import logs
from shared import errors
from shared.prediction.contract import LogDatasetRequest
from shared.prediction.logs.document import PredictionLog

blueprint = flask_openapi.APIBlueprint(
    "logs", __name__, url_prefix="/v1/deployments", abp_tags=[{"name": "deployments"}]
)


class LogColumn(documents.Document):
    """A column of a file."""

    name: str
    type: str


class LogFile(documents.Document):
    """A Parquet file of a log."""

    id: str
    rows: int
    bytes: int
    sha256: str
    versions: list[str] = pydantic.Field(description="The versions that answered, as `name@version`.")
    first_revision: int = pydantic.Field(description="The deployment's revision at the first of its predictions.")
    last_revision: int
    columns: list[LogColumn]
    from_: str = pydantic.Field(alias="from", description="When the first of its predictions was made.")
    until: str = pydantic.Field(description="When the last one was made.")
    created_at: str


class LostRows(documents.Document):
    """How many rows were lost for a reason."""

    reason: str
    rows: int


class DeploymentLog(documents.Document):
    """What is kept of the requests that a deployment has answered."""

    deployment: str
    log: PredictionLog | None = pydantic.Field(description="What is kept now; null where nothing is.")
    files: list[LogFile] = pydantic.Field(description="Newest first.")
    waiting_rows: int = pydantic.Field(description="Rows that are stored, and not in a file yet; datasets have them.")
    lost_rows: int = pydantic.Field(description="Rows that were to be kept and are lost, within the last 90 days.")
    losses: list[LostRows] = pydantic.Field(description="Why, the most frequent first.")
    next_cursor: str | None


@blueprint.get("/<name>/log", responses={200: DeploymentLog})
@auth.needs("read")
def show(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """List the files of a deployment's log, newest first, and say what was lost; also once the deployment is gone."""
    return answers.json(logs.show(*context.databases_and_tenant(), path.name, limit=query.limit, cursor=query.cursor))


@blueprint.post("/<name>/log/dataset", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def make_dataset(path: documents.NamePath, body: LogDatasetRequest, query: queries.SubmitQuery) -> flask.Response:
    """Make a dataset of a deployment's log, joined with feedback if that is wanted."""
    params = {"deployment": path.name, **body.model_dump(mode="json")}
    try:
        return answers.submit("prediction.log_dataset", params, **query.to_options())
    except NoSuchDeploymentError as error:
        raise errors.NotFoundError(error.message) from error
