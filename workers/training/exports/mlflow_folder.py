"""Exports a model as a folder that MLflow loads without Millrace, packed as one archive."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from shared.ml import artifacts, signatures, source_code
from workers.training.exports import vendoring

MLFLOW_VERSION = "3.0.0"
"""The oldest release with this layout."""
_EXAMPLES: dict[str, JsonValue] = {"string": "", "timestamp": "2026-01-01T00:00:00Z", "date": "2026-01-01"}


def write(
    artifact: Path,
    *,
    signature: signatures.Signature,
    problem: str,
    label: str,
    created_at: str,
    libraries: Mapping[str, str],
    path: Path,
) -> dict[str, JsonValue]:
    """Write the archive, whose only folder is named by `label`, and describe it."""
    modules = artifacts.list_modules(artifact)
    code = vendoring.copy_code(name for name in modules if source_code.is_ours(name))
    third_party = {name.partition(".")[0] for name in modules if not source_code.is_ours(name)}
    requirements = vendoring.pin_requirements(code.imports | third_party, trained_with=libraries)
    model = _rename_types(code.package, artifact)
    metadata: dict[str, Any] = {"sha256": hashlib.sha256(model).hexdigest(), "signature": signature, "problem": problem}
    python = libraries.get("python") or platform.python_version()
    description = _describe(
        signature, problem=problem, label=label, created_at=created_at, python=python, loader=code.loader
    )
    files = {
        "MLmodel": _to_json(description),
        "data/model.json": _to_json(metadata),
        "data/model.skops": model,
        "requirements.txt": "".join(f"{line}\n" for line in requirements).encode(),
        "python_env.yaml": _to_json({"python": python, "dependencies": ["-r requirements.txt"]}),
        "conda.yaml": _to_json(
            {
                "name": "mlflow-env",
                "channels": ["conda-forge"],
                "dependencies": [f"python={python}", "pip", {"pip": ["mlflow", *requirements]}],
            }
        ),
        "input_example.json": _to_json(_make_example(signature)),
        **{f"code/{name}": text.encode() for name, text in code.files.items()},
    }
    _pack(files, folder=label, path=path)
    return {"folder": label, "requirements": list(requirements), "model_sha256": metadata["sha256"]}


def _rename_types(package: str, artifact: Path) -> bytes:
    """Rewrite the artifact so that our own types have the module names of the copied code."""

    def rename(node: Any) -> Any:
        if isinstance(node, list):
            return [rename(item) for item in node]
        if not isinstance(node, dict):
            return node
        new_node = {key: rename(value) for key, value in node.items()}
        if isinstance(new_node.get("__module__"), str):
            new_node["__module__"] = vendoring.rename_package(new_node["__module__"], package)
        return new_node

    copied = io.BytesIO()
    with zipfile.ZipFile(artifact) as source, zipfile.ZipFile(copied, "w", compression=zipfile.ZIP_STORED) as target:
        for entry in source.infolist():
            if artifacts.is_code(entry.filename):
                continue
            content = source.read(entry)
            if entry.filename == artifacts.SCHEMA:
                content = json.dumps(rename(json.loads(content)), separators=(",", ":")).encode()
            target.writestr(zipfile.ZipInfo(entry.filename, entry.date_time), content)
    return copied.getvalue()


def _describe(
    signature: signatures.Signature, *, problem: str, label: str, created_at: str, python: str, loader: str
) -> dict[str, Any]:
    """Make the content of MLflow's file `MLmodel`, as JSON, which is YAML as well."""
    return {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "loader_module": loader,
                "code": "code",
                "data": "data",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "python_version": python,
            }
        },
        "metadata": {
            "millrace": label,
            "columns": {column["name"]: column["type"] for column in _columns(signature)},
        },
        "mlflow_version": MLFLOW_VERSION,
        "model_uuid": hashlib.sha256(f"{label} {created_at}".encode()).hexdigest()[:32],
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "type": "dataframe",
        },
        "signature": {
            "inputs": json.dumps(_describe_inputs(signature)),
            "outputs": json.dumps(_describe_outputs(signature, problem)),
            "params": json.dumps([{"name": "output", "type": "string", "default": "prediction", "shape": None}]),
        },
        "utc_time_created": created_at.replace("T", " ").rstrip("Z"),
    }


def _columns(signature: signatures.Signature) -> list[dict[str, Any]]:
    columns: Any = signature["columns"]
    return list(columns)


def _describe_inputs(signature: signatures.Signature) -> list[dict[str, JsonValue]]:
    """Describe the inputs by MLflow's type `any`; our loader checks and converts them itself.

    MLflow accepts no whole numbers for `double`, no missing ones for `long` and no time zone for `datetime`, and it
    turns numbers into texts for `string`.
    """
    return [{"name": column["name"], "type": "any", "required": True} for column in _columns(signature)]


def _describe_outputs(signature: signatures.Signature, problem: str) -> list[dict[str, JsonValue]]:
    classes: Any = signature.get("classes")
    if problem != "classification" or not classes:
        types = {"clustering": "long", "anomaly": "boolean", "multilabel": "long"}
        return [{"type": types.get(problem, "double"), "required": True}]
    label_type = "boolean" if isinstance(classes[0], bool) else "long" if isinstance(classes[0], int) else "string"
    return [{"type": label_type, "required": True}]


def _make_example(signature: signatures.Signature) -> dict[str, JsonValue]:
    """Invent an example row, because rows of the training data may be confidential."""
    columns = _columns(signature)
    values: list[JsonValue] = [
        (column.get("categories") or [_EXAMPLES.get(column["type"], 0.0)])[0] for column in columns
    ]
    return {"columns": [column["name"] for column in columns], "data": [values]}


def _to_json(document: Any) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _pack(files: Mapping[str, bytes], *, folder: str, path: Path) -> None:
    """Pack files without owner and time, so that equal exports have equal bytes."""
    with (
        path.open("wb") as target,
        gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
