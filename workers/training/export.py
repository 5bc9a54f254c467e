"""The job that exports a model version."""

import dataclasses
from typing import Any, cast

import sqlalchemy as sa
from pydantic import JsonValue

from shared import clock, contract, database, digests, errors
from shared.catalog import versions
from shared.ml import artifacts, kept_rows, predictions
from shared.objects import store
from shared.training import export_rows, exports, tables
from workers.job import Finish, Job
from workers.training.exports import mlflow_folder, onnx_file
from workers.training.imports import invented_rows

_ROLE = "training"


@dataclasses.dataclass(frozen=True)
class VersionRecord:
    """What this role's database has about a version: its row, its training data, and its export if there is one."""

    version: sa.Row[Any]
    data: contract.DatasetPin | None
    export: sa.Row[Any] | None


def export(job: Job, command: exports.ExportModel) -> Finish:
    """Export a version, unless the export exists already."""
    pin = contract.ModelPin.model_validate(job.pinned["model"])
    record = _read(job, pin, export_format=command.format)
    if record.export is not None:
        return _to_result(record.export)
    columns = _EXPORTERS[command.format](job, pin, record)

    def finish(connection: sa.Connection) -> exports.ExportedModel:
        row = export_rows.add(
            connection,
            tenant_id=job.tenant_id,
            name=pin.name,
            version=pin.version,
            format=command.format,
            job_id=job.id,
            created_by=job.submitted_by,
            **columns,
        )
        return _to_result(row)

    return finish


def _read(job: Job, pin: contract.ModelPin, *, export_format: str) -> VersionRecord:
    key: dict[str, Any] = {"tenant_id": job.tenant_id, "name": pin.name, "version": pin.version}
    with database.of_process()[_ROLE].statements.connect() as connection:
        version = versions.find(connection, tables.model_versions, **key)
        if version is None:
            raise errors.PermanentError(f"The version {pin.label} was deleted.")
        return VersionRecord(
            version=version,
            data=export_rows.find_training_data(connection, job.pinned, tenant_id=job.tenant_id, job_id=version.job_id),
            export=export_rows.find(connection, **key, export_format=export_format),
        )


def _to_result(row: sa.Row[Any]) -> exports.ExportedModel:
    fields = {name: getattr(row, name) for name in exports.ExportedModel.Export.model_fields}
    return exports.ExportedModel(export=exports.ExportedModel.Export(**fields), details=row.details)


def _to_skops(job: Job, pin: contract.ModelPin, record: VersionRecord) -> dict[str, Any]:
    artifact = job.fetch(pin)
    artifacts.load(artifact, sha256=pin.sha256)
    if not artifacts.lacks_code(artifact):
        return {"key": pin.key, "sha256": pin.sha256, "bytes": record.version.bytes, "details": {}}
    output = job.output("model.skops")
    artifacts.copy_with_code(artifact, output.path)
    return _describe_file(output, {})


def _to_onnx(job: Job, pin: contract.ModelPin, record: VersionRecord) -> dict[str, Any]:
    pipeline = artifacts.load(job.fetch(pin), sha256=pin.sha256)
    if hasattr(pipeline[-1], "onnx_bytes"):
        # It came as ONNX, and there is nothing that it could differ from.
        output = job.output("model.onnx")
        output.path.write_bytes(pipeline[-1].onnx_bytes)
        return _describe_file(output, onnx_file.describe_own(output.path, signature=pin.signature))
    invented = job.scratch / "invented.parquet"
    is_import = "imported" in (record.version.details or {})
    if record.data is None and is_import and hasattr(pipeline[-1], "model_text_"):
        invented_rows.write(pipeline[-1], pin.signature, invented)
    elif record.data is None:
        raise errors.PermanentError(
            f"The data that {pin.label} was trained on is not known here, so an ONNX model can't be "
            "compared with scikit-learn; train the version here, or export it as skops or mlflow."
        )
    output = job.output("model.onnx")
    details = onnx_file.write(
        pipeline,
        invented if record.data is None else job.fetch(record.data),
        signature=pin.signature,
        problem=cast(predictions.Problem, pin.problem),
        notes={"model": pin.label, "artifact_sha256": pin.sha256, "problem": pin.problem},
        path=output.path,
        choice=_find_choice(record.version.lineage),
    )
    return _describe_file(output, details)


def _find_choice(lineage: dict[str, Any]) -> kept_rows.Choice:
    """Find which rows of its data a version has learned from."""
    where, per = lineage.get("where") or {}, lineage.get("per") or {}
    return kept_rows.Choice(where=where.get("expression"), column=per.get("column"), value=per.get("value"))


def _to_mlflow(job: Job, pin: contract.ModelPin, record: VersionRecord) -> dict[str, Any]:
    artifact = job.fetch(pin)
    # An artifact that we would not load is not exported to be loaded elsewhere.
    artifacts.load(artifact, sha256=pin.sha256)
    output = job.output("model.tar.gz")
    details = mlflow_folder.write(
        artifact,
        signature=pin.signature,
        problem=pin.problem,
        label=f"{pin.name}-{pin.version}",
        created_at=clock.to_text(record.version.created_at) or "",
        libraries=record.version.libraries,
        path=output.path,
    )
    return _describe_file(output, details)


def _describe_file(output: store.Output, details: dict[str, JsonValue]) -> dict[str, Any]:
    return {
        "key": output.key,
        "sha256": digests.of_file(output.path),
        "bytes": output.path.stat().st_size,
        "details": details,
    }


_EXPORTERS = {"skops": _to_skops, "onnx": _to_onnx, "mlflow": _to_mlflow}
