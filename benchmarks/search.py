"""`make bench-search`: a search over two worker processes, beside RandomizedSearchCV(n_jobs=2), in one run.

Small: 24 trials of a random forest on 5,000 rows. Large: 8 trials of histogram gradient boosting on 500,000 rows. Both
sides get the same Parquet file, pipeline, draws, folds, metric and threads, and must find the same values. Millrace's
time runs from the request to the job's end, with everything that scikit-learn doesn't do: reading the file, looking
for leaks, every metric, curves, the stored artifact. scikit-learn's runs from `fit` to its end, with the start of its
processes and without reading the file. Memory is the greatest sum, over all processes of the pool (or of joblib's and
their parent), of the proportional set size, in which what processes share counts once.
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
    """What is searched, and how much longer than scikit-learn it may take."""

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
    """What one search took and found: seconds, greatest memory, and each trial's value by its number."""

    seconds: float
    megabytes: float
    values: list[float]


class Memory:
    """Samples the memory of some processes until it is left."""

    def __init__(self, find: Callable[[], list[psutil.Process]]) -> None:
        """Keep how to find them."""
        self._find = find
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.most_bytes = 0

    def __enter__(self) -> "Memory":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.most_bytes = max(self.most_bytes, sum(_proportional_bytes(each) for each in self._find()))


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


def tree_of(pid: int) -> list[psutil.Process]:
    """Give a process and all below it; none when it is gone."""
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


class Ours:
    """The system under test, embedded: the API, the sweeper, and one worker whose pool has two processes."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Start it."""
        self._system = system_under_test.System(folder, settings={"MILLRACE_WORKER_CONCURRENCY": str(PROCESSES)})
        self._system.prepare()
        self._system.start(["api", "sweeper", "ingestion", "training"])

    def close(self) -> None:
        """Stop it."""
        self._system.close()

    def load(self, case: Case, path: pathlib.Path) -> None:
        """Load a case's data, which is not measured."""
        answer = self._system.client.post(
            f"/v1/datasets/{case.name}",
            content=path.read_bytes(),
            headers={"Content-Type": "application/vnd.apache.parquet"},
            timeout=300.0,
        )
        self._wait(answer.raise_for_status().json()["id"])

    def measure(self, case: Case) -> Run:
        """Search, from the request to the job's end."""
        order = {
            "dataset": f"{case.name}@latest",
            "target": "target",
            "problem": "classification",
            "estimator": {"name": case.estimator, "params": case.params},
            "validation": {"method": "cross_validation", "folds": FOLDS, "seed": SEED},
            "search": {"method": "random", "trials": case.trials, "seed": SEED, "space": case.space, "metric": METRIC},
        }
        worker = self._system.processes["training"].pid
        with Memory(lambda: tree_of(worker)) as memory:
            since = time.monotonic()
            document = {"kind": "training.search", "params": {**order, "name": case.name}}
            answer = self._system.client.post("/v1/jobs", json=document)
            job = self._wait(answer.raise_for_status().json()["id"])
            seconds = time.monotonic() - since
        board = sorted(job["result"]["search"]["leaderboard"], key=lambda row: row["trial"])
        return Run(seconds, memory.most_bytes / 1e6, [row["value"] for row in board])

    def _wait(self, job_id: str) -> dict[str, Any]:
        while True:
            job: dict[str, Any] = self._system.client.get(f"/v1/jobs/{job_id}").json()
            if job["state"] in ("failed", "cancelled", "dead"):
                raise SystemExit(f"{job['kind']} {job['state']}: {job['error']}")
            if job["state"] == "succeeded":
                return job
            time.sleep(POLL_SECONDS)


def measure_theirs(case: Case, path: pathlib.Path) -> Run:
    """Let scikit-learn search in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.search_peer", case.name, str(path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        with Memory(lambda: tree_of(process.pid)) as memory:
            printed, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    found = json.loads(printed)
    return Run(found["seconds"], memory.most_bytes / 1e6, found["values"])


def compare(case: Case, ours: Run, theirs: Run) -> bool:
    """Print both sides and their ratios; False when a target is missed or the values differ."""
    apart = max(abs(mine - other) for mine, other in zip(ours.values, theirs.values, strict=True))
    print(f"{case.name}: {case.trials} trials of {case.estimator} on {case.rows:,} rows, {FOLDS} folds")
    print(f"  {'Millrace':<30} {ours.seconds:8.2f} s {ours.megabytes:9,.0f} MB")
    print(f"  {f'RandomizedSearchCV(n_jobs={PROCESSES})':<30} {theirs.seconds:8.2f} s {theirs.megabytes:9,.0f} MB")
    print(f"  greatest difference of a trial's {METRIC}: {apart:.1e}")
    met = apart <= 1e-9
    for what, ratio, most in (
        ("time", ours.seconds / theirs.seconds, case.most_time),
        ("memory", ours.megabytes / theirs.megabytes, case.most_memory),
    ):
        met = met and ratio <= most
        print(f"  {what:<30} {ratio:8.2f} times (≤ {most:.2f}) {'met' if ratio <= most else 'NOT met'}")
    return met


def main(given: Sequence[str] | None = None) -> int:
    """Run the cases; with --strict 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CASES, help="measure one case")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    arguments = parser.parse_args(given)
    good = True
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as temporary:
        folder = pathlib.Path(temporary)
        for name in [arguments.only] if arguments.only else CASES:
            case, path = CASES[name], folder / f"{name}.parquet"
            make_data(case, path)
            # Neither side runs while the other is measured.
            theirs = measure_theirs(case, path)
            system = Ours(folder / name)
            try:
                system.load(case, path)
                ours = system.measure(case)
            finally:
                system.close()
            good = compare(case, ours, theirs) and good
    return 0 if good or not arguments.strict else 1


if __name__ == "__main__":
    sys.exit(main())
