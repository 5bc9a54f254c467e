"""The main job from end to end, through REST: python -m deploy.demo starts a system of its own for it.

With --url and --key it uses one that runs already.
"""

import argparse
import contextlib
import csv
import io
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from deploy import sample

_ROOT = pathlib.Path(__file__).parent.parent
_HOME = _ROOT / "var" / "demo"
_TELCO = _ROOT.parent / "shared" / "data" / "telco_churn.csv"
_JOB_SECONDS = 120
_SERVED_SECONDS = 30


class Demo:
    """A client that says what it does."""

    def __init__(self, url: str, key: str, *, inference_url: str) -> None:
        """Talk to one system."""
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=90, trust_env=False)
        self._inference_url = inference_url

    def submit(self, what: str, path: str, **request: Any) -> dict[str, Any]:
        """Submit a job, wait for its end, and give its result; exits when it fails."""
        began = time.monotonic()
        answer = self._http.post(path, **request)
        if answer.status_code != 202:
            sys.exit(f"{path} answered {answer.status_code}: {answer.text}")
        job = answer.json()
        while job["state"] in {"queued", "running"}:
            if time.monotonic() - began > _JOB_SECONDS:
                sys.exit(f"{job['id']} is still {job['state']} after {_JOB_SECONDS} s")
            time.sleep(0.1)
            job = self._http.get(answer.headers["Location"]).json()
        if job["state"] != "succeeded":
            sys.exit(f"{job['id']} {job['state']}: {job['error']}")
        print(f"  {job['kind']:<17} {job['id']}  {time.monotonic() - began:5.1f} s  {what}")
        result: dict[str, Any] = job["result"]
        return result

    def deploy(self, name: str, model: str) -> None:
        """Let a version of a model answer under a name."""
        answer = self._http.put(f"/v1/deployments/{name}", json={"routes": [{"model": model}]})
        if answer.status_code != 200:
            sys.exit(f"the deployment answered {answer.status_code}: {answer.text}")

    def predict_online(self, name: str, instances: list[dict[str, Any]]) -> tuple[dict[str, Any], float]:
        """Predict rows by a deployment as soon as it is served; gives the answer and the seconds that it took."""
        url = f"{self._inference_url}/v1/deployments/{name}/predictions"
        until = time.monotonic() + _SERVED_SECONDS
        while True:
            began = time.monotonic()
            answer = self._http.post(url, json={"instances": instances})
            if answer.status_code == 200:
                document: dict[str, Any] = answer.json()
                return document, time.monotonic() - began
            if time.monotonic() > until:
                sys.exit(f"{url} answered {answer.status_code}: {answer.text}")
            time.sleep(0.1)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Read a document."""
        answer = self._http.get(path, params=params)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document


def real_data() -> tuple[str, str, list[dict[str, Any]]]:
    """Give a real data set: its name, its target and its rows."""
    if _TELCO.exists():
        with _TELCO.open(newline="") as file:
            return "Telco customer churn", "Churn", list(csv.DictReader(file))
    return "Breast cancer Wisconsin", sample.TARGET, sample.rows()


def to_csv(rows: list[dict[str, Any]]) -> bytes:
    """Write rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def run(demo: Demo) -> None:
    """Load, profile, process, train, evaluate and predict, each step a job of its own role."""
    title, target, rows = real_data()
    print(f"{title}: {len(rows):,} real rows; every fifth is held out.\n")
    held_out = rows[::5]
    kept = [row for index, row in enumerate(rows) if index % 5]
    header = {"Content-Type": "text/csv"}
    loaded = demo.submit("load the training part", "/v1/datasets/demo", content=to_csv(kept), headers=header)
    demo.submit("load the held-out part", "/v1/datasets/demo-held-out", content=to_csv(held_out), headers=header)
    show_profile(demo, loaded["dataset"]["version"])
    steps = [
        {"op": "impute", "columns": "numeric", "strategy": "median"},
        {"op": "scale", "columns": "numeric"},
    ]
    if any(row["type"] == "string" for row in _columns(demo, loaded["dataset"]["version"]) if row["name"] != target):
        steps.append({"op": "one_hot", "columns": "categorical", "max_categories": 20})  # type: ignore[dict-item]
    fitted = demo.submit(
        "fit a recipe: impute, scale, one-hot",
        "/v1/features/demo-features",
        json={"dataset": "demo@latest", "recipe": {"steps": steps}, "target": target},
    )
    print(f"    {len(fitted['features']['columns'])} columns made of {loaded['dataset']['columns']}\n")
    train_and_use(demo, target=target)


def _columns(demo: Demo, version: int) -> list[dict[str, Any]]:
    columns: list[dict[str, Any]] = demo.get(f"/v1/datasets/demo/versions/{version}")["columns"]
    return columns


def show_profile(demo: Demo, version: int) -> None:
    """Print a few columns of the profile."""
    for column in demo.get(f"/v1/datasets/demo/versions/{version}")["profile"][:6]:
        found = f"{column['nulls']} missing, {column['distinct']} distinct, {column['min']} … {column['max']}"
        print(f"    {column['name']:<18} {column['type']:<8} {found}")
    print()


def train_and_use(demo: Demo, *, target: str) -> None:
    """Train by cross-validation, evaluate on what was held out, and predict."""
    trained = demo.submit(
        "5-fold logistic regression, columns prepared by itself",
        "/v1/models/demo-model",
        json={
            "dataset": "demo@latest",
            "target": target,
            "problem": "classification",
            "estimator": {"name": "LogisticRegression", "params": {"max_iter": 1000}},
            "validation": {"method": "cross_validation", "folds": 5, "seed": 7},
        },
    )
    area = trained["metrics"]["roc_auc"]
    print(f"    ROC AUC {area['mean']:.4f} ± {area['std']:.4f} over {len(area['folds'])} folds")
    for column, reason in trained["dropped_columns"].items():
        print(f"    left out {column}: {reason}")
    scored = demo.submit(
        "score on the held-out part",
        "/v1/evaluations",
        json={"model": "demo-model@latest", "dataset": "demo-held-out@latest"},
    )
    print(f"    ROC AUC {scored['metrics']['roc_auc']:.4f} on rows that no fit has seen\n")
    predicted = demo.submit(
        "predict every held-out row",
        "/v1/predictions",
        json={"model": "demo-model@latest", "dataset": "demo-held-out@latest"},
    )["dataset"]
    rows = demo.get(f"/v1/datasets/{predicted['name']}/versions/{predicted['version']}/rows", limit=3)["rows"]
    for row in rows:
        chances = {name: round(value, 3) for name, value in row.items() if name.startswith("probability_")}
        print(f"    {target} {row[target]!s:<10} predicted {row['prediction']!s:<10} {chances}")
    serve(demo, row=rows[0])


def serve(demo: Demo, *, row: dict[str, Any]) -> None:
    """Deploy the model, and predict a row online."""
    demo.deploy("demo", "demo-model@latest")
    demo.predict_online("demo", [row])
    answer, seconds = demo.predict_online("demo", [row])
    print(f"\n    served online as `demo`: {answer['predictions'][0]['prediction']} in {seconds * 1000:.1f} ms")


@contextlib.contextmanager
def own_system() -> Iterator[Demo]:
    """Start a system on free ports, with nothing installed but wheels; gives a client of it."""
    shutil.rmtree(_HOME, ignore_errors=True)
    _HOME.mkdir(parents=True)
    ports = {f"MILLRACE_{name}_PORT": f"{_free_port()}" for name in ("API", "INFERENCE", "FLOWER")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")} | {
        "MILLRACE_HOME": str(_HOME),
        **ports,
    }
    with (_HOME / "log").open("w") as log:
        system = subprocess.Popen(
            [sys.executable, "-m", "deploy.up"],
            cwd=_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            _wait_until_ready(system, log)
            key = subprocess.run(
                [sys.executable, "-m", "api", "keys", "create", "--name", "demo", "--scope", "admin"],
                cwd=_ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout.strip()
            url, inference_url = (f"http://127.0.0.1:{ports[f'MILLRACE_{name}_PORT']}" for name in ("API", "INFERENCE"))
            yield Demo(url, key, inference_url=inference_url)
        finally:
            system.send_signal(signal.SIGINT)
            try:
                system.wait(timeout=30)
            except subprocess.TimeoutExpired:
                system.kill()


def _wait_until_ready(system: subprocess.Popen[str], log: io.TextIOBase | Any) -> None:
    """Copy what the system prints to a log until it is ready; then go on copying beside us."""
    output = system.stdout
    if output is None:
        sys.exit("the system's output can't be read")
    for line in output:
        log.write(line)
        if line.startswith("ready "):
            threading.Thread(target=_copy, args=(output, log), daemon=True).start()
            return
    log.flush()
    sys.exit(f"the system ended before it was ready; {_HOME / 'log'} says why")


def _copy(output: Any, log: Any) -> None:
    with contextlib.suppress(ValueError):
        for line in output:
            log.write(line)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(given: Sequence[str] | None = None) -> int:
    """Run the demo, on a system of its own or on one that is named."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--url", help="the API of a system that runs already")
    parser.add_argument("--inference-url", default="http://127.0.0.1:8401", help="its inference server")
    parser.add_argument("--key", help="a key of that system with the scope write")
    arguments = parser.parse_args(given)
    began = time.monotonic()
    if arguments.url:
        run(Demo(arguments.url, arguments.key or "", inference_url=arguments.inference_url))
    else:
        print(
            "Starting the whole system on this machine: API, six worker pools, inference, sweeper, Valkey, SQLite …",
            flush=True,
        )
        with own_system() as demo:
            print(f"… ready after {time.monotonic() - began:.1f} s.\n", flush=True)
            run(demo)
    print(f"\nDone in {time.monotonic() - began:.1f} s. To do it yourself: `make up`, then README's section on curl.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
