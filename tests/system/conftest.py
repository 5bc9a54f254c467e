"""Systems for the system tests: on the embedded default, and on a RabbitMQ and a PostgreSQL of our own."""

import contextlib
import pathlib
import secrets
from collections.abc import Callable, Iterator

import pytest

from tests import servers, servers_postgres, servers_rabbitmq, servers_redis
from tests.conftest import open_or_skip
from tests.system import rig as rigs

BACKENDS = ["embedded", pytest.param("servers", marks=pytest.mark.servers)]
MakeRig = Callable[..., rigs.Rig]


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[servers_rabbitmq.PrivateRabbitMQ]:
    """Yield a RabbitMQ that tests may kill."""
    with open_or_skip(servers.private_rabbitmq) as server:
        yield server


@pytest.fixture(scope="session")
def private_postgres() -> Iterator[servers_postgres.PrivatePostgres]:
    """Yield a PostgreSQL that tests may kill."""
    with open_or_skip(servers.private_postgres) as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[servers_redis.PrivateRedis]:
    """Yield a Redis beside RabbitMQ that tests may flush and kill."""
    with open_or_skip(servers.private_valkey) as server:
        yield server


@pytest.fixture(scope="module")
def make_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRig]:
    """Yield a function that makes a system on a backend; all that it made end with the test module."""
    with contextlib.ExitStack() as stack:

        def make(backend: str, **settings: str) -> rigs.Rig:
            home = tmp_path_factory.mktemp("home")
            named = {f"MILLRACE_{name.upper()}": value for name, value in settings.items()}
            if backend == "embedded":
                return stack.enter_context(rigs.Rig(home, settings=named))
            return stack.enter_context(_on_servers(request, home, named))

        yield make


def _on_servers(request: pytest.FixtureRequest, home: pathlib.Path, settings: dict[str, str]) -> rigs.Rig:
    rabbitmq: servers_rabbitmq.PrivateRabbitMQ = request.getfixturevalue("rabbitmq")
    postgres: servers_postgres.PrivatePostgres = request.getfixturevalue("private_postgres")
    valkey: servers_redis.PrivateRedis = request.getfixturevalue("valkey")
    return rigs.Rig(
        home,
        database_url=postgres.url(f"m{secrets.token_hex(4)}_{{role}}"),
        broker_url=rabbitmq.create_vhost(),
        redis_url=valkey.url,
        settings=settings,
    )


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Name what the system runs on."""
    return str(request.param)


@pytest.fixture(scope="module")
def rig(backend: str, make_rig: MakeRig) -> rigs.Rig:
    """Return a running system with one worker, on each backend in turn; the tests of a module share it."""
    made = make_rig(backend, worker_concurrency="2")
    made.start()
    return made
