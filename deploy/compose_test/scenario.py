"""A day in the life of the stack: work, growth, a killed worker, a restarted broker, down and up again."""

import os
import pathlib
import random
import signal
import sys

from deploy.compose_test import shell, stack
from deploy.compose_test.client import Client
from shared import roles

_ROWS = 4_000
_SEED = 7
_JOBS = 20


def make_key(running: stack.Stack) -> str:
    """Make an admin key with the operator's own command."""
    return running.inside("api", "python", "-m", "api", "keys", "create", "--name", "ci", "--scope", "admin").strip()


def run_demo(running: stack.Stack, *, key: str) -> None:
    """Run the demo of `make demo` through the published port, when it is there."""
    if not (shell.CHECKOUT / "deploy" / "demo.py").exists():
        print("  there is no deploy/demo.py yet")
        return
    url, inference_url = running.address("MILLRACE_API_PORT"), running.address("MILLRACE_INFERENCE_PORT")
    command = [sys.executable, "-m", "deploy.demo", "--url", url, "--inference-url", inference_url, "--key", key]
    print(shell.run(command))


def every_role_answers(client: Client) -> None:
    """Send each role jobs that do nothing, and wait for them."""
    for role in roles.ROLES:
        for _ in range(_JOBS):
            client.submit(f"{role}.ping", {})
    client.wait_for_all(seconds=120)


def training_grows_to_three(running: stack.Stack, client: Client) -> None:
    """Scale a role and see three workers of it in the registry."""
    running.up("--scale", "training=3", "--no-recreate")
    stack.wait_for(lambda: _workers(client, "training") == 3, what="three training workers", seconds=60)


def _workers(client: Client, role: str) -> int:
    services = client.get("/v1/services")["services"]
    return sum(len(each["workers"]) for each in services if each["role"] == role)


def a_killed_worker_loses_nothing(running: stack.Stack, client: Client) -> None:
    """Kill every training container while each is fitting; they come back by themselves, and the jobs end."""
    client.upload("steady", table())
    client.wait_for_all(seconds=60)
    for number in range(6):
        client.submit("training.fit", fit(f"steady-{number}"))
    stack.wait_for(lambda: "running" in client.unfinished().values(), what="a running fit", seconds=60)
    for container in running.containers("training"):
        _crash(running, container["Id"], pid=container["State"]["Pid"])
    stack.wait_for(running.is_healthy, what="the killed workers", seconds=180, why_not=running.unhealthy)
    client.wait_for_all(seconds=400)
    if running.owns_engine:
        restarts = sum(each["RestartCount"] for each in running.containers("training"))
        assert restarts >= 3, f"the engine restarted {restarts} of 3 containers"  # noqa: S101
    retried = [job_id for job_id in client.accepted if client.get(f"/v1/jobs/{job_id}")["attempt"] > 1]
    assert retried, "no job was ever interrupted, so this proved nothing"  # noqa: S101


def _crash(running: stack.Stack, container_id: str, *, pid: int) -> None:
    # The engine takes `docker kill` for the operator's wish and does not restart; a process that dies is a crash.
    if running.owns_engine:
        os.kill(pid, signal.SIGKILL)
        return
    running.docker("kill", container_id)
    running.docker("start", container_id)


def a_restarted_broker_loses_nothing(running: stack.Stack, client: Client) -> None:
    """Stop RabbitMQ, submit meanwhile, start it again: what was accepted ends."""
    running.compose("stop", "rabbitmq")
    for role in roles.ROLES:
        for _ in range(_JOBS):
            client.submit(f"{role}.ping", {})
    running.compose("start", "rabbitmq")
    stack.wait_for(running.is_healthy, what="the broker", seconds=180, why_not=running.unhealthy)
    client.wait_for_all(seconds=240)


def down_and_up_loses_nothing(running: stack.Stack, client: Client) -> None:
    """Take everything down with work in the queues, bring it up with the volumes, and compare."""
    for number in range(4):
        client.submit("training.fit", fit(f"overnight-{number}"))
    before = client.every_job()
    documents = {path: client.get(path) for path in ("/v1/datasets", "/v1/models")}
    running.compose("down")
    assert not running.containers(), "down left containers"  # noqa: S101
    running.up()
    client.wait_for_all(seconds=400)
    after = client.every_job()
    lost = set(before) - set(after)
    assert not lost, f"jobs are gone: {lost}"  # noqa: S101
    changed = {job_id for job_id, state in before.items() if state == "succeeded" and after[job_id] != state}
    assert not changed, f"jobs that had ended changed: {changed}"  # noqa: S101
    assert client.get("/v1/datasets") == documents["/v1/datasets"], "datasets changed"  # noqa: S101
    assert client.get("/v1/models") != documents["/v1/models"], "the waiting fits made no model"  # noqa: S101


def save_logs(running: stack.Stack, folder: pathlib.Path) -> pathlib.Path:
    """Write every service's log to a file, for whoever asks why a step failed."""
    path = folder / "compose.log"
    path.write_text(running.compose("logs", "--no-color", "--timestamps"), encoding="utf-8")
    return path


def fit(name: str, *, dataset: str = "steady@1") -> dict[str, object]:
    """Build the parameters of a fit that takes some seconds."""
    return {
        "name": name,
        "dataset": dataset,
        "target": "bought",
        "problem": "classification",
        "estimator": {"name": "RandomForestClassifier", "params": {"n_estimators": 150}},
        "validation": {"method": "cross_validation", "folds": 5, "seed": _SEED},
    }


def table() -> str:
    """Make rows to learn from, as CSV."""
    draw = random.Random(_SEED)  # noqa: S311 - rows to train on are no secret.
    lines = ["age,visits,plan,bought"]
    for _ in range(_ROWS):
        age, visits, plan = draw.randint(18, 80), draw.randint(0, 40), draw.choice(["free", "basic", "pro"])
        bought = "yes" if visits + draw.gauss(0, 12) > (10 if plan == "pro" else 25) else "no"
        lines.append(f"{age},{visits},{plan},{bought}")
    return "\n".join(lines) + "\n"
