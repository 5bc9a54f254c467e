"""A model that crashes its reader, or takes all memory or time, ends the process that reads it, and only the job."""

import pathlib
import resource
import signal
import threading
import time

import numpy as np
import psutil
import pytest
from onnx import helper

from shared import errors
from shared.training import imports
from tests.unit.training.imports import models
from workers.training.imports import reading

COMMAND = imports.ImportModel(
    name="bought", source=imports.ModelUpload(type="upload", upload="0" * 26), problem="regression"
)

BOUNDS = reading.Bounds()


def read(folder: pathlib.Path, data: bytes, *, bounds: reading.Bounds = BOUNDS) -> None:
    path = folder / "upload"
    path.write_bytes(data)
    reading.read(path, COMMAND, like=None, artifact=folder / "artifact", scratch=folder, bounds=bounds)


def huge() -> bytes:
    """Make a model of 300 bytes that makes 8 GiB."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        helper.make_node("ReduceMax", ["big"], ["most"], keepdims=0),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "most"], ["y"]),
    ]
    return bytes(models.linear(*nodes, shape=np.array([1 << 31], np.int64)).SerializeToString())


def test_a_crash_of_the_reader_is_a_refusal(tmp_path: pathlib.Path) -> None:
    before = set(psutil.Process().children())

    def crash() -> None:
        while not (readers := set(psutil.Process().children()) - before):
            time.sleep(0.01)
        for reader in readers:
            reader.send_signal(signal.SIGSEGV)

    thread = threading.Thread(target=crash)
    thread.start()
    with pytest.raises(errors.BadModelError, match="its reader crashed"):
        read(tmp_path, models.linear().SerializeToString())
    thread.join()


def test_a_model_that_takes_all_memory_fails_within_the_limit(tmp_path: pathlib.Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, before[1]))
    try:
        with pytest.raises(errors.MillraceError, match=r"more memory to read|reader crashed|can't load"):
            read(tmp_path, huge())
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def test_a_model_that_takes_too_long_fails(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.LimitExceededError, match="takes more than 1 s"):
        read(tmp_path, models.linear().SerializeToString(), bounds=reading.Bounds(cpu_seconds=1))
