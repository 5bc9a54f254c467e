"""The broker comes and goes, blocks, times out and carries unreadable messages: the workers and the API survive it."""

import contextlib
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import kombu
import orjson
import pytest

from shared.queues import broker
from tests import judges, servers_rabbitmq
from tests.system import rig as rigs
from tests.system.conftest import MakeRig
from tests.system.rig import ROLE, Rig

JUNK: dict[str, tuple[str | bytes, dict[str, Any]]] = {}
ID = "ingestion_01M00000000000000000000000"
HEADERS = {"task": f"{ROLE}.act", "id": ID, "lang": "py", "retries": 0, "timelimit": [None, None]}


def junk(name: str, body: Any, **properties: Any) -> None:
    """Note a message that no worker can use; as a doorbell's but for what is given."""
    text = body if isinstance(body, str | bytes) else orjson.dumps(body).decode()
    usual = {"content_type": "application/json", "content_encoding": "utf-8", "headers": HEADERS}
    JUNK[name] = (text, {**usual, **properties})


RINGS = [[], {"v": 1, "job_id": ID}, {}]
junk("no JSON", "{nonsense")
junk("bytes", b"\x80\x04\x95\xff")
junk("null", None)
junk("a number", 7)
junk("an empty list", [])
junk("a wrong shape", [{}, [], {}])
junk("arguments missing", [[], {}, {}])
junk("arguments too many", [[], {"v": 1, "job_id": ID, "more": 1}, {}])
junk("a job id that is none", [[], {"v": 1, "job_id": 7}, {}])
junk("a doorbell of another version", [[], {"v": 2, "job_id": ID}, {}])
junk("an unknown task", RINGS, headers={**HEADERS, "task": "ingestion.unheard"})
junk("a task that is no text", RINGS, headers={**HEADERS, "task": 7})
junk("no headers", RINGS, headers={})
junk("an id that is no text", RINGS, headers={**HEADERS, "id": 7})
junk("a time far away", RINGS, headers={**HEADERS, "eta": "2999-01-01T00:00:00"})
junk("a time that is none", RINGS, headers={**HEADERS, "eta": "soon"})
junk("an expiry that is none", RINGS, headers={**HEADERS, "expires": "never"})
junk("a wrong content type", RINGS, content_type="text/plain")
junk("a pickle", b"cos\nsystem\n(S'touch /tmp/never'\ntR.", content_type="application/x-python-serialize")
junk("no content type", RINGS, content_type="")
junk("a message of Celery's first protocol", {"task": f"{ROLE}.act", "id": ID, "args": [], "kwargs": {}}, headers={})


def test_junk_stops_no_worker_and_lands_in_the_dead_letters(rig: Rig, backend: str) -> None:
    parent = rig.processes[ROLE].pid
    for body, properties in JUNK.values():
        rig.put_message(body, **properties)
    rig.ring(ID)
    assert rig.await_state(rig.submit())["state"] == "succeeded"
    assert rig.alive(ROLE)
    assert rig.processes[ROLE].pid == parent
    refused = rig.text_of_logs().count('"message_refused"')
    assert refused == len(JUNK)
    if backend == "servers":
        rigs.until(
            lambda: depth(rig, broker.DEAD_LETTERS) == len(JUNK),
            seconds=10,
            what=lambda: str(depth(rig, broker.DEAD_LETTERS)),
        )


def depth(rig: Rig, queue: str) -> int:
    """Count the messages of a role's queue, or of the dead letters."""
    with broker.connect(rig.config) as connection:
        if queue == broker.DEAD_LETTERS:
            return int(connection.channel().queue_declare(queue, passive=True).message_count)
        return broker.look(connection.channel(), queue, config=rig.config).doorbells


def test_a_doorbell_that_rings_many_times_starts_a_job_once(rig: Rig) -> None:
    job_id = rig.submit(seconds=1)
    for _ in range(20):
        rig.ring(job_id)
    job = rig.await_state(job_id)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    rigs.until(lambda: depth(rig, ROLE) == 0, seconds=10, what="an empty queue")
    assert rig.effects()[job_id] == 1


@contextlib.contextmanager
def broker_down(rig: Rig, backend: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """Kill the broker, and start it again when the block ends."""
    if backend == "embedded":
        rig.kill("valkey")
        try:
            yield
        finally:
            rig.start([])
        return
    server: servers_rabbitmq.PrivateRabbitMQ = request.getfixturevalue("rabbitmq")
    server.kill()
    try:
        yield
    finally:
        server.start()


def test_the_api_accepts_and_a_worker_waits_while_the_broker_is_down(
    rig: Rig, backend: str, request: pytest.FixtureRequest
) -> None:
    running = rig.submit(seconds=4)
    rig.await_state(running, "running")
    late = f"{ROLE}#late"
    with broker_down(rig, backend, request):
        began = time.monotonic()
        waiting = [rig.submit() for _ in range(5)]
        assert time.monotonic() - began < 2.5, "five submissions take their normal time"
        rig.stop([ROLE], timeout_seconds=15)
        rig.launch(late)
        time.sleep(2)
        assert rig.alive(late)
    for job_id in (running, *waiting):
        job = rig.await_state(job_id, seconds=45)
        assert job["state"] == "succeeded"
    assert {rig.effects()[job_id] for job_id in (running, *waiting)} == {1}
    rig.start([ROLE])
    rig.stop([late])


def test_workers_do_what_waits_while_the_broker_is_down_and_listen_soon_afterwards(
    rig: Rig, backend: str, request: pytest.FixtureRequest
) -> None:
    rig.start([ROLE])
    late = f"{ROLE}#late"
    with broker.connect(rig.config) as connection:
        bind_events(rig, connection)
    with broker_down(rig, backend, request):
        began = time.monotonic()
        first = [rig.submit(seconds=0.2) for _ in range(5)]
        for job_id in first:
            assert rig.await_state(job_id, seconds=20)["state"] == "succeeded"
        say(f"five jobs took {time.monotonic() - began:.1f} s with the broker down")
        rigs.until(lambda: set(first) <= set(logged(rig)), seconds=10, what="the event log to go on without the broker")
        # One that has never reached the broker works, too, and keeps its lease, which lasts 5 s.
        rig.stop([ROLE])
        rig.launch(late)
        long = rig.submit(seconds=8)
        assert rig.await_state(long, seconds=60)["attempt"] == 1
        stopped = rig.submit(seconds=60)
        rig.await_state(stopped, "running", seconds=20)
        rig.cancel(stopped)
        assert rig.await_state(stopped, seconds=20)["state"] == "cancelled"
        # Long enough for the pauses between attempts to have grown.
        time.sleep(10)
    began = time.monotonic()
    rigs.until(lambda: rig.text_of_log(late).count('"worker_started"') == 1, seconds=20, what="the worker to listen")
    say(f"the worker listened {time.monotonic() - began:.1f} s after the broker was back")
    assert {rig.effects()[job_id] for job_id in (*first, long)} == {1}
    if backend != "embedded":
        # A Valkey that is killed forgets who listens.
        with broker.connect(rig.config) as connection:
            events = receive(bind_events(rig, connection), subjects={*first, long, stopped}, seconds=30)
        told = [event["subject"] for event in events]
        assert told == [subject for subject in logged(rig) if subject in told], "in the order of the log"
    rig.start([ROLE])
    rig.stop([late])


def logged(rig: Rig) -> list[str]:
    """Read the subjects of the ends of jobs in the event log."""
    answer = rig.client.get("/v1/events", params={"type": "job.*", "limit": 1000})
    assert answer.status_code == httpx.codes.OK, answer.text
    return [event["subject"] for event in answer.json()["events"]]


def say(measured: str) -> None:
    print(measured)  # noqa: T201 - what was measured is to be seen.


def test_a_worker_goes_on_after_the_broker_has_restarted(
    rig: Rig, backend: str, request: pytest.FixtureRequest
) -> None:
    rig.start([ROLE])
    pid = rig.processes[ROLE].pid
    running = rig.submit(seconds=3)
    rig.await_state(running, "running")
    with broker_down(rig, backend, request):
        pass
    job = rig.await_state(running)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert rig.await_state(rig.submit())["state"] == "succeeded"
    assert rig.processes[ROLE].pid == pid
    assert rig.alive(ROLE)


@pytest.fixture
def alarmed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let RabbitMQ block all publishers for want of memory, while the test lasts."""
    server: servers_rabbitmq.PrivateRabbitMQ = request.getfixturevalue("rabbitmq")
    rigs.rabbitmqctl(server, "set_vm_memory_high_watermark", "0.0000001")
    try:
        yield
    finally:
        rigs.rabbitmqctl(server, "set_vm_memory_high_watermark", "0.6")


@pytest.fixture(scope="module")
def on_servers(make_rig: MakeRig) -> Rig:
    """Return a system on RabbitMQ and PostgreSQL."""
    made = make_rig("servers")
    made.start()
    return made


@pytest.mark.servers
def test_a_blocked_broker_delays_neither_the_api_nor_the_sweeper(
    on_servers: Rig, request: pytest.FixtureRequest
) -> None:
    rig = on_servers
    long = rig.submit(seconds=60)
    rig.await_state(long, "running")
    rig.signal(ROLE, signal.SIGSTOP)
    rigs.kill_9([rig.working_child(long)])
    with contextlib.ExitStack() as stack:
        stack.callback(rig.signal, ROLE, signal.SIGCONT)
        request.getfixturevalue("alarmed")
        began = time.monotonic()
        waiting = [rig.submit() for _ in range(20)]
        assert time.monotonic() - began < 5
        time.sleep(3)
        # Each beat of the sweeper rings for what waits; blocked, it must sweep all the same.
        rigs.until(lambda: rig.row(long).state == "queued", seconds=15, what="the sweeper to sweep")
        assert rig.row(long).lost == 1
        overdue = rig.submit(order={"deadline_seconds": 1})
        rigs.until(lambda: rig.row(overdue).state == "failed", seconds=10, what="the sweeper to end it")
        server: servers_rabbitmq.PrivateRabbitMQ = request.getfixturevalue("rabbitmq")
        rigs.rabbitmqctl(server, "set_vm_memory_high_watermark", "0.6")
    rig.cancel(long)
    for job_id in waiting:
        assert rig.await_state(job_id, seconds=30)["state"] == "succeeded"
    assert {rig.effects()[job_id] for job_id in waiting} == {1}


@pytest.mark.servers
def test_a_consumer_timeout_shorter_than_the_job_disturbs_nobody(
    on_servers: Rig, request: pytest.FixtureRequest
) -> None:
    server: servers_rabbitmq.PrivateRabbitMQ = request.getfixturevalue("rabbitmq")
    rigs.rabbitmqctl(server, "eval", "application:set_env(rabbit, consumer_timeout, 3000).")
    try:
        pid = on_servers.processes[ROLE].pid
        # The second doorbell is prefetched behind the first job, and so not acknowledged for longer than allowed.
        first, second = on_servers.submit(seconds=9), on_servers.submit()
        for job_id in (first, second):
            job = on_servers.await_state(job_id, seconds=40)
            assert (job["state"], job["attempt"]) == ("succeeded", 1)
        assert on_servers.await_state(on_servers.submit())["state"] == "succeeded"
        assert on_servers.alive(ROLE)
        assert on_servers.processes[ROLE].pid == pid
    finally:
        rigs.rabbitmqctl(server, "eval", "application:set_env(rabbit, consumer_timeout, 1800000).")


def bind_events(rig: Rig, connection: kombu.Connection) -> kombu.Queue:
    """Let a queue of the test's own receive all events."""
    channel = connection.channel()
    exchange = kombu.Exchange(broker.EVENTS, type="topic", durable=True)
    queue = kombu.Queue("test-events", exchange=exchange, routing_key="dev.millrace.job.#", durable=True)
    bound: kombu.Queue = queue(channel)
    bound.declare()
    return bound


def test_every_end_reaches_the_event_exchange_as_a_cloud_event(rig: Rig) -> None:
    rig.start([ROLE])
    with broker.connect(rig.config) as connection:
        queue = bind_events(rig, connection)
        good = [rig.submit() for _ in range(20)]
        bad = rig.submit("wrong")
        gone = rig.submit(order={"deadline_seconds": 86400}, seconds=60)
        rig.await_state(gone, "running")
        rig.cancel(gone)
        for job_id in (*good, bad, gone):
            rig.await_state(job_id)
        wanted = {**dict.fromkeys(good, "succeeded"), bad: "failed", gone: "cancelled"}
        events = receive(queue, subjects=set(wanted), seconds=15)
    assert {event["subject"]: event["type"] for event in events} == {
        job_id: f"dev.millrace.job.{state}" for job_id, state in wanted.items()
    }
    assert len({(event["source"], event["id"]) for event in events}) == len(wanted)
    for event in events:
        assert event["specversion"] == "1.0"
        assert event["data"]["job_id"] == event["subject"]
        assert {"id", "source", "type", "time", "subject"} <= set(event)


_READ = """
import json, sys
from cloudevents.core.bindings import rabbitmq

asked = json.load(sys.stdin)
message = rabbitmq.RabbitMQMessage(headers={}, content_type=asked["content_type"], body=asked["body"].encode())
event = rabbitmq.from_rabbitmq_event(message)
found = {name: str(value) for name, value in event.get_attributes().items()}
print(json.dumps({**found, "data": event.get_data()}))
"""


@pytest.mark.judge
@pytest.mark.timeout(1200)
def test_the_cloudevents_sdk_reads_what_the_exchange_carries(rig: Rig, tmp_path: pathlib.Path) -> None:
    rig.start([ROLE])
    messages: list[Any] = []
    with broker.connect(rig.config) as connection:
        queue = bind_events(rig, connection)
        job_id = rig.submit()
        rig.await_state(job_id)

        def take() -> bool:
            message = queue.get(no_ack=True)
            messages.extend([] if message is None else [message])
            return any(job_id in str(each.body) for each in messages)

        rigs.until(take, seconds=15, what="the event of the job's end")
    asked = {"content_type": messages[-1].content_type, "body": orjson.dumps(orjson.loads(messages[-1].body)).decode()}
    said = subprocess.run(
        [judges.make_environment("gbstats"), "-P", "-c", _READ],
        input=orjson.dumps(asked).decode(),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    found = orjson.loads(said.stdout)
    assert (found["type"], found["subject"]) == ("dev.millrace.job.succeeded", job_id)
    assert (found["correlationid"], found["data"]["job_id"]) == (job_id, job_id)
    assert found["dataschema"] == "urn:millrace:event:job.succeeded"


def receive(queue: kombu.Queue, *, subjects: set[str], seconds: float) -> list[dict[str, Any]]:
    """Take events from a queue until each subject was seen; one that comes again is kept once, a stranger's not."""
    seen: dict[str, dict[str, Any]] = {}
    limit = time.monotonic() + seconds
    while subjects - {event["subject"] for event in seen.values()}:
        assert time.monotonic() < limit, f"no event for {subjects - {event['subject'] for event in seen.values()}}"
        message = queue.get(no_ack=True)
        if message is None:
            time.sleep(0.1)
            continue
        assert message.content_type == "application/cloudevents+json"
        event = orjson.loads(message.body)
        if event["subject"] in subjects:
            seen[event["id"]] = event
    return list(seen.values())
