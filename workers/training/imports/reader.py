"""Reads one foreign model in a process of its own: python -m workers.training.imports.reader, started by reading.py.

Readers of models run native code, which anybody's bytes may crash, hang or fill with memory; here the kernel limits
them, and none of it is the worker's end. docs/decisions/imports.md, "A foreign model is read in a process of its own".
"""

import dataclasses
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from shared import digests, errors, storable
from shared.ml import artifacts, signatures
from shared.training import imports
from workers.training.imports import (
    exit_codes,
    formats,
    lightgbm_text,
    mlflow_archive,
    onnx_import,
    probing,
    xgboost_json,
)
from workers.training.imports.candidate import Candidate, Reading, Request
from workers.training.libraries import versions_of

_READERS = {"onnx": onnx_import.read, "lightgbm": lightgbm_text.read, "xgboost": xgboost_json.read}


def main() -> None:
    """Read the instructions from standard input, write the artifact, and write what was read beside it."""
    instructions = json.load(sys.stdin)
    answer = Path(instructions["answer"])
    set_limits(**instructions["bounds"])
    try:
        document = {"reading": read(instructions).model_dump(mode="json")}
    except errors.PermanentError as error:
        document = {"error": {"message": error.message, "pointer": error.pointer}}
    except MemoryError:
        os._exit(exit_codes.OUT_OF_MEMORY)
    answer.write_text(json.dumps(document), encoding="utf-8")


def set_limits(*, cpu_seconds: int, output_bytes: int) -> None:
    """Let the kernel end this process when it exceeds its limits; that of memory is the worker's."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (output_bytes, output_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(instructions: dict[str, Any]) -> Reading:
    """Read a model, try it, and write its artifact; BadModelError or UnsafeArtifactError for one that isn't taken."""
    command = imports.ImportModel.model_validate(instructions["command"])
    request = Request.of(command, instructions["like"])
    path, artifact = Path(instructions["path"]), Path(instructions["artifact"])
    scratch = Path(instructions["scratch"])
    candidate, request, run = _read_candidate(path, request, asked=command.format, scratch=scratch)
    signature, notes = candidate.sign(request)
    model = candidate.model
    artifacts.save(model, artifact)
    stored = artifacts.load(artifact, sha256=digests.of_file(artifact))
    warnings = probing.probe(stored, signature, problem=candidate.problem)
    required = probing.find_required(stored, signature, problem=candidate.problem)
    if required:
        signature, note = _require(signature, required)
        notes.append(note)
    reading = Reading(
        format=candidate.format,
        problem=candidate.problem,
        target=request.target,
        signature=signature,
        facts=candidate.facts | ({} if run is None else {"run": run}),
        libraries=versions_of(candidate.libraries),
        warnings=warnings,
        notes=[*candidate.notes, *notes],
    )
    return _require_storable(reading)


def _require_storable(reading: Reading) -> Reading:
    """Refuse names and classes that no database takes, such as one with a NUL character."""
    pending: list[Any] = [reading.model_dump(mode="python")]
    while pending:
        value = pending.pop()
        if isinstance(value, dict | list):
            pending.extend([*value.keys(), *value.values()] if isinstance(value, dict) else value)
        elif isinstance(value, str) and storable.to_text(value) != value:
            raise errors.BadModelError(f"the model has a name that can't be stored: {storable.to_text(value)[:100]!r}")
    return reading


def _require(signature: signatures.Signature, names: set[str]) -> tuple[signatures.Signature, str]:
    """Let columns of a signature never be missing, and say so."""
    columns: Any = signature["columns"]
    changed = [
        column | {"nullable": False, "required": True} if column["name"] in names else column for column in columns
    ]
    shown = ", ".join(repr(name) for name in sorted(names)[:10]) + (", …" if len(names) > 10 else "")
    note = f"The model has no answer to rows without a value in {shown}; such rows are refused."
    return {**signature, "columns": changed}, note


def _read_candidate(
    path: Path, request: Request, *, asked: imports.Format | None, scratch: Path
) -> tuple[Candidate, Request, str | None]:
    """Read a model; return with it what is known of it, and the run that an MLflow folder names."""
    format_ = formats.require(path, asked)
    run = None
    if format_ == "mlflow":
        found = mlflow_archive.unpack(path, scratch=scratch)
        path, run = found.path, found.run
        format_ = formats.require(path, found.format)
        columns = request.columns or found.columns
        request = dataclasses.replace(request, columns=columns, folder=found.path.parent)
    return _READERS[format_](path, request), request, run


if __name__ == "__main__":
    main()
