"""The prediction role's commands and results."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import pydantic

from shared import column_names, contract, ping
from shared.catalog import adoption
from shared.prediction.logs import document as logs
from shared.prediction.shadows.document import KIND as SHADOW_KIND

MAX_INSTANCES = 10_000
"""The most rows of one job that predicts rows which come with it."""
_GATHERED_JOBS, _GATHERED_ROWS = 500, 10_000


class PredictBatch(contract.Command):
    """Predict every row of a dataset, and store a new dataset with its columns and those of the predictions.

    By a `model` one version answers. By a `deployment`, as it is when the job is accepted, each row is answered by the
    version of its route: the value of the sticky column decides, and without such a column chance, so that a job which
    is done once more gives the same rows to the same versions; `prediction_version` says which answered.

    Which columns are added depends on the model's problem. classification: `prediction`, and `probability_<class>`
    where the estimator has probabilities. multilabel: `prediction`, a text that lists the labels, then
    `prediction_<label>` (0 or 1) and `probability_<label>`. regression: `prediction`. quantile: `prediction`, the one
    nearest to the median, and `quantile_<level>`. Both with conformal intervals: `prediction_lower` and
    `prediction_upper`. clustering: `prediction`, the cluster's number, -1 for none, and for mixtures
    `probability_<cluster>`. anomaly: `prediction`, true where the row is anomalous, and `anomaly_score`, which is
    greater for more anomalous rows, and above 0 for anomalous ones.
    """

    model: contract.ModelRef | None = pydantic.Field(
        default=None, description="The model's version that predicts; either this or `deployment`."
    )
    deployment: contract.Name | None = pydantic.Field(
        default=None, description="The deployment whose versions predict; either this or `model`."
    )
    dataset: contract.DatasetRef
    name: contract.Name | None = pydantic.Field(
        default=None,
        description="The dataset that gets a new version; `<model>-predictions` or `<deployment>-predictions` when "
        "left out.",
    )

    prefix: str = pydantic.Field(
        default="",
        pattern="^[A-Za-z0-9_]*$",
        max_length=50,
        description="The prefix of the added columns' names, for data that already has columns with these names.",
        examples=["churn_"],
    )

    @property
    def datasets(self) -> tuple[str, ...]:
        """The name of the dataset that the job writes."""
        return (self.name or f"{(self.model or self.deployment or '').partition('@')[0]}-predictions",)

    @pydantic.model_validator(mode="after")
    def _check_what_predicts(self) -> Self:
        if (self.model is None) == (self.deployment is None):
            raise ValueError("name either a `model` or a `deployment` that predicts, and not both")
        return self

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a dataset that lacks a column that a version needs, or that decides which version answers."""
        needs = pinned["columns"] if self.model is None else contract.ModelPin.model_validate(pinned["model"]).needs
        data = contract.DatasetPin.model_validate(pinned["dataset"])
        column_names.require(needs, present=data.names, pointer="#/params/dataset")


class PredictedBatch(contract.Result):
    """The dataset with the input's columns and the predictions."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was written.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, each in a sentence.")


class RollOut(contract.Command):
    """Move a deployment's canary by what its gate says, until it is promoted, rolled back, paused or taken over.

    It rests between two checks, and holds no worker meanwhile.
    """

    deployment: contract.Name
    canary: int = pydantic.Field(ge=1, description="The revision with which the canary began.")


class RolledOut(contract.Result):
    """What became of the canary, as far as this job moved it."""

    status: str = pydantic.Field(
        description="`promoted`, `rolled_back`, `aborted` or `paused`; `replaced` where the deployment was changed."
    )
    revision: int = pydantic.Field(description="The deployment's revision then.")


class ShadowDeployment(contract.Command):
    """Let a deployment's shadows predict what was asked of it, and compare that with what was answered."""

    deployment: contract.Name


class ShadowedDeployment(contract.Result):
    """How many rows the shadows were given."""

    rows: int = pydantic.Field(description="The rows of the requests, once for each shadow that was to predict them.")
    failed_rows: int = pydantic.Field(description="Those that a shadow couldn't predict; the report says why.")


class WriteLog(contract.Command):
    """Write what copies of the inference server have stored for a deployment's log into Parquet files."""

    deployment: contract.Name


class WrittenLog(contract.Result):
    """What was written."""

    rows: int = pydantic.Field(description="The rows that were written.")
    files: int = pydantic.Field(description="The files; rows of versions with other columns are in others.")
    lost_rows: int = pydantic.Field(description="The rows of batches that are gone or damaged.")


Time = Annotated[
    str,
    pydantic.StringConstraints(max_length=100),
    pydantic.AfterValidator(logs.check_time),
    pydantic.Field(examples=["2026-11-30T08:00:00Z"]),
]


class LogDatasetRequest(contract.Document):
    """Which part of a deployment's log a dataset is made of."""

    name: contract.Name | None = pydantic.Field(
        default=None, description="The dataset that gets a new version; `<deployment>-log` when left out."
    )
    since: Time | None = pydantic.Field(
        default=None, description="The earliest time of predictions, as RFC 3339; when left out, all that is kept."
    )
    until: Time | None = pydantic.Field(
        default=None,
        description="The time before which predictions were made, as RFC 3339; when left out, that of this request.",
    )
    with_feedback: bool = pydantic.Field(
        default=False,
        description="Add what became true of each prediction, as far as that was said by now: `feedback_actual`, "
        "`feedback_value` and `feedback_at`.",
    )

    @pydantic.model_validator(mode="after")
    def _check_period(self) -> Self:
        if (
            self.since is not None
            and self.until is not None
            and logs.parse_time(self.since) >= logs.parse_time(self.until)
        ):
            raise ValueError("`since` is not before `until`, so that nothing is between them")
        return self


class MakeLogDataset(LogDatasetRequest, contract.Command):
    """Make a dataset of what a deployment was asked and has answered, as far as its log has kept it.

    Each row has the input's columns, with what was looked up, and those of the prediction; and `predicted_at`,
    `deployment`, `revision`, `version`, `arm`, `unit` (its hash), `prediction_id`, `row` (its position in its request)
    and `seconds`. An input that is called as one of these has `input_` before its name.
    """

    deployment: contract.Name = pydantic.Field(description="The deployment whose log it is.")

    @property
    def datasets(self) -> tuple[str, ...]:
        """The name of the dataset that the job writes."""
        return (self.name or f"{self.deployment}-log",)


class MadeLogDataset(contract.Result):
    """The dataset with the rows of the log."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was written.")
    labelled_rows: int = pydantic.Field(description="Rows of which feedback has told what became true.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, each in a sentence.")


class Infer(contract.Command):
    """Predict rows that come with the job, by a deployment as it is when the job is accepted.

    As at the inference server, a row is answered by the version of its route: `unit` decides for all rows of the job,
    else each row's value in the sticky column; without either the rows of a job have one draw.
    """

    deployment: contract.Name
    instances: list[dict[str, Any]] = pydantic.Field(
        min_length=1,
        max_length=MAX_INSTANCES,
        description="The rows, each an object with values by column; null, or left out in some rows, is missing.",
        examples=[[{"tenure": 12, "contract": "monthly"}]],
    )
    unit: str | None = pydantic.Field(
        default=None,
        max_length=1000,
        description="Whom the rows are of, such as a customer: decides which version answers.",
    )

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse rows none of which has a column that a version needs."""
        present = {name for instance in self.instances for name in instance}
        column_names.require(pinned["columns"], present=sorted(present), pointer="#/params/instances")


class DeploymentRevision(contract.Document):
    """A deployment as it was from one change to the next."""

    name: str = pydantic.Field(description="The deployment's name.")
    revision: int = pydantic.Field(description="The deployment's revision when the job was accepted.")


class Inferred(contract.Result):
    """What was predicted, in the order of the rows."""

    predictions: list[dict[str, Any]] = pydantic.Field(
        description="For each row the columns that `prediction.batch` would add; a number that is not finite is null."
    )
    versions: list[str] = pydantic.Field(
        description="The version that answered each row, as `name@version`; of an ensemble its name and revision."
    )
    deployment: DeploymentRevision
    failed_members: dict[str, str] = pydantic.Field(
        default={}, description="The deployments that were left out of an ensemble, each with the reason."
    )


INFER = contract.Kind(
    name="prediction.infer",
    command=Infer,
    result=Inferred,
    description="Predict a few rows by a deployment; what waits for the same deployment is predicted together.",
    stores=False,
    gathers=contract.Gathering(alike="deployment", size="rows", max_jobs=_GATHERED_JOBS, max_size=_GATHERED_ROWS),
)
BATCH = contract.Kind(
    name="prediction.batch",
    command=PredictBatch,
    result=PredictedBatch,
    description="Predict every row of a dataset with a model's version or a deployment, Parquet to Parquet.",
)
ROLLOUT = contract.Kind(
    name="prediction.rollout",
    command=RollOut,
    result=RolledOut,
    description="Move a canary by what its gate says.",
    internal=True,
    stores=False,
)
SHADOW = contract.Kind(
    name=SHADOW_KIND,
    command=ShadowDeployment,
    result=ShadowedDeployment,
    description="Let shadows predict what a deployment was asked, and compare.",
    internal=True,
    stores=False,
)
LOG = contract.Kind(
    name=logs.WRITE,
    command=WriteLog,
    result=WrittenLog,
    description="Write what a deployment has answered into the Parquet files of its log.",
    internal=True,
)
LOG_DATASET = contract.Kind(
    name=logs.DATASET,
    command=MakeLogDataset,
    result=MadeLogDataset,
    description="Make a dataset of a deployment's log, with what became true if that is wanted.",
)
ADOPT = adoption.kind_for("prediction.adopt", of="dataset")
PING = ping.kind_for("prediction")
KINDS = (INFER, BATCH, ROLLOUT, SHADOW, LOG, LOG_DATASET, ADOPT, PING)
