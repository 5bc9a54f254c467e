"""The servers that other tests lean on: found or started, ours alone, and gone when we are."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import amqp
import psycopg
import pytest
import redis

from tests import servers, servers_guard, servers_postgres, servers_rabbitmq, servers_redis, servers_sources

pytestmark = pytest.mark.slow

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
OWNER = """
import pathlib, sys, time
from tests import servers_guard
folder = pathlib.Path(sys.argv[1])
child = servers_guard.Guarded(["sh", "-c", "sleep 600 & sleep 600"], log=folder.parent / "log", folder=folder)
print(child.pid, flush=True)
time.sleep(600)
"""


def gone(pid: int, *, within_seconds: float = 10.0) -> bool:
    """Tell whether a process group is empty within some seconds."""
    until = time.monotonic() + within_seconds
    while time.monotonic() < until:
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_process_its_children_and_its_folder_end_with_an_owner_that_is_killed(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    command = [sys.executable, "-c", OWNER, str(folder)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        os.killpg(child, 0)
        owner.kill()
    assert gone(child)
    until = time.monotonic() + 5
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not folder.exists()


def test_closing_ends_the_whole_group_and_keeps_the_folder(tmp_path: pathlib.Path) -> None:
    child = servers_guard.Guarded(["sh", "-c", "sleep 600 & exec sleep 600"], log=tmp_path / "log", folder=tmp_path)
    assert child.alive()
    child.close()
    assert gone(child.pid)
    assert tmp_path.exists()


def test_a_command_that_can_not_start_says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError, match="no-such-program could not be started: error"):
        servers_guard.Guarded(["no-such-program"], log=tmp_path / "log")


def test_each_source_that_fails_gives_its_reason_and_the_remedy_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> servers_sources.Location[str]:
        raise servers_sources.ServerNotFoundError("it is not there")

    attempts = [(servers.Source.DEFAULT_PORT, refuse), (servers.Source.WHEEL, refuse)]
    monkeypatch.delenv("MILLRACE_TEST_SOURCES", raising=False)
    both = r"no Oven \(default port: it is not there; wheel: it is not there\)\. Buy one\."
    with pytest.raises(servers.ServerNotFoundError, match=both):
        servers_sources.first("Oven", attempts, remedy="Buy one.")
    monkeypatch.setenv("MILLRACE_TEST_SOURCES", "wheel,binaries")
    with pytest.raises(servers.ServerNotFoundError, match=r"no Oven \(wheel: it is not there\)"):
        servers_sources.first("Oven", attempts, remedy="Buy one.")


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        (servers_postgres.URL_VARIABLE, "postgresql://nobody:secret@127.0.0.1:1/postgres"),
        (servers_rabbitmq.URL_VARIABLE, "amqp://guest:secret@127.0.0.1:1/mine"),
        (servers_redis.URL_VARIABLE, "redis://:secret@127.0.0.1:1/0"),
    ],
)
def test_a_url_that_was_given_but_does_not_answer_is_an_error_and_no_reason_to_skip(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str
) -> None:
    find = {
        servers_postgres.URL_VARIABLE: servers.find_postgres,
        servers_rabbitmq.URL_VARIABLE: servers.find_rabbitmq,
        servers_redis.URL_VARIABLE: servers.find_redis,
    }[variable]
    monkeypatch.setenv("MILLRACE_TEST_SOURCES", "environment")
    monkeypatch.setenv(variable, url)
    with pytest.raises(servers.ServerUnreachableError) as caught:
        find()
    assert "secret" not in str(caught.value)


def test_nothing_allowed_means_nothing_found_and_the_description_says_what_would_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in (servers_postgres.URL_VARIABLE, servers_rabbitmq.URL_VARIABLE, servers_redis.URL_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MILLRACE_TEST_SOURCES", "environment")
    described = servers.describe()
    for remedy in (servers_postgres.REMEDY, servers_rabbitmq.REMEDY, servers_redis.REMEDY):
        assert remedy in described


def test_a_database_name_may_hold_the_place_of_the_role() -> None:
    url = servers_postgres.on_database("postgresql://me:pw@host:1/postgres?sslmode=disable", "bench_{role}")
    assert url == "postgresql://me:pw@host:1/bench_{role}?sslmode=disable"


@pytest.fixture(scope="module", params=["binaries", "wheel"])
def postgres(request: pytest.FixtureRequest) -> Iterator[servers_postgres.PrivatePostgres]:
    """Start a PostgreSQL of our own from each kind of source that this machine has."""
    find = {"binaries": servers_postgres.find_binaries, "wheel": servers_postgres.find_wheel}[request.param]
    try:
        programs = find()
    except servers.ServerNotFoundError as error:
        pytest.skip(str(error))
    server = servers_postgres.PrivatePostgres(programs, source=servers.Source(request.param))
    yield server
    server.close()


def test_a_private_postgres_keeps_what_was_committed_through_a_kill(postgres: servers_postgres.PrivatePostgres) -> None:
    url = postgres.create_database().replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS answer")
    postgres.kill()
    with pytest.raises(servers.ServerUnreachableError):
        postgres.query("SELECT 1")
    postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (7,)


def test_a_private_postgres_stops_though_a_client_is_connected(postgres: servers_postgres.PrivatePostgres) -> None:
    with psycopg.connect(postgres.admin_url) as connection:
        pid = postgres.pid
        postgres.stop()
        assert gone(pid)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    postgres.start()


def test_a_database_is_removed_though_somebody_is_connected(postgres: servers_postgres.PrivatePostgres) -> None:
    url = postgres.create_database("millrace_test_removed_training")
    with psycopg.connect(url.replace("+psycopg", "")):
        postgres.drop_databases("millrace_test_removed_")
    assert postgres.query("SELECT count(*) FROM pg_database WHERE datname LIKE 'millrace_test_removed%'") == "0"


def test_closing_a_private_postgres_leaves_no_folder_behind() -> None:
    try:
        server = servers.private_postgres()
    except servers.ServerNotFoundError as error:
        pytest.skip(str(error))
    folder = pathlib.Path(server.query("SHOW data_directory")).parent
    assert folder.exists()
    server.close()
    assert not folder.exists()


@pytest.fixture
def valkey(tmp_path: pathlib.Path) -> Iterator[servers_redis.PrivateRedis]:
    """Start a Valkey of our own that forgets."""
    try:
        server = servers.private_valkey(tmp_path)
    except servers.ServerNotFoundError as error:
        pytest.skip(str(error))
    yield server
    server.close()


def test_a_private_valkey_forgets_when_it_is_restarted(valkey: servers_redis.PrivateRedis) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("a", 1)
        assert client.dbsize() == 1
        valkey.restart()
        assert client.dbsize() == 0


def test_a_persistent_valkey_remembers_through_a_kill(tmp_path: pathlib.Path) -> None:
    try:
        server = servers.private_valkey(tmp_path, persistent=True)
    except servers.ServerNotFoundError as error:
        pytest.skip(str(error))
    with server, redis.Redis.from_url(server.url) as client:
        client.set("a", 1)
        server.kill()
        server.start()
        assert client.dbsize() == 1


def test_a_borrowed_redis_takes_an_empty_database_and_leaves_the_others_alone(
    valkey: servers_redis.PrivateRedis,
) -> None:
    server_url = valkey.url.removesuffix("/0")
    with redis.Redis.from_url(f"{server_url}/1") as others:
        others.set("theirs", 1)
        with servers_redis.BorrowedRedis(server_url) as first, servers_redis.BorrowedRedis(server_url) as second:
            assert [first.url, second.url] == [f"{server_url}/2", f"{server_url}/3"]
            first.flush()
            second.flush()
        assert others.get("theirs") == b"1"
        assert list(others.info("keyspace")) == ["db1"]


def test_a_redis_without_an_empty_database_is_not_borrowed(valkey: servers_redis.PrivateRedis) -> None:
    server_url = valkey.url.removesuffix("/0")
    for number in range(1, 16):
        with redis.Redis.from_url(f"{server_url}/{number}") as client:
            client.set("theirs", 1)
    with pytest.raises(servers.ServerNotFoundError, match="all in use"):
        servers_redis.BorrowedRedis(server_url)


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers_rabbitmq.PrivateRabbitMQ]:
    """Start a RabbitMQ of our own whose consumers have two seconds to acknowledge."""
    try:
        server = servers.private_rabbitmq(tmp_path_factory.mktemp("rabbitmq"), consumer_timeout_ms=2000)
    except servers.ServerNotFoundError as error:
        pytest.skip(str(error))
    yield server
    server.close()


def connect(url: str) -> amqp.Connection:
    """Open a connection to a node's virtual host."""
    _, _, port, host = re.match(r"amqp://(\w+):(\w+)@127.0.0.1:(\d+)/(\w*)", url).groups()  # type: ignore[union-attr]
    return amqp.Connection(host=f"127.0.0.1:{port}", virtual_host=host or "/", confirm_publish=True)


def test_a_private_rabbitmq_keeps_confirmed_messages_through_a_kill(rabbitmq: servers_rabbitmq.PrivateRabbitMQ) -> None:
    connection = connect(rabbitmq.url)
    connection.connect()
    channel = connection.channel()
    channel.queue_declare("kept", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    channel.basic_publish(amqp.Message("1", delivery_mode=2), routing_key="kept")
    # RabbitMQ 3.10 does not bring back a quorum queue that was declared less than about a second before the kill.
    time.sleep(1.5)
    rabbitmq.kill()
    with pytest.raises((OSError, amqp.AMQPError)):
        channel.queue_declare("kept", passive=True)
    connection.collect()
    rabbitmq.start()
    with connect(rabbitmq.url) as connection:
        assert connection.channel().basic_get("kept", no_ack=True).body == "1"


def test_a_private_rabbitmq_closes_the_channel_of_a_consumer_that_is_late(
    rabbitmq: servers_rabbitmq.PrivateRabbitMQ,
) -> None:
    received: list[amqp.Message] = []
    with connect(rabbitmq.url) as connection:
        channel = connection.channel()
        channel.queue_declare("slow", auto_delete=False)
        channel.basic_publish(amqp.Message("1"), routing_key="slow")
        channel.basic_consume("slow", callback=received.append)
        connection.drain_events(timeout=10)
        with pytest.raises(amqp.PreconditionFailed, match="delivery acknowledgement"):
            connection.drain_events(timeout=10)
    assert [message.body for message in received] == ["1"]


def test_a_virtual_host_of_our_own_is_made_and_removed(rabbitmq: servers_rabbitmq.PrivateRabbitMQ) -> None:
    url = rabbitmq.create_vhost("millrace_test_mine")
    assert url.endswith("/millrace_test_mine")
    rabbitmq.drop_vhost(url)
    with pytest.raises(servers.ServerUnreachableError):
        servers_rabbitmq.version(url)


def test_a_process_that_is_signalled_after_its_end_is_no_error(tmp_path: pathlib.Path) -> None:
    child = servers_guard.Guarded(["true"], log=tmp_path / "log")
    assert child.wait(timeout_seconds=5)
    child.signal(signal.SIGTERM)
    child.kill()
    child.close()
