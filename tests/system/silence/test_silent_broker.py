"""Connections to the broker go silent, behind a hop that acknowledges: work goes on, and TERM ends every process."""

import signal
import time
import urllib.parse
from collections.abc import Iterator

import pytest

from tests import servers_rabbitmq, servers_redis, silent_proxy
from tests.system import rig as rigs
from tests.system.flower import flower, tasks_shown, workers_shown
from tests.system.rig import ROLE, Rig

pytestmark = pytest.mark.servers

GOAL_SECONDS = 30.0
LOADED = 3
"""How much longer a loaded machine may take; what it took is printed."""
PROCESSES = ("api", "sweeper", ROLE)


@pytest.fixture(scope="module")
def proxy(rabbitmq: servers_rabbitmq.PrivateRabbitMQ) -> Iterator[silent_proxy.SilentProxy]:
    with silent_proxy.SilentProxy("127.0.0.1", rabbitmq.port) as made:
        yield made


@pytest.fixture(scope="module")
def rig(
    rabbitmq: servers_rabbitmq.PrivateRabbitMQ,
    valkey: servers_redis.PrivateRedis,
    proxy: silent_proxy.SilentProxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Rig]:
    """Yield a running system that reaches its RabbitMQ through the proxy."""
    url = urllib.parse.urlsplit(rabbitmq.create_vhost())
    proxied = url._replace(netloc=f"guest:guest@127.0.0.1:{proxy.port}").geturl()
    home = tmp_path_factory.mktemp("home")
    with Rig(home, broker_url=proxied, redis_url=valkey.url) as made:
        made.start(PROCESSES)
        yield made


def say(measured: str) -> None:
    print(measured)  # noqa: T201 - what was measured is to be seen.


def vhost_of(rig: Rig) -> str:
    return urllib.parse.urlsplit(rig.config.broker_url).path.lstrip("/")


def await_new_consumer(rig: Rig, rabbitmq: servers_rabbitmq.PrivateRabbitMQ, *, before: set[str]) -> float:
    """Wait until the worker consumes on a new connection; return how long it took, in seconds."""
    began = time.monotonic()
    rigs.until(
        lambda: bool(consumers(rig, rabbitmq) - before), seconds=GOAL_SECONDS * LOADED, what="a consumer that is new"
    )
    return time.monotonic() - began


def consumers(rig: Rig, rabbitmq: servers_rabbitmq.PrivateRabbitMQ) -> set[str]:
    """Return the channels that consume the role's queue, as RabbitMQ itself sees them."""
    lines = rigs.rabbitmqctl(rabbitmq, "list_consumers", "-p", vhost_of(rig), "queue_name", "channel_pid")
    return {line.split("\t")[1] for line in lines.splitlines() if line.startswith(f"{ROLE}\t")}


def seconds_until_done(rig: Rig) -> float:
    """Submit a job and measure how long it takes, in seconds."""
    began = time.monotonic()
    job = rig.await_state(rig.submit(), seconds=GOAL_SECONDS * LOADED)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    return time.monotonic() - began


def test_work_goes_on_when_all_connections_have_gone_silent(
    rig: Rig, proxy: silent_proxy.SilentProxy, rabbitmq: servers_rabbitmq.PrivateRabbitMQ
) -> None:
    seconds_until_done(rig)
    pids = {name: rig.processes[name].pid for name in PROCESSES}
    for _ in range(2):
        before = consumers(rig, rabbitmq)
        assert before
        proxy.silence()
        done_seconds = seconds_until_done(rig)
        say(f"a job took {done_seconds:.1f} s after the broker's connections went silent")
        seconds = done_seconds + await_new_consumer(rig, rabbitmq, before=before)
        say(f"the worker listened again after {seconds:.1f} s")
        assert seconds_until_done(rig) < GOAL_SECONDS
    assert {name: rig.processes[name].pid for name in PROCESSES} == pids
    assert all(rig.alive(name) for name in PROCESSES)


def test_work_goes_on_when_new_connections_are_silent_too_and_listens_again_afterwards(
    rig: Rig, proxy: silent_proxy.SilentProxy, rabbitmq: servers_rabbitmq.PrivateRabbitMQ
) -> None:
    before = consumers(rig, rabbitmq)
    proxy.silence(new_too=True)
    say(f"a job took {seconds_until_done(rig):.1f} s while no connection was served")
    time.sleep(15)
    assert seconds_until_done(rig) < GOAL_SECONDS
    proxy.heal()
    seconds = await_new_consumer(rig, rabbitmq, before=before)
    say(f"the worker listened again {seconds:.1f} s after connections were served")


# A frame's head has seven bytes; for what follows it py-amqp waits without a limit.
@pytest.mark.parametrize("after_bytes", [3, 7])
def test_a_broker_that_goes_silent_in_the_middle_of_a_frame_is_left_as_well(
    rig: Rig, proxy: silent_proxy.SilentProxy, rabbitmq: servers_rabbitmq.PrivateRabbitMQ, after_bytes: int
) -> None:
    before = consumers(rig, rabbitmq)
    proxy.silence(after_bytes=after_bytes)
    seconds = seconds_until_done(rig)
    say(f"a job took {seconds:.1f} s after the broker went silent in the middle of a frame")
    seconds += await_new_consumer(rig, rabbitmq, before=before)
    say(f"the worker listened again after {seconds:.1f} s")
    assert seconds_until_done(rig) < GOAL_SECONDS


def test_a_worker_whose_queue_is_deleted_listens_again(rig: Rig, rabbitmq: servers_rabbitmq.PrivateRabbitMQ) -> None:
    before = consumers(rig, rabbitmq)
    rigs.rabbitmqctl(rabbitmq, "delete_queue", "-p", vhost_of(rig), ROLE)
    say(f"the worker listened again after {await_new_consumer(rig, rabbitmq, before=before):.1f} s")
    assert seconds_until_done(rig) < GOAL_SECONDS


def test_flower_hears_of_jobs_again(rig: Rig, proxy: silent_proxy.SilentProxy) -> None:
    with flower(rig) as client:
        rigs.until(lambda: bool(workers_shown(client)), seconds=60, what="Flower to know a worker")
        proxy.silence()
        began = time.monotonic()

        def is_shown() -> bool:
            job_id = rig.submit()
            rig.await_state(job_id)
            time.sleep(1)
            return job_id in tasks_shown(client)

        rigs.until(is_shown, seconds=GOAL_SECONDS * LOADED, what="Flower to show a job")
        say(f"Flower showed jobs again after {time.monotonic() - began:.1f} s")
    rig.stop(["flower"])


def test_term_ends_every_process_within_its_grace_while_the_broker_is_silent(
    rig: Rig, proxy: silent_proxy.SilentProxy, rabbitmq: servers_rabbitmq.PrivateRabbitMQ
) -> None:
    rigs.until(lambda: seconds_until_done(rig) < 1, seconds=60, what="a system at rest")
    running = rig.submit(seconds=60)
    rig.await_state(running, "running")
    proxy.silence(new_too=True)
    try:
        began = time.monotonic()
        for name in PROCESSES:
            rig.signal(name, signal.SIGTERM)
        for name in PROCESSES:
            rig.processes[name].wait(timeout_seconds=GOAL_SECONDS)
            assert not rig.alive(name), name
            say(f"{name} ended {time.monotonic() - began:.1f} s after TERM")
            rig.processes.pop(name).end()
        # Its grace is 3 s, and 2 s more until it is killed; whoever supervises it waits for 15 s.
        assert time.monotonic() - began < 15 * LOADED
        assert rig.row(running).state == "queued"
    finally:
        proxy.heal()
    rig.start(PROCESSES)
    rig.cancel(running)
    assert consumers(rig, rabbitmq)
