"""The job that imports a model that was made elsewhere, as the next version of a model."""

from typing import Any

import sqlalchemy as sa

from shared import build, contract, digests
from shared.training import imports
from shared.training.trained import TrainedModel
from workers.job import Finish, Job
from workers.training import store
from workers.training.imports import reading
from workers.training.imports.candidate import Reading

_GIVEN = "The metrics are those that were given with the import; none of them was measured here."
_ESTIMATORS = {"onnx": "ONNX", "lightgbm": "LightGBM", "xgboost": "XGBoost"}


def import_model(job: Job, command: imports.ImportModel) -> Finish:
    """Read the uploaded file, try the model, and store it as the next version."""
    upload = contract.UploadPin.model_validate(job.pinned["source.upload"])
    like = contract.ModelPin.model_validate(job.pinned["like"]).signature if "like" in job.pinned else None
    path = job.fetch(upload)
    job.progress(0.1, "reading and trying the model")
    artifact = job.output("model.skops")
    found = reading.read(path, command, like=like, artifact=artifact.path, scratch=job.scratch)
    row = _make_row(command, found, upload) | {
        "key": artifact.key,
        "sha256": digests.of_file(artifact.path),
        "bytes": artifact.path.stat().st_size,
    }

    def finish(connection: sa.Connection) -> imports.ImportedModel:
        version = store.add_version(connection, job, command.name, row)
        return imports.ImportedModel(
            model=TrainedModel.Model(name=command.name, version=version, sha256=row["sha256"]),
            format=found.format,
            problem=found.problem,
            signature=found.signature,
            warnings=found.warnings,
            notes=row["notes"],
        )

    return finish


def _make_row(command: imports.ImportModel, found: Reading, upload: contract.UploadPin) -> dict[str, Any]:
    origin = imports.Origin.model_validate(
        {
            "format": found.format,
            "sha256": upload.sha256,
            "bytes": upload.bytes,
            **found.facts,
            "run": command.run or found.facts.get("run"),
        }
    )
    source = {"type": "import", **origin.model_dump(include={"format", "sha256", "bytes", "run"}, exclude_none=True)}
    return {
        "problem": found.problem,
        "target": found.target,
        "signature": found.signature,
        "estimator": {"name": _ESTIMATORS[found.format], "params": command.parameters},
        "recipe": {"steps": []},
        "metrics": {name: {"mean": value, "std": None, "folds": []} for name, value in command.metrics.items()},
        "rows": 0,
        "dropped_columns": {},
        "warnings": found.warnings,
        "notes": [*found.notes, *([_GIVEN] if command.metrics else [])],
        "note": command.note,
        "libraries": found.libraries,
        "lineage": {"source": source, "commit": build.commit()},
        "details": {"imported": origin.model_dump(mode="json", exclude_defaults=True)},
    }
