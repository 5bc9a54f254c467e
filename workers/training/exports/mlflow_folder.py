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

from shared.ml import signatures
from workers.training.exports import vendoring

MLFLOW_VERSION = "3.0.0"
"""The oldest release whose layout this is."""
_SCHEMA = "schema.json"
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
    modules = _modules_in(artifact)
    code = vendoring.copy_code(name for name in modules if vendoring.is_ours(name))
    held = {name.partition(".")[0] for name in modules if not vendoring.is_ours(name)}
    pinned = vendoring.requirements(code.imports | held, trained_with=libraries)
    model = _with_types_in(code.package, artifact)
    about: dict[str, Any] = {"sha256": hashlib.sha256(model).hexdigest(), "signature": signature, "problem": problem}
    python = libraries.get("python") or platform.python_version()
    described = _describe(
        signature, problem=problem, label=label, created_at=created_at, python=python, loader=code.loader
    )
    files = {
        "MLmodel": _text(described),
        "data/model.json": _text(about),
        "data/model.skops": model,
        "requirements.txt": "".join(f"{line}\n" for line in pinned).encode(),
        "python_env.yaml": _text({"python": python, "dependencies": ["-r requirements.txt"]}),
        "conda.yaml": _text(
            {
                "name": "mlflow-env",
                "channels": ["conda-forge"],
                "dependencies": [f"python={python}", "pip", {"pip": ["mlflow", *pinned]}],
            }
        ),
        "input_example.json": _text(_example(signature)),
        **{f"code/{name}": text.encode() for name, text in code.files.items()},
    }
    _pack(files, folder=label, path=path)
    return {"folder": label, "requirements": list(pinned), "model_sha256": about["sha256"]}


def _modules_in(artifact: Path) -> set[str]:
    """Give the modules of the types that an artifact holds."""
    modules: set[str] = set()

    def look(node: Any) -> None:
        if isinstance(node, dict) and isinstance(node.get("__module__"), str):
            modules.add(node["__module__"])
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            look(child)

    with zipfile.ZipFile(artifact) as source:
        look(json.loads(source.read(_SCHEMA)))
    return modules


def _with_types_in(package: str, artifact: Path) -> bytes:
    """Give the artifact with our own types named as the copied code names them."""

    def renamed(node: Any) -> Any:
        if isinstance(node, list):
            return [renamed(item) for item in node]
        if not isinstance(node, dict):
            return node
        made = {key: renamed(value) for key, value in node.items()}
        if isinstance(made.get("__module__"), str):
            made["__module__"] = vendoring.rename(made["__module__"], package)
        return made

    copied = io.BytesIO()
    with zipfile.ZipFile(artifact) as source, zipfile.ZipFile(copied, "w", compression=zipfile.ZIP_STORED) as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == _SCHEMA:
                content = json.dumps(renamed(json.loads(content)), separators=(",", ":")).encode()
            target.writestr(zipfile.ZipInfo(entry.filename, entry.date_time), content)
    return copied.getvalue()


def _describe(
    signature: signatures.Signature, *, problem: str, label: str, created_at: str, python: str, loader: str
) -> dict[str, Any]:
    """Give MLflow's own description; JSON is YAML."""
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
            "inputs": json.dumps(_inputs(signature)),
            "outputs": json.dumps(_outputs(signature, problem)),
            "params": json.dumps([{"name": "output", "type": "string", "default": "prediction", "shape": None}]),
        },
        "utc_time_created": created_at.replace("T", " ").rstrip("Z"),
    }


def _columns(signature: signatures.Signature) -> list[dict[str, Any]]:
    columns: Any = signature["columns"]
    return list(columns)


def _inputs(signature: signatures.Signature) -> list[dict[str, JsonValue]]:
    """Give MLflow's types: `any` for all but texts.

    MLflow takes no whole numbers where it is told `double`, no missing ones where it is told `long` and no time zone
    where it is told `datetime`; what we take of these is checked and converted by the loader.
    """
    return [
        {"name": column["name"], "type": "string" if column["type"] == "string" else "any", "required": True}
        for column in _columns(signature)
    ]


def _outputs(signature: signatures.Signature, problem: str) -> list[dict[str, JsonValue]]:
    classes: Any = signature.get("classes")
    if problem != "classification" or not classes:
        known = {"clustering": "long", "anomaly": "boolean", "multilabel": "long"}
        return [{"type": known.get(problem, "double"), "required": True}]
    kind = "boolean" if isinstance(classes[0], bool) else "long" if isinstance(classes[0], int) else "string"
    return [{"type": kind, "required": True}]


def _example(signature: signatures.Signature) -> dict[str, JsonValue]:
    """Make a row up: the rows of the training data are nobody's business."""
    columns = _columns(signature)
    values: list[JsonValue] = [
        (column.get("categories") or [_EXAMPLES.get(column["type"], 0.0)])[0] for column in columns
    ]
    return {"columns": [column["name"] for column in columns], "data": [values]}


def _text(document: Any) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _pack(files: Mapping[str, bytes], *, folder: str, path: Path) -> None:
    """Pack files, of no owner and no time, so that equal exports are equal bytes."""
    with (
        path.open("wb") as target,
        gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
