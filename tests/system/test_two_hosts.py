"""Two hosts as real processes, which share servers and an S3 bucket but no disk; the worker's host forks its pool.

With namespaces of the kernel, which root may make, each host sees nothing of the other's home, and the worker's reaches
nothing of this machine but the servers.
"""

import contextlib
import os
import pathlib
import secrets
import shlex
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psutil
import pytest

from shared.jobs import states
from tests import servers_guard, servers_postgres, servers_rabbitmq, servers_redis, servers_s3, system_under_test
from tests.integration import sample_data
from tests.system import host_network

pytestmark = pytest.mark.servers
WORKER = "ingestion,processing,storage"
POOL = 2
PATIENCE_SECONDS = 120.0


def hiding(folder: pathlib.Path) -> list[str]:
    """Return what a command begins with that shall see nothing in a folder."""
    script = f'mount -t tmpfs none {shlex.quote(str(folder))} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


class Host(system_under_test.System):
    """A host, with some of the system's processes and a home of its own."""

    def launch(self, name: str, *, prefix: Sequence[str]) -> None:
        """Start a process of the host, and do not wait."""
        command = [*prefix, *system_under_test.command_of(name)]
        self.processes[name] = servers_guard.Guarded(
            command, log=self.log(name), env=self.env, cwd=system_under_test.CHECKOUT
        )


@contextlib.contextmanager
def network(how: str, urls: Iterable[str]) -> Iterator[host_network.HostNetwork | None]:
    """Create a network of its own for the worker's host, if requested; skips where none can be made."""
    if how == "apart":
        yield None
        return
    try:
        made = host_network.HostNetwork(urls)
    except host_network.NoNetworkError as reason:
        pytest.skip(str(reason))
    with made:
        yield made


@pytest.fixture(params=["apart", "namespaces"])
def hosts(
    request: pytest.FixtureRequest,
    tmp_path: pathlib.Path,
    postgres: servers_postgres.Postgres,
    rabbitmq: servers_rabbitmq.PrivateRabbitMQ,
    valkey: servers_redis.PrivateRedis,
    s3: servers_s3.S3,
) -> Iterator[tuple[Host, Host]]:
    """Yield the API's host and the worker's, both at work: with homes apart, and with namespaces apart too."""
    prefix = f"hosts_{secrets.token_hex(4)}"
    servers = {
        "database_url": postgres.url(prefix + "_{role}"),
        "broker_url": rabbitmq.create_vhost(),
        "redis_url": valkey.url,
    }
    settings = {f"MILLRACE_{name}": value for name, value in s3.variables().items()}
    settings["MILLRACE_WORKER_CONCURRENCY"] = str(POOL)
    homes = tmp_path / "api", tmp_path / "worker"
    with network(request.param, [*servers.values(), s3.url]) as cable, contextlib.ExitStack() as stack:
        stack.callback(postgres.drop_databases, prefix)
        api_host = stack.enter_context(Host(homes[0], **servers, settings=settings))
        if cable:
            servers = {name: cable.url(value) for name, value in servers.items()}
            settings = {name: cable.url(value) for name, value in settings.items()}
        worker = stack.enter_context(Host(homes[1], **servers, settings=settings))
        homes[1].mkdir()
        api_host.prepare()
        for name in ("api", "sweeper"):
            api_host.launch(name, prefix=hiding(homes[1]) if cable else [])
        api_host.start(["api", "sweeper"])
        worker.launch(WORKER, prefix=[*cable.within(), *hiding(homes[0])] if cable else [])
        yield api_host, worker


def done(api_host: Host, path: str, **sent: Any) -> dict[str, Any]:
    """Submit a job, and give its result when it has succeeded."""
    accepted = api_host.client.post(path, **sent)
    assert accepted.status_code == 202, accepted.text
    limit = time.monotonic() + PATIENCE_SECONDS
    job: dict[str, Any] = accepted.json()
    while not states.State(job["state"]).is_terminal() and time.monotonic() < limit:
        time.sleep(0.05)
        job = api_host.client.get(job["links"]["self"]).json()
    assert job["state"] == "succeeded", job
    result: dict[str, Any] = job["result"]
    return result


def pool_of(worker: Host) -> set[int]:
    """List the ids of the pool's processes."""
    return {child.pid for child in psutil.Process(worker.processes[WORKER].pid).children()}


def test_a_pool_on_another_host_works_on_s3_before_and_after_it_forks_anew(hosts: tuple[Host, Host]) -> None:
    api_host, worker = hosts
    load = {"content": sample_data.table(), "headers": {"Content-Type": "text/csv"}}
    done(api_host, "/v1/datasets/things", **load)
    recipe = {"dataset": "things@1", "recipe": sample_data.RECIPE}
    for _ in range(2 * POOL):
        done(api_host, "/v1/features/shape", json=recipe)
    before = pool_of(worker)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for number in range(2 * POOL):
        done(api_host, f"/v1/datasets/later-{number}", **load)
        done(api_host, "/v1/features/shape", json=recipe)
    assert pool_of(worker).isdisjoint(before), "other processes than those before have worked"
    verified = done(api_host, "/v1/storage/verify")
    assert verified["sound"] == verified["objects"] == 1 + 2 * POOL + 2 * 2 * 2 * POOL
    rows = api_host.client.get("/v1/datasets/things/versions/1/rows").json()["rows"]
    assert len(rows) == 20
    for home in (api_host.home, worker.home):
        assert not (home / "objects").exists(), "nothing is shared but the bucket"
    assert list((worker.home / "cache" / "entries").iterdir())
    assert not (api_host.home / "cache" / "entries").exists(), "the API reads from the bucket"
