"""The job that exports a model's version."""

import dataclasses
from typing import Any, cast

import sqlalchemy as sa
from pydantic import JsonValue

from shared import clock, contract, database, digests, errors
from shared.catalog import versions
from shared.ml import artifacts, predictions
from shared.objects import store
from shared.training import export_rows, exports, tables
from workers.job import Finish, Job
from workers.training.exports import mlflow_folder, onnx_file

_ROLE = "training"


@dataclasses.dataclass(frozen=True)
class Known:
    """What this role's database says of a version and of its export."""

    version: sa.Row[Any]
    data: contract.DatasetPin | None
    export: sa.Row[Any] | None


def export(job: Job, command: exports.ExportModel) -> Finish:
    """Export a version, unless that was done before."""
    pin = contract.ModelPin.model_validate(job.pinned["model"])
    known = _read(job, pin, form=command.format)
    if known.export is not None:
        return _result(known.export)
    made = _MAKERS[command.format](job, pin, known)

    def finish(connection: sa.Connection) -> exports.ExportedModel:
        added = export_rows.add(
            connection,
            tenant_id=job.tenant_id,
            name=pin.name,
            version=pin.version,
            format=command.format,
            job_id=job.id,
            created_by=job.submitted_by,
            **made,
        )
        return _result(added)

    return finish


def _read(job: Job, pin: contract.ModelPin, *, form: str) -> Known:
    wanted: dict[str, Any] = {"tenant_id": job.tenant_id, "name": pin.name, "version": pin.version}
    with database.of_process()[_ROLE].statements.connect() as connection:
        version = versions.find(connection, tables.model_versions, **wanted)
        if version is None:
            raise errors.PermanentError(f"The version {pin.label} was deleted.")
        return Known(
            version=version,
            data=export_rows.find_training_data(connection, job.pinned, tenant_id=job.tenant_id, job_id=version.job_id),
            export=export_rows.find(connection, **wanted, export_format=form),
        )


def _result(row: sa.Row[Any]) -> exports.ExportedModel:
    made = {name: getattr(row, name) for name in exports.ExportedModel.Export.model_fields}
    return exports.ExportedModel(export=exports.ExportedModel.Export(**made), details=row.details)


def _to_skops(_job: Job, pin: contract.ModelPin, known: Known) -> dict[str, Any]:
    return {"key": pin.key, "sha256": pin.sha256, "bytes": known.version.bytes, "details": {}}


def _to_onnx(job: Job, pin: contract.ModelPin, known: Known) -> dict[str, Any]:
    if known.data is None:
        raise errors.PermanentError(
            f"The data that {pin.label} was trained on is not known here, so an ONNX model can't be "
            "compared with it; train the version here, or export it as skops or mlflow."
        )
    output = job.output("model.onnx")
    details = onnx_file.write(
        artifacts.load(job.fetch(pin), sha256=pin.sha256),
        job.fetch(known.data),
        signature=pin.signature,
        problem=cast(predictions.Problem, pin.problem),
        notes={"model": pin.label, "artifact_sha256": pin.sha256, "problem": pin.problem},
        path=output.path,
    )
    return _measured(output, details)


def _to_mlflow(job: Job, pin: contract.ModelPin, known: Known) -> dict[str, Any]:
    artifact = job.fetch(pin)
    # What would not be loaded here is not handed out to be loaded elsewhere.
    artifacts.load(artifact, sha256=pin.sha256)
    output = job.output("model.tar.gz")
    details = mlflow_folder.write(
        artifact,
        signature=pin.signature,
        problem=pin.problem,
        label=f"{pin.name}-{pin.version}",
        created_at=clock.to_text(known.version.created_at) or "",
        libraries=known.version.libraries,
        path=output.path,
    )
    return _measured(output, details)


def _measured(output: store.Output, details: dict[str, JsonValue]) -> dict[str, Any]:
    return {
        "key": output.key,
        "sha256": digests.of_file(output.path),
        "bytes": output.path.stat().st_size,
        "details": details,
    }


_MAKERS = {"skops": _to_skops, "onnx": _to_onnx, "mlflow": _to_mlflow}
