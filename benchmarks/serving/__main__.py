"""Measures the inference server beside MLServer, BentoML and LitServe, and the floor beside them all.

    python -m benchmarks.serving [--quick] [--seconds 4] [--rounds 3] [--tasks mixed,…] [--peers mlserver,…]

Each answers the same rows. Peers fit their own models with the estimators and parameters that Millrace trains, on the
same table and with the same scikit-learn; that their answers are equal is not checked. Peers answer by scikit-learn
with their batching, in an environment below var/ that this makes; Millrace and the floor by ONNX Runtime. MLServer runs
in one process, all others in two. Millrace is `python -m workers.prediction.online` with deployments that were made by
the API, and checks a key, chooses between two versions by a sticky key, counts, and logs every request. All take turns,
so that whatever else the machine does affects all; trust ratios only. The floor is the same ONNX call in a bare WSGI
callable on the same server. Exits with 1 when a target is missed.
"""

import argparse
import contextlib
import hashlib
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import sklearn

from benchmarks import measures, peers
from benchmarks.serving import data, load, millrace, rivals

CACHE = peers.CHECKOUT / "var" / "bench-serving"
"""Where environments of peers are kept between runs; git ignores it."""
PROCESSES = 2
CLIENTS, QUICK_CLIENTS = (1, 8, 32, 512), (8,)
ROWS, QUICK_ROWS = (1, 32), (1,)
TARGETS = {"mixed": (20.0, 10.0), "forest": (12.0, 6.0), "boosting": (12.0, 6.0)}
"""At 8 clients and 1 row: how many times the better of MLServer and BentoML, and how many times LitServe."""
LEAST_OF_FLOOR, MOST_COST, MOST_TAIL, MOST_SHADOW_COST = 0.5, 0.15, 10.0, 0.02
_OURS, _FLOOR = "millrace", "floor"
_COUNTED_CLIENTS, _CROWD = 8, 512

Case = tuple[str, int, int]
"""A task's name, rows in a request, and clients."""
Results = dict[tuple[str, Case], list[load.Load]]


class Bench:
    """What takes turns."""

    def __init__(self, arguments: argparse.Namespace, folder: pathlib.Path) -> None:
        """Find the load generator; nothing runs yet."""
        self.seconds: float = arguments.seconds
        self.rounds: int = arguments.rounds
        self.cases = [(rows, clients) for rows in arguments.rows for clients in arguments.clients]
        self.folder = folder
        self.generator = load.LoadGenerator(CACHE / "wrk")
        self.results: Results = {}

    def measure(
        self, name: str, task: data.Task, endpoint: rivals.Endpoint, write: Callable[[list[Any]], dict[str, Any]]
    ) -> None:
        """Measure one server with all numbers of rows and clients."""
        for rows, clients in self.cases:
            bodies = [write(each) for each in data.make_requests(task, rows=rows)]
            found = self.generator.run(
                endpoint.url, bodies, clients=clients, seconds=self.seconds, pid=endpoint.pid, key=endpoint.key
            )
            self.results.setdefault((name, (task.name, rows, clients)), []).append(found)


def measure_task(
    bench: Bench, task: data.Task, ours: millrace.Millrace, pythons: dict[rivals.Rival, pathlib.Path]
) -> None:
    """Let all that serve a task take turns; a peer that fails is named and left out."""
    models: dict[rivals.Rival, pathlib.Path] = {}
    for rival, python in pythons.items():
        place = bench.folder / rival.name
        place.mkdir(exist_ok=True)
        models[rival] = rivals.fit(python, task, place)
    for _ in range(bench.rounds):
        for variant in millrace.VARIANTS:
            name = _OURS if variant == millrace.WHOLE else f"{_OURS}, {variant}"
            bench.measure(name, task, ours.endpoint(task, variant), data.as_instances)
        if task.name in ours.exports:
            with rivals.serving_floor(ours.exports[task.name], bench.folder, processes=PROCESSES) as endpoint:
                bench.measure(_FLOOR, task, endpoint, data.as_instances)
        for rival, model in list(models.items()):
            try:
                with rivals.serving(rival, pythons[rival], model, bench.folder / rival.name) as endpoint:
                    bench.measure(rival.name, task, endpoint, rival.write)
            except (peers.PeerError, OSError) as error:
                print(f"{rival.name} is left out of {task.name}: {rivals.describe_failure(error)}", flush=True)
                del models[rival]


def show(results: Results, case: Case) -> None:
    """Print what was measured of one case, a line a server, with ratios to our rate."""
    task, rows, clients = case
    print(f"\n{task}, {rows} row{'s' if rows > 1 else ''}, {clients} client{'s' if clients > 1 else ''}")
    print(f"{'':36}{'requests/s':>11}{'ours is':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>9}{'429':>7}{'failed':>8}")
    ours = _median(results, _OURS, case).rate
    for name in dict.fromkeys(each for each, of in results if of == case):
        found = _median(results, name, case)
        print(
            f"{name:36}{found.rate:11,.0f}{ours / max(found.rate, 0.1):8.2f}x{found.p50:9.2f}{found.p99:9.2f}"
            f"{found.cpu:9,.0f}{found.refused:7}{found.failed:8}"
        )


def _median(results: Results, name: str, case: Case) -> load.Load:
    """Compute the median of each figure; failures are added up."""
    runs = results[name, case]
    rate, p50, p99, cpu, refused = (measures.median(values) for values in list(zip(*runs, strict=True))[:-1])
    return load.Load(rate, p50, p99, cpu, round(refused), sum(run.failed for run in runs))


Check = tuple[bool, str]


def judge(results: Results) -> bool:
    """Print the targets; return whether all that could be measured are met."""
    checks: list[Check] = []
    for task in TARGETS:
        if (_OURS, (task, 1, _COUNTED_CLIENTS)) in results:
            checks += _compare(results, task)
    for case in dict.fromkeys(case for name, case in results if name == _OURS):
        checks += _check_alone(results, case)
    for holds, what in checks:
        print(f"{'ok' if holds else 'MISSED':>8}: {what}")
    return all(holds for holds, _ in checks)


def _compare(results: Results, task: str) -> list[Check]:
    case = (task, 1, _COUNTED_CLIENTS)
    ours = _median(results, _OURS, case)
    others = {name: _median(results, name, case) for name, of in results if of == case and not name.startswith(_OURS)}
    floor, lit = others.pop(_FLOOR, None), others.get("litserve")
    batching = [found.rate for name, found in others.items() if name != "litserve"]
    of_batching, of_lit = TARGETS[task]
    checks = []
    if batching:
        checks.append(_at_least(ours.rate / max(batching), of_batching, f"{task}: times MLServer and BentoML"))
    if lit is not None:
        checks.append(_at_least(ours.rate / lit.rate, of_lit, f"{task}: times LitServe"))
    if others:
        best = min(found.p50 for found in others.values())
        checks.append(_at_least(best / ours.p99, 1.0, f"{task}: the best peer's p50 by our p99"))
    if floor is not None and task == "mixed":
        checks.append(_at_least(ours.rate / floor.rate, LEAST_OF_FLOOR, f"{task}: of the floor"))
    if task == "mixed":
        single = _median(results, f"{_OURS}, {millrace.VARIANTS[0]}", case)
        what = f"{task}: of the rate with one version, no sticky key and no log"
        checks.append(_at_least(ours.rate / single.rate, 1 - MOST_COST, what))
        shadowed = _median(results, f"{_OURS}, {millrace.SHADOWED}", case)
        # By processor time, since rates of two runs differ by more than this on a machine that does other things.
        what = f"{task}: of the processor time with a shadow of all requests, the rest"
        checks.append(_at_least(ours.cpu / shadowed.cpu, 1 - MOST_SHADOW_COST, what))
    return checks


def _check_alone(results: Results, case: Case) -> list[Check]:
    task, rows, clients = case
    found = _median(results, _OURS, case)
    what = f"{task}, {rows} rows, {clients} clients"
    checks = [(found.failed == 0, f"{what}: {found.failed} failed")]
    if clients == _CROWD:
        checks.append(_at_least(MOST_TAIL * found.p50 / found.p99, 1.0, f"{what}: {MOST_TAIL:g} x p50 by p99"))
    return checks


def _at_least(value: float, least: float, what: str) -> tuple[bool, str]:
    return value >= least, f"{what}: {value:.2f}, at least {least:g}"


def measure_fixed_costs() -> dict[str, float]:
    """Measure what can't be switched off, in microseconds of a request: checking the key, and counting."""
    from workers.prediction.online import measures

    keys = {hashlib.sha256(b"millrace").hexdigest(): {"tenant_id": "default", "expires_at": None}}
    requests = measures.Requests()
    return {
        "key check": _time(lambda: keys.get(hashlib.sha256(b"millrace_0123456789_0123456789012345").hexdigest())),
        "metrics": _time(lambda: requests.note("bench", 200, seconds=0.001)),
    }


def _time(work: Callable[[], Any], *, calls: int = 200, repeats: int = 50) -> float:
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(calls):
            work()
        best = min(best, (time.perf_counter() - began) / calls)
    return best * 1e6


def _install(names: list[str]) -> dict[rivals.Rival, pathlib.Path]:
    pythons = {}
    for rival in rivals.RIVALS:
        if rival.name not in names:
            continue
        try:
            pythons[rival] = rivals.install(rival, CACHE, scikit_learn=sklearn.__version__)
            print(f"{rival.name} {rivals.read_version(pythons[rival], rival)}", flush=True)
        except (peers.PeerError, OSError) as error:
            print(f"{rival.name} can't be installed here: {rivals.describe_failure(error)}", flush=True)
    return pythons


def _measure_ceiling(bench: Bench, model: pathlib.Path) -> None:
    with rivals.serving_floor(model, bench.folder, processes=PROCESSES) as endpoint:
        found = bench.generator.run(f"{endpoint.url}nothing", [{}], clients=32, seconds=2, pid=endpoint.pid)
    print(f"\nThe load generator sends at least {found.rate:,.0f} requests/s, to an empty WSGI callable.", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one row, 8 clients, one round")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", default=",".join(task.name for task in data.TASKS))
    parser.add_argument("--peers", default=",".join(rival.name for rival in rivals.RIVALS))
    arguments = parser.parse_args()
    arguments.rows, arguments.clients = (QUICK_ROWS, QUICK_CLIENTS) if arguments.quick else (ROWS, CLIENTS)
    if arguments.quick:
        arguments.rounds = 1
    return arguments


def main() -> int:
    """Measure all, and return 1 when a target is missed."""
    arguments = _parse()
    tasks = [task for task in data.TASKS if task.name in arguments.tasks.split(",")]
    CACHE.mkdir(parents=True, exist_ok=True)
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {PROCESSES} processes (MLServer: 1), scikit-learn "
        f"{sklearn.__version__}",
        flush=True,
    )
    pythons = _install(arguments.peers.split(","))
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-serving-")))
        bench = Bench(arguments, folder)
        ours = stack.enter_context(millrace.running(folder, tasks, processes=PROCESSES))
        for task in tasks:
            print(f"{task.name} is answered by {ours.read_platform(task)}", flush=True)
            measure_task(bench, task, ours, pythons)
        for case in dict.fromkeys(case for _, case in bench.results):
            show(bench.results, case)
        logged = ours.count_logged()
        print(f"\nThe logs have stored {logged / 1e6:,.1f} MB meanwhile.")
        for model in list(ours.exports.values())[:1]:
            _measure_ceiling(bench, model)
    costs = ", ".join(f"{name} {microseconds:.1f} us" for name, microseconds in measure_fixed_costs().items())
    print(f"What is always on costs a request: {costs}.\n")
    return 0 if judge(bench.results) and logged else 1


if __name__ == "__main__":
    sys.exit(main())
