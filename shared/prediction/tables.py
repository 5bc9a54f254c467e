"""The tables of the prediction role."""

import sqlalchemy as sa

from shared.catalog import datasets
from shared.jobs import tables

metadata = tables.with_ledger()
datasets.add_tables(metadata)

deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("state", tables.JSON),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("updated_at", tables.Milliseconds, nullable=False),
)
"""Each deployment as its latest change left it; `state` is null when that deleted it."""

deployment_versions = sa.Table(
    "deployment_versions",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("reference", sa.String(127), primary_key=True),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("pin", tables.JSON, nullable=False),
)
"""The versions that deployments need now, by the reference that names each; nobody may delete their objects."""
sa.Index(
    "ix_deployment_versions_model",
    deployment_versions.c.tenant_id,
    deployment_versions.c.model,
    deployment_versions.c.version,
)

deployment_lookups = sa.Table(
    "deployment_lookups",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("features", sa.String(63), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("pin", tables.JSON, nullable=False),
)
"""The versions of feature sets that deployments look rows up in now; nobody may delete them."""

deployment_changes = sa.Table(
    "deployment_changes",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("changed_by", sa.String(64), nullable=False),
    sa.Column("changed_at", tables.Milliseconds, nullable=False),
    sa.Column("state", tables.JSON),
    sa.Column("previous_sha256", sa.String(64)),
    sa.Column("sha256", sa.String(64), nullable=False),
)
"""The ledger: every change of a deployment, each with the hash of the one before. Triggers refuse changes of it."""

prediction_keys = sa.Table(
    "prediction_keys",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
)
"""The keys that ids of predictions are signed with: the latest signs, and all are good to verify with."""

exposures = sa.Table(
    "exposures",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("arm", sa.String(127), primary_key=True),
    sa.Column("unit", sa.String(16), primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("first_seen_at", tables.Milliseconds, nullable=False),
)
"""Which units were sent to which arm, and when first, by the copy's clock; all of them, not a sample.

An arm is the reference of a route. A unit is the hash of the sticky column's value, in hexadecimal.
"""

served_counts = sa.Table(
    "served_counts",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("arm", sa.String(127), primary_key=True),
    sa.Column("started_at", tables.Milliseconds, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("errors", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("histogram", tables.JSON, nullable=False),
)
"""Requests, errors and latencies of each arm by intervals of 5 s; `histogram` has counts by the bucket's number."""
sa.Index("ix_served_counts_started_at", served_counts.c.started_at)

taken_segments = sa.Table(
    "taken_segments",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("taken_at", tables.Milliseconds, nullable=False),
    sa.Column("records", sa.Integer, nullable=False),
    sa.Column("lost", sa.Integer, nullable=False),
)
"""The segments of copies that have been taken into these tables, so that none is taken twice."""
sa.Index("ix_taken_segments_taken_at", taken_segments.c.taken_at)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("prediction", sa.String(40), primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("arm", sa.String(127), nullable=False),
    sa.Column("unit", sa.String(16), nullable=False),
    sa.Column("predicted_at", tables.Milliseconds, nullable=False),
    sa.Column("received_at", tables.Milliseconds, nullable=False),
    sa.Column("predicted", sa.String(100)),
    sa.Column("actual", sa.String(1000)),
    sa.Column("correct", sa.SmallInteger),
    sa.Column("error", sa.Double),
    sa.Column("value", sa.Double),
)
"""What became true of predictions, and what each said of itself; the last that was said of a prediction holds.

`correct` is 1 or 0 where a label was predicted, `error` the actual number minus the predicted one, `value` what the
client says that the prediction was worth. `arm` is empty where the client had chosen the version.
"""
sa.Index(
    "ix_feedback_arm",
    feedback.c.tenant_id,
    feedback.c.deployment,
    feedback.c.arm,
    feedback.c.predicted_at,
)

canary_checks = sa.Table(
    "canary_checks",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("canary", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("step", sa.SmallInteger, nullable=False),
    sa.Column("checked_at", tables.Milliseconds, nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("metrics", tables.JSON, nullable=False),
)
"""The checks of canaries' gates; `canary` is the revision with which the canary began."""
deployment_snapshots = sa.Table(
    "deployment_snapshots",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("state", tables.JSON, nullable=False),
    sa.Column("pins", tables.JSON, nullable=False),
    sa.Column("needs", tables.JSON, nullable=False),
)
"""What jobs that are pinned to a deployment's revision need of it, written with the first of them and never changed.

`pins` are those of its versions, by reference; `needs` is the small part of it that every such job is pinned to.
"""

inference_copies = sa.Table(
    "inference_copies",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("manifest", sa.BigInteger, nullable=False),
    sa.Column("is_ready", sa.Boolean, nullable=False),
    sa.Column("since", tables.Milliseconds, nullable=False),
    sa.Column("seen_at", tables.Milliseconds, nullable=False),
)
"""The processes of inference servers that have told that they run; `seen_at` is when the sweeper heard of it last."""

shadow_batches = sa.Table(
    "shadow_batches",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("deployment", sa.String(63), nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("shadows", tables.JSON, nullable=False),
    sa.Column("queued_at", tables.Milliseconds, nullable=False),
    sa.Column("job_id", sa.String(64)),
)
"""Batches of requests that wait for shadows to predict them; `job_id` is the job that does it, once there is one.

`name` is that of the batch's object; `shadows` has for each shadow what `shared.prediction.shadows.stored.Key` has, and
how many of the rows are its.
"""
sa.Index("ix_shadow_batches_deployment", shadow_batches.c.tenant_id, shadow_batches.c.deployment)

shadow_sums = sa.Table(
    "shadow_sums",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("shadow", sa.Integer, primary_key=True),
    sa.Column("model", sa.String(127), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("answered_by", sa.String(127), primary_key=True),
    sa.Column("started_at", tables.Milliseconds, primary_key=True),
    sa.Column("sums", tables.JSON, nullable=False),
)
"""What shadows said beside the version that answered, by the hour; `sums` is of `shared.prediction.shadows.sums`.

`shadow` is the revision with which it began, `model` its reference. `answered_by` is a version as `name@version`, and
empty where rows were lost or the shadow failed.
"""
sa.Index("ix_shadow_sums_started_at", shadow_sums.c.started_at)

prediction_log_batches = sa.Table(
    "prediction_log_batches",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("deployment", sa.String(63), nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("bytes_waiting", sa.BigInteger, nullable=False),
    sa.Column("first_at", tables.Milliseconds, nullable=False),
    sa.Column("last_at", tables.Milliseconds, nullable=False),
    sa.Column("queued_at", tables.Milliseconds, nullable=False),
)
"""What copies have answered and stored, and no job has written into Parquet files yet; `name` is that of the object."""
sa.Index(
    "ix_prediction_log_batches_deployment",
    prediction_log_batches.c.tenant_id,
    prediction_log_batches.c.deployment,
    prediction_log_batches.c.first_at,
)

prediction_log_files = sa.Table(
    "prediction_log_files",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("deployment", sa.String(63), nullable=False),
    sa.Column("from_at", tables.Milliseconds, nullable=False),
    sa.Column("until_at", tables.Milliseconds, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("key", sa.String(400), nullable=False),
    sa.Column("versions", tables.JSON, nullable=False),
    sa.Column("columns", tables.JSON, nullable=False),
    sa.Column("first_revision", sa.Integer, nullable=False),
    sa.Column("last_revision", sa.Integer, nullable=False),
    sa.Column("retention_days", sa.Integer, nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
)
"""The Parquet files of deployments' logs. `versions` are those that answered, as `name@version`; `columns` has the name
and the type of each; times are of the first and the last prediction, by the copies' clocks."""
sa.Index(
    "ix_prediction_log_files_deployment",
    prediction_log_files.c.tenant_id,
    prediction_log_files.c.deployment,
    prediction_log_files.c.id,
)

prediction_log_losses = sa.Table(
    "prediction_log_losses",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("deployment", sa.String(63), primary_key=True),
    sa.Column("started_at", tables.Milliseconds, primary_key=True),
    sa.Column("reason", sa.String(200), primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
)
"""How many rows deployments' logs have lost, by the hour and why."""
