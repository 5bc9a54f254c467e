"""`make bench-search`: a search over two worker processes, compared with RandomizedSearchCV(n_jobs=2) in one run.

Small: 24 trials of a random forest on 5,000 rows. Large: 8 trials of histogram gradient boosting on 500,000 rows. Both
sides get the same Parquet file, pipeline, draws, folds, metric and threads, and must find the same values. Millrace's
time runs from the request to the job's end, with everything that scikit-learn doesn't do: reading the file, checking
for leaks, every metric, curves, the stored artifact. scikit-learn's runs from `fit` to its end, with the start of its
processes and without reading the file. Memory is the greatest sum, over all processes of the pool (or of joblib's and
their parent), of the proportional set size, which counts shared memory once.
"""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import psutil
from sklearn import datasets

from tests import system_under_test

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
PROCESSES = 2
FOLDS = 3
SEED = 7
POLL_SECONDS = 0.05
SAMPLE_SECONDS = 0.25
METRIC = "roc_auc"


@dataclasses.dataclass(frozen=True)
class Case:
    """What is searched, and how much more time and memory than scikit-learn it may take."""

    name: str
    rows: int
    columns: int
    trials: int
    estimator: str
    params: dict[str, Any]
    space: dict[str, Any]
    most_time: float
    most_memory: float = 1.3


CASES = {
    "small": Case(
        "small",
        rows=5_000,
        columns=20,
        trials=24,
        estimator="RandomForestClassifier",
        params={"n_estimators": 50, "random_state": 0},
        space={
            "max_depth": {"int_low": 3, "int_high": 12},
            "min_samples_leaf": {"int_low": 1, "int_high": 20},
            "max_features": {"low": 0.1, "high": 1.0},
        },
        most_time=1.5,
    ),
    "large": Case(
        "large",
        rows=500_000,
        columns=20,
        trials=8,
        estimator="HistGradientBoostingClassifier",
        params={"max_iter": 60, "early_stopping": False, "random_state": 0},
        space={
            "learning_rate": {"low": 0.03, "high": 0.3, "log": True},
            "max_leaf_nodes": {"int_low": 15, "int_high": 63},
            "min_samples_leaf": {"int_low": 10, "int_high": 200},
        },
        most_time=1.15,
    ),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What one search took and found: seconds, greatest memory, and each trial's value in the order of the trials."""

    seconds: float
    megabytes: float
    values: list[float]


class Memory:
    """Samples the memory of some processes while its block runs."""

    def __init__(self, find: Callable[[], list[psutil.Process]]) -> None:
        """Prepare to sample the processes that `find` returns."""
        self._find = find
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.most_bytes = 0

    def __enter__(self) -> "Memory":
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sampling."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.most_bytes = max(self.most_bytes, sum(_proportional_bytes(process) for process in self._find()))


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


def find_tree(pid: int) -> list[psutil.Process]:
    """Find a process and all its descendants; none when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def make_data(case: Case, path: pathlib.Path) -> None:
    """Write a table of numbers with a target that partly follows from them."""
    features, target = datasets.make_classification(
        case.rows, case.columns, n_informative=case.columns // 2, flip_y=0.1, random_state=SEED
    )
    frame = pd.DataFrame(features, columns=[f"x{number}" for number in range(case.columns)])
    frame.assign(target=np.where(target == 1, "yes", "no")).to_parquet(path, index=False)


class Millrace:
    """The system under test, embedded: the API, the sweeper, and one worker whose pool has two processes."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Start the system."""
        self._system = system_under_test.System(folder, settings={"MILLRACE_WORKER_CONCURRENCY": str(PROCESSES)})
        self._system.prepare()
        self._system.start(["api", "sweeper", "ingestion", "training"])

    def close(self) -> None:
        """Stop the system."""
        self._system.close()

    def load(self, case: Case, path: pathlib.Path) -> None:
        """Load a case's data, which is not measured."""
        response = self._system.client.post(
            f"/v1/datasets/{case.name}",
            content=path.read_bytes(),
            headers={"Content-Type": "application/vnd.apache.parquet"},
            timeout=300.0,
        )
        self._wait(response.raise_for_status().json()["id"])

    def measure(self, case: Case) -> Run:
        """Search, and measure from the request to the job's end."""
        params = {
            "dataset": f"{case.name}@latest",
            "target": "target",
            "problem": "classification",
            "estimator": {"name": case.estimator, "params": case.params},
            "validation": {"method": "cross_validation", "folds": FOLDS, "seed": SEED},
            "search": {"method": "random", "trials": case.trials, "seed": SEED, "space": case.space, "metric": METRIC},
        }
        worker = self._system.processes["training"].pid
        with Memory(lambda: find_tree(worker)) as memory:
            since = time.monotonic()
            document = {"kind": "training.search", "params": {**params, "name": case.name}}
            response = self._system.client.post("/v1/jobs", json=document)
            job = self._wait(response.raise_for_status().json()["id"])
            seconds = time.monotonic() - since
        leaderboard = sorted(job["result"]["search"]["leaderboard"], key=lambda row: row["trial"])
        return Run(seconds, memory.most_bytes / 1e6, [row["value"] for row in leaderboard])

    def _wait(self, job_id: str) -> dict[str, Any]:
        while True:
            job: dict[str, Any] = self._system.client.get(f"/v1/jobs/{job_id}").json()
            if job["state"] in ("failed", "cancelled", "dead"):
                raise SystemExit(f"{job['kind']} {job['state']}: {job['error']}")
            if job["state"] == "succeeded":
                return job
            time.sleep(POLL_SECONDS)


def measure_scikit_learn(case: Case, path: pathlib.Path) -> Run:
    """Search with scikit-learn in a process of its own, and measure it."""
    command = [sys.executable, "-m", "benchmarks.search_peer", case.name, str(path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        with Memory(lambda: find_tree(process.pid)) as memory:
            printed, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    result = json.loads(printed)
    return Run(result["seconds"], memory.most_bytes / 1e6, result["values"])


def compare(case: Case, millrace: Run, peer: Run) -> bool:
    """Print both sides and their ratios; return False when a target is missed or the values differ."""
    difference = max(abs(ours - theirs) for ours, theirs in zip(millrace.values, peer.values, strict=True))
    print(f"{case.name}: {case.trials} trials of {case.estimator} on {case.rows:,} rows, {FOLDS} folds")
    print(f"  {'Millrace':<30} {millrace.seconds:8.2f} s {millrace.megabytes:9,.0f} MB")
    print(f"  {f'RandomizedSearchCV(n_jobs={PROCESSES})':<30} {peer.seconds:8.2f} s {peer.megabytes:9,.0f} MB")
    print(f"  greatest difference of a trial's {METRIC}: {difference:.1e}")
    is_met = difference <= 1e-9
    for what, ratio, most in (
        ("time", millrace.seconds / peer.seconds, case.most_time),
        ("memory", millrace.megabytes / peer.megabytes, case.most_memory),
    ):
        is_met = is_met and ratio <= most
        print(f"  {what:<30} {ratio:8.2f} times (≤ {most:.2f}) {'met' if ratio <= most else 'NOT met'}")
    return is_met


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases; return 1 when a target is missed and --strict is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CASES, help="measure one case")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    arguments = parser.parse_args(argv)
    is_met = True
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as temporary:
        folder = pathlib.Path(temporary)
        for name in [arguments.only] if arguments.only else CASES:
            case, path = CASES[name], folder / f"{name}.parquet"
            make_data(case, path)
            # Neither side runs while the other is measured.
            peer = measure_scikit_learn(case, path)
            system = Millrace(folder / name)
            try:
                system.load(case, path)
                millrace = system.measure(case)
            finally:
                system.close()
            is_met = compare(case, millrace, peer) and is_met
    return 0 if is_met or not arguments.strict else 1


if __name__ == "__main__":
    sys.exit(main())
