"""Compares predicting requests that wait together with one by one: `python -m benchmarks.serving.batching`.

The library answers, without ONNX and without HTTP: clients ask the data plane for one row each, again and again. Both
ways take turns, and requests are counted by the second of processor time, so that what else the machine does falls out;
the table has the medians of the rounds. OpenMP has one thread, as in the inference server.
"""

import asyncio
import io
import itertools
import os
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

import pandas as pd
from sklearn import ensemble, pipeline

from benchmarks.serving import data
from shared import contract, digests
from shared.ml import artifacts, signatures
from shared.ml.recipes import compiling
from shared.prediction import shares
from workers.prediction.online import rows
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.plane import Plane
from workers.prediction.online.versions import Version

SECONDS, ROUNDS = 1.5, 3
LOADS = ((1, 4), (8, 4), (8, 8), (32, 4), (32, 32))
"""How many clients ask at once, and how many of them the deployment answers at once."""
ESTIMATORS: dict[str, Any] = {
    "200 trees": ensemble.RandomForestClassifier(200, max_depth=8, random_state=0),
    "histogram boosting": ensemble.HistGradientBoostingClassifier(random_state=0),
}


def main() -> None:
    """Measure, and print a table."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # It is read when the libraries are loaded.
        os.execve(
            sys.executable,
            [sys.executable, "-m", "benchmarks.serving.batching"],
            {**os.environ, "OMP_NUM_THREADS": "1"},
        )
    print("| model | columns | clients | at once | one by one, 1/s | together, 1/s | ratio | p99 in ms of both |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for (name, estimator), is_mixed in itertools.product(ESTIMATORS.items(), (False, True)):
            task = data.Task(name, is_mixed, {})
            version = _load(task, estimator, pathlib.Path(folder))
            given: list[rows.Columns] = [rows.from_records(each) for each in data.make_requests(task, rows=1)]
            for clients, at_once in LOADS:
                alone, together = _compare(version, given, clients=clients, at_once=at_once)
                print(
                    f"| {name} | {'mixed' if is_mixed else 'numbers'} | {clients} | {at_once} | {alone[0]:.0f} | "
                    f"{together[0]:.0f} | {together[0] / alone[0]:.2f} | {alone[1]:.0f}, {together[1]:.0f} |",
                    flush=True,
                )


def _load(task: data.Task, estimator: Any, folder: pathlib.Path) -> Version:
    """Fit a model with the recipe that training would infer, store it, and load it as a copy does."""
    table = pd.read_csv(io.BytesIO(data.make_csv(task))).drop(columns=[data.STICKY])
    frame, labels = table.drop(columns=["y"]), table["y"].to_numpy(dtype=object)
    columns = [contract.Column(name=f"{name}", type="string" if name in data.WORDS else "number") for name in frame]
    recipe = compiling.infer_recipe(frame, columns=columns, target=None).recipe
    transformer = compiling.compile_recipe(recipe, columns=columns, numbers_only=True)
    model = pipeline.Pipeline([("recipe", transformer), ("estimator", estimator)]).fit(frame, labels)
    path = folder / "model.skops"
    artifacts.save(model, path)
    signature = signatures.make_signature(
        frame, columns=columns, problem="classification", classes=model.classes_.tolist()
    )
    pin = contract.ModelPin(
        name="bench",
        version=1,
        key="bench",
        sha256=digests.of_file(path),
        signature=signature,
        problem="classification",
        target="y",
    )
    return Version(pin, path)


def _compare(
    version: Version, given: list[rows.Columns], *, clients: int, at_once: int
) -> tuple[list[float], list[float]]:
    """Measure both ways by turns: requests a second of processor time, and the 99th percentile of latencies in ms."""
    measured: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(ROUNDS):
        for is_together in (False, True):
            version.may_batch = is_together
            measured[is_together].append(asyncio.run(_load_plane(version, given, clients=clients, at_once=at_once)))
    alone, together = ([statistics.median(each) for each in zip(*measured[way], strict=True)] for way in (False, True))
    return alone, together


async def _load_plane(
    version: Version, given: list[rows.Columns], *, clients: int, at_once: int
) -> tuple[float, float]:
    plane, latencies = Plane(), list[float]()
    deployed = Deployed(
        tenant_id="bench",
        name="bench",
        revision=1,
        sticky_key=None,
        max_concurrency=at_once,
        max_waiting=clients,
        timeout_seconds=30,
        versions=(version,),
        table=bytes(shares.PLACES),
        fallback=None,
    )
    end = time.perf_counter() + SECONDS

    async def ask(own: int) -> None:
        for number in itertools.count(own):
            began = time.perf_counter()
            if began >= end:
                return
            row = given[number % len(given)]
            await plane.within(deployed, lambda row=row: plane.predict(deployed, row, rows_count=1))  # type: ignore[misc]
            latencies.append(time.perf_counter() - began)

    began = time.process_time()
    await asyncio.gather(*(ask(own) for own in range(clients)))
    seconds = time.process_time() - began
    plane.close()
    return len(latencies) / seconds, statistics.quantiles(latencies, n=100)[-1] * 1e3


if __name__ == "__main__":
    main()
