"""Runs the peers of the serving benchmark, each in an environment that is made for it, and the floor."""

import contextlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import psutil

from benchmarks import measures, peers
from benchmarks.serving import data
from tests import servers_guard, servers_sources

HERE = pathlib.Path(__file__).parent
_READY_SECONDS = 90.0


class Endpoint(NamedTuple):
    """Where a server answers, and as which process it runs."""

    url: str
    pid: int
    key: str = ""


class Rival(NamedTuple):
    """A peer: its packages, the path of predictions, and how it takes rows."""

    name: str
    packages: tuple[str, ...]
    path: str
    write: Callable[[list[dict[str, Any]]], dict[str, Any]]


RIVALS = (
    Rival("mlserver", ("mlserver", "mlserver-sklearn"), "/v2/models/bench/infer", data.as_tensors),
    Rival("bentoml", ("bentoml", "scikit-learn", "pandas"), "/predict", data.as_frame),
    Rival("litserve", ("litserve", "scikit-learn", "pandas"), "/predict", data.as_frame),
)


def install(rival: Rival, folder: pathlib.Path, *, scikit_learn: str) -> pathlib.Path:
    """Install a peer into its own environment, unless it is there, and return its Python; PeerError when it can't be.

    It gets the scikit-learn that Millrace has, so that all fit the same models.
    """
    python = folder / rival.name / "bin" / "python"
    marker = folder / rival.name / "installed"
    wanted = " ".join([*rival.packages, f"scikit-learn=={scikit_learn}"])
    if not marker.exists() or marker.read_text() != wanted:
        peers.run([sys.executable, "-m", "venv", "--clear", folder / rival.name])
        peers.run([python, "-m", "pip", "install", "--quiet", *wanted.split()])
        marker.write_text(wanted)
    return python


def read_version(python: pathlib.Path, rival: Rival) -> str:
    """Read which version of a peer its environment has."""
    code = f"import importlib.metadata as m; print(m.version({rival.packages[0]!r}))"
    return peers.run([python, "-c", code]).strip()


def fit(python: pathlib.Path, task: data.Task, folder: pathlib.Path) -> pathlib.Path:
    """Fit a task's model in a peer's environment."""
    source, target = folder / f"{task.name}.csv", folder / f"{task.name}.joblib"
    source.write_bytes(data.make_csv(task))
    peers.run([python, HERE / "peers" / "fit.py", source, task.name, target])
    return target


@contextlib.contextmanager
def serving(rival: Rival, python: pathlib.Path, model: pathlib.Path, folder: pathlib.Path) -> Iterator[Endpoint]:
    """Let a peer serve a model while the block runs."""
    port = servers_sources.free_port()
    command, env = _prepare(rival, python, model, folder, port=port)
    with _running(command, folder / f"{rival.name}.log", env=env) as process:
        url = f"http://127.0.0.1:{port}{rival.path}"
        [rows] = data.make_requests(data.TASKS[0], rows=1)[:1]
        wait_until_answered(url, rival.write(rows), process=process)
        yield Endpoint(url, process.pid)


def _prepare(
    rival: Rival, python: pathlib.Path, model: pathlib.Path, folder: pathlib.Path, *, port: int
) -> tuple[list[Any], dict[str, str]]:
    env = {**os.environ, "BENCH_MODEL": f"{model}", "BENTOML_HOME": f"{folder / 'bento'}", "OMP_NUM_THREADS": "1"}
    env["BENTOML_DO_NOT_TRACK"] = "True"
    match rival.name:
        case "mlserver":
            place = folder / "mlserver"
            place.mkdir(exist_ok=True)
            # In one process, which the prototype found faster than parallel workers on two cores.
            settings: dict[str, Any] = {
                "http_port": port,
                "grpc_port": servers_sources.free_port(),
                "parallel_workers": 0,
            }
            settings |= {"metrics_port": servers_sources.free_port(), "host": "127.0.0.1", "debug": False}
            (place / "settings.json").write_text(json.dumps(settings))
            document = {
                "name": "bench",
                "implementation": "mlserver_sklearn.SKLearnModel",
                "max_batch_size": 256,
                "max_batch_time": 0.002,
                "parameters": {"uri": f"{model}"},
            }
            (place / "model-settings.json").write_text(json.dumps(document))
            return [python.with_name("mlserver"), "start", place], env
        case "bentoml":
            options = ["--host", "127.0.0.1", "--port", f"{port}", "--working-dir", HERE / "peers"]
            return [python.with_name("bentoml"), "serve", "bento:Bench", *options], env
        case _:
            return [python, HERE / "peers" / "lit.py", f"{port}"], env


@contextlib.contextmanager
def serving_floor(model: pathlib.Path, folder: pathlib.Path, *, processes: int) -> Iterator[Endpoint]:
    """Let the floor serve an ONNX model while the block runs."""
    port = servers_sources.free_port()
    command = [sys.executable, "-m", "benchmarks.serving.floor", f"{model}", f"{port}", f"{processes}"]
    with _running(command, folder / "floor.log", env=dict(os.environ)) as process:
        url = f"http://127.0.0.1:{port}/"
        wait_until_answered(f"{url}nothing", {}, process=process)
        yield Endpoint(url, process.pid)


@contextlib.contextmanager
def _running(command: list[Any], log: pathlib.Path, *, env: dict[str, str]) -> Iterator[servers_guard.Guarded]:
    process = servers_guard.Guarded([f"{part}" for part in command], log=log, env=env, cwd=peers.CHECKOUT)
    try:
        yield process
    finally:
        # BentoML's workers are in sessions of their own, which end with nobody.
        tree = measures.find_tree(process.pid) if process.alive() else []
        process.end()
        for left in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


def wait_until_answered(
    url: str, body: dict[str, Any], *, process: servers_guard.Guarded, key: str = ""
) -> httpx.Response:
    """Post until a server answers with 200 or says what is wrong with the rows; PeerError when it doesn't in time."""
    until, seen = time.monotonic() + _READY_SECONDS, "no answer"
    while time.monotonic() < until and process.alive():
        try:
            answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=10)
            if answer.status_code == httpx.codes.OK:
                return answer
            seen = answer.text[:500]
        except httpx.TransportError as error:
            seen = f"{error}"
        time.sleep(0.2)
    raise peers.PeerError(f"{url} isn't ready: {seen}")


def describe_failure(error: BaseException) -> str:
    """Describe why a peer is left out, in its last line."""
    lines = f"{error}".strip().splitlines() or [type(error).__name__]
    return lines[-1][-200:]
