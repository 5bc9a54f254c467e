"""Each service with its own login at RabbitMQ: jobs go their way, and no login reaches another role's queue."""

import secrets
import urllib.parse
from collections.abc import Callable
from typing import Any

import amqp
import httpx
import kombu
import pytest

from shared.queues import broker, celery_app, logins
from tests import servers_rabbitmq
from tests.system import rig as rigs
from tests.system.conftest import MakeRig
from tests.system.flower import flower, tasks_shown, workers_shown
from tests.system.rig import ROLE, Rig

pytestmark = pytest.mark.servers

OTHER_ROLE = "training"
ADD_LOGINS = """
    lists:foreach(fun({{Name, Configure, Write, Read}}) ->
        ok = rabbit_auth_backend_internal:add_user(Name, <<"{password}">>, <<"tests">>),
        ok = rabbit_auth_backend_internal:set_permissions(Name, <<"{host}">>, Configure, Write, Read, <<"tests">>)
    end, [{rows}]).
"""
Use = Callable[[Any], Any]


def url_of(name: str, *, rig: Rig) -> str:
    """Return the broker's URL for a login."""
    parts = urllib.parse.urlsplit(rig.config.broker_url)
    return parts._replace(netloc=f"{name}:{rig.key}@{parts.hostname}:{parts.port}").geturl()


def erlang(word: str) -> str:
    """Write a word as Erlang does."""
    escaped = word.replace("\\", "\\\\")
    return f'<<"{escaped}">>'


@pytest.fixture(scope="module")
def rig(make_rig: MakeRig, rabbitmq: servers_rabbitmq.PrivateRabbitMQ) -> Rig:
    """Return a running system whose processes have a login each."""
    made = make_rig("servers", worker_concurrency="1")
    made.prepare()
    host = urllib.parse.unquote(urllib.parse.urlsplit(made.config.broker_url).path[1:])
    rows = ", ".join(
        f"{{{', '.join(map(erlang, (name, allowed.configure, allowed.write, allowed.read)))}}}"
        for name, allowed in logins.LOGINS.items()
    )
    # By one command instead of two for each login, because each starts an Erlang of its own.
    rabbitmq.evaluate(ADD_LOGINS.format(password=made.key, host=host, rows=rows))
    with broker.connect(made.config) as connection:
        broker.declare(connection.channel(), config=made.config)
    for name in ("api", "sweeper", ROLE, OTHER_ROLE):
        made.env["MILLRACE_BROKER_URL"] = url_of(name, rig=made)
        made.start([name])
    made.env["MILLRACE_BROKER_URL"] = url_of("flower", rig=made)
    return made


def test_jobs_flow_and_events_go_out(rig: Rig) -> None:
    with broker.connect(rig.config) as connection:
        exchange = kombu.Exchange(broker.EVENTS, type="topic", durable=True)
        events = kombu.Queue(f"seen-{secrets.token_hex(4)}", exchange, routing_key="#", exclusive=True)
        channel = connection.channel()
        events(channel).declare()
        for role in (ROLE, OTHER_ROLE):
            # A doorbell that no login could publish would be made good by polling: the worker must be told.
            assert rig.await_state(rig.submit(role=role))["state"] == "succeeded"
        rigs.until(lambda: events(channel).get() is not None, seconds=10, what="an event")
    logs = rig.text_of_logs()
    assert "broker_connection_failed" not in logs
    assert "ACCESS_REFUSED" not in logs
    assert "flower_events_dropped" not in logs


def test_the_api_tells_of_queues_and_consumers(rig: Rig) -> None:
    services = {service["role"]: service for service in rig.client.get("/v1/services").json()["services"]}
    assert (services[ROLE]["consumers"], services["evaluation"]["consumers"]) == (1, 0)
    assert rig.client.get("/readyz").status_code == httpx.codes.OK


def test_flower_shows_workers_and_cancels_jobs(rig: Rig) -> None:
    with flower(rig) as client:
        rigs.until(lambda: len(workers_shown(client)) == 2, seconds=30, what="Flower to know the workers")
        job_id = rig.submit(seconds=60)
        rig.await_state(job_id, "running")
        rigs.until(lambda: job_id in tasks_shown(client), seconds=20, what="Flower to show the job")
        client.post(f"/api/task/revoke/{job_id}", params={"terminate": "true"})
        assert rig.await_state(job_id)["state"] == "cancelled"


FORBIDDEN: dict[str, tuple[str, Use]] = {
    "a worker consumes another role's queue": (OTHER_ROLE, lambda channel: channel.basic_consume(ROLE)),
    "a worker takes from another role's queue": (OTHER_ROLE, lambda channel: channel.basic_get(ROLE)),
    "a worker purges another role's queue": (OTHER_ROLE, lambda channel: channel.queue_purge(ROLE)),
    "a worker deletes another role's queue": (OTHER_ROLE, lambda channel: channel.queue_delete(ROLE)),
    "a worker binds another role's queue": (
        OTHER_ROLE,
        lambda channel: channel.queue_bind(ROLE, "celery.pidbox", routing_key="x"),
    ),
    "a worker reads dead letters": (OTHER_ROLE, lambda channel: channel.basic_get(broker.DEAD_LETTERS)),
    "a worker makes a queue of a name of its own": (OTHER_ROLE, lambda channel: channel.queue_declare("mine")),
    "the API consumes": ("api", lambda channel: channel.basic_consume(ROLE)),
    "the API purges": ("api", lambda channel: channel.queue_purge(ROLE)),
    "the sweeper purges": ("sweeper", lambda channel: channel.queue_purge(ROLE)),
    "Flower consumes": ("flower", lambda channel: channel.basic_consume(ROLE)),
    "Flower purges": ("flower", lambda channel: channel.queue_purge(ROLE)),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_no_login_reaches_what_is_not_its_own(rig: Rig, name: str) -> None:
    login, use = FORBIDDEN[name]
    with (
        kombu.Connection(url_of(login, rig=rig)) as connection,
        pytest.raises(amqp.exceptions.AccessRefused),
    ):
        use(connection.channel())


@pytest.mark.parametrize(
    ("login", "exchange"),
    [
        (OTHER_ROLE, ""),
        (OTHER_ROLE, "celery.pidbox"),
        (OTHER_ROLE, broker.EVENTS),
        ("api", "celery.pidbox"),
        ("api", broker.EVENTS),
        ("flower", ""),
    ],
)
def test_no_login_publishes_where_it_has_nothing_to_say(rig: Rig, login: str, exchange: str) -> None:
    with kombu.Connection(url_of(login, rig=rig)) as connection:
        channel = connection.channel()
        channel.confirm_select()
        with pytest.raises(amqp.exceptions.AccessRefused):
            channel.basic_publish_confirm(amqp.Message("x"), exchange=exchange, routing_key=ROLE)


def test_a_worker_can_not_command_the_workers_of_other_roles(rig: Rig) -> None:
    config = rig.config.model_copy(update={"broker_url": url_of(OTHER_ROLE, rig=rig)})
    app = celery_app.create_celery([OTHER_ROLE], config=config)
    with pytest.raises(amqp.exceptions.AccessRefused):
        app.control.broadcast("ping", reply=True, timeout=2)
    assert rig.alive(ROLE)
