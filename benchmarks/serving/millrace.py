"""Runs Millrace itself for the serving benchmark: models that are trained and deployed by its API."""

import contextlib
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import httpx

from benchmarks import peers
from benchmarks.serving import data
from benchmarks.serving.rivals import Endpoint
from shared.prediction.logs import batches
from tests import system_under_test

VARIANTS = ("one version", "two versions", "two versions, sticky", "logged too", "logged and shadowed too")
"""What is switched on, step by step: key check and metrics always are. All requests are logged in the fourth and the
last, and a shadow gets all requests of the last."""
WHOLE, SHADOWED = VARIANTS[3:]
_PROBES = 20
_TRAINING = {"target": "y", "problem": "classification", "validation": {"method": "hold_out", "seed": 1}}


@contextlib.contextmanager
def running(folder: pathlib.Path, tasks: list[data.Task], *, processes: int) -> Iterator["Millrace"]:
    """Run the system with deployments of each task, each in all variants; only what serves stays running."""
    settings = {"MILLRACE_INFERENCE_PROCESSES": f"{processes}"}
    with system_under_test.System(folder / "millrace", settings=settings) as system:
        system.start(["api", "sweeper", "inference", "ingestion,training"])
        millrace = Millrace(system)
        for task in tasks:
            millrace.deploy(task)
        millrace.exports = millrace.fetch_exports(tasks, folder)
        # Their share of the cores would be taken from what is measured; serving goes on without them.
        system.stop(["api", "sweeper", "ingestion,training", "valkey"])
        yield millrace


class Millrace:
    """A system whose inference server is measured."""

    def __init__(self, system: system_under_test.System) -> None:
        """Measure this one."""
        self._system = system
        self.exports: dict[str, pathlib.Path] = {}
        """The ONNX models that answer, by task."""

    def endpoint(self, task: data.Task, variant: str) -> Endpoint:
        """Return where a deployment answers."""
        url = f"{self._system.inference_url}/v1/deployments/{_name(task, variant)}/predictions"
        return Endpoint(url, self._system.processes["inference"].pid, self._system.key)

    def deploy(self, task: data.Task) -> None:
        """Train two versions, and deploy them in each variant."""
        client = self._system.client
        headers = {"Content-Type": "text/csv"}
        self._finish(client.post(f"/v1/datasets/{task.name}", content=data.make_csv(task), headers=headers))
        training = {**_TRAINING, "dataset": f"{task.name}@1", "estimator": task.estimator}
        for _ in range(2):
            self._finish(client.post(f"/v1/models/{task.name}", json=training))
        routes = [{"model": f"{task.name}@{number}", "weight": weight} for number, weight in ((1, 90), (2, 10))]
        for variant in VARIANTS:
            document: dict[str, Any] = {
                "routes": routes if variant != VARIANTS[0] else routes[:1],
                "sticky_key": data.STICKY if variant in VARIANTS[2:] else None,
                "log": {} if variant in VARIANTS[3:] else None,
                # To a copy it is the same whether the version answers some of the requests itself.
                "shadow": [{"model": f"{task.name}@1"}] if variant == SHADOWED else [],
                "max_concurrency": 8,
            }
            answer = client.put(f"/v1/deployments/{_name(task, variant)}", json=document)
            if answer.status_code != httpx.codes.OK:
                raise peers.PeerError(answer.text[:500])

    def fetch_exports(self, tasks: list[data.Task], folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Wait until all exports to ONNX have ended and each copy has taken them up; fetch those there are, by task."""
        peers.wait_until(lambda: self._count_exports() == 0, "exports to ONNX")
        found = {}
        for task in tasks:
            answer = self._system.client.get(f"/v1/models/{task.name}/versions/1/export?format=onnx")
            if answer.status_code == httpx.codes.OK:
                found[task.name] = folder / f"{task.name}.onnx"
                found[task.name].write_bytes(answer.content)
                peers.wait_until(lambda task=task: self._is_taken_up(task), f"the ONNX model of {task.name}")  # type: ignore[misc]
        return found

    def _is_taken_up(self, task: data.Task) -> bool:
        """Return whether ONNX Runtime answers in each process, as far as connections reach all by chance."""
        return all(self.read_platform(task) == "onnxruntime_onnx" for _ in range(_PROBES))

    def count_logged(self) -> int:
        """Count the bytes of what copies have stored for logs since nobody writes files of it any more."""
        folder = self._system.home / "objects" / batches.FOLDER
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def read_platform(self, task: data.Task) -> str:
        """Read what answers for a task: ONNX Runtime, or the library."""
        url = f"{self._system.inference_url}/v2/models/{_name(task, WHOLE)}"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {self._system.key}"})
        return str(answer.json().get("platform"))

    def _count_exports(self) -> int:
        time.sleep(0.3)
        states = ("queued", "running")
        get = self._system.client.get
        return sum(len(get(f"/v1/jobs?kind=training.export&state={state}").json()["jobs"]) for state in states)

    def _finish(self, accepted: httpx.Response) -> None:
        if accepted.status_code != httpx.codes.ACCEPTED:
            raise peers.PeerError(accepted.text[:500])
        job = accepted.headers["Location"]
        peers.wait_until(lambda: self._has_ended(job), job)
        if self._system.client.get(job).json()["state"] != "succeeded":
            raise peers.PeerError(self._system.client.get(job).text[:500])

    def _has_ended(self, job: str) -> bool:
        time.sleep(0.1)
        return self._system.client.get(job).json()["state"] not in ("queued", "running")


def _name(task: data.Task, variant: str) -> str:
    return f"{task.name}-{VARIANTS.index(variant)}"
