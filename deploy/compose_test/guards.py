"""What must be true of the running containers: who may do what, and whose code is where."""

import ipaddress
import json
from collections.abc import Callable
from typing import Any

import httpx

from deploy.compose_test import shell, stack
from shared import roles

_OURS = {"api", "sweeper", "flower", "inference", *roles.ROLES}
PUBLISHED_OR_FETCHING = {"api", "flower", "inference", "rabbitmq", "ingestion"}
_CODE_OF = {"api": set(roles.ROLES), "sweeper": {"prediction", "training"}, "inference": {"prediction"}}
"""The roles whose code a service may have; a role's workers have that of their own."""


def check_all(running: stack.Stack) -> None:
    """Check every guard, one after another."""
    guards: tuple[Callable[[stack.Stack], None], ...] = (
        nothing_is_published_beyond_loopback,
        no_container_of_ours_has_rights,
        an_image_holds_its_own_code_only,
        the_api_image_has_no_numpy,
        a_worker_is_given_its_own_database_only,
        a_login_reaches_its_own_database_only,
        a_login_of_the_broker_reads_its_own_queue_only,
        redis_and_flower_want_a_password,
        only_what_is_published_or_fetches_has_a_way_out,
    )
    for guard in guards:
        with shell.step(guard.__name__.replace("_", " ")):
            guard(running)


def nothing_is_published_beyond_loopback(running: stack.Stack) -> None:
    """Look at the published ports of every container."""
    for container in running.containers():
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values():
            for binding in bindings or []:
                _expect(binding["HostIp"] == "127.0.0.1", f"{container['Name']} publishes {binding}")


def no_container_of_ours_has_rights(running: stack.Stack) -> None:
    """Each of our processes is not root, has no capability and cannot write to its root file system."""
    for service in sorted(_OURS):
        status = running.inside(service, "cat", "/proc/self/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        _expect(fields["Uid"].split() == ["10001"] * 4, f"{service} runs as {fields['Uid']}")
        _expect(int(fields["CapBnd"], 16) == 0, f"{service} may gain {fields['CapBnd']}")
        _expect(fields["NoNewPrivs"].strip() == "1", f"{service} may gain privileges")
        written = running.inside(service, "sh", "-c", "touch /app/x 2>/dev/null && echo written || echo refused")
        _expect(written.strip() == "refused", f"{service} can write to its own code")


def an_image_holds_its_own_code_only(running: stack.Stack) -> None:
    """Nothing under /app belongs to another role, and only workers have the ML code."""
    for service in sorted(_OURS):
        paths = running.inside(service, "find", "/app", "-name", "*.py").split()
        others = set(roles.ROLES) - _CODE_OF.get(service, {service})
        foreign = [path for path in paths if others & set(path.split("/"))]
        _expect(not foreign, f"{service} has code of another role: {foreign[:5]}")
        has_workers = any(path.startswith(("/app/workers/", "/app/shared/ml/")) for path in paths)
        _expect(
            has_workers == (service in {"inference", *roles.ROLES}), f"{service} has the wrong folders: {paths[:5]}"
        )
        _expect(not any("/tests/" in path for path in paths), f"{service} has tests")


def the_api_image_has_no_numpy(running: stack.Stack) -> None:
    """Look for ML libraries in the images of the API, the sweeper and Flower, which need none."""
    probe = "import importlib.util as u; print([m for m in ('numpy', 'pandas', 'sklearn') if u.find_spec(m)])"
    for service in ("api", "sweeper", "flower"):
        packages = running.inside(service, "python", "-c", probe).strip()
        _expect(packages == "[]", f"the image of {service} holds {packages}")


def a_worker_is_given_its_own_database_only(running: stack.Stack) -> None:
    """Look at each worker's environment: one database URL, its role's."""
    for role in roles.ROLES:
        container: dict[str, Any] = running.containers(role)[0]
        urls = [each.split("=")[0] for each in container["Config"]["Env"] if "DATABASE" in each]
        _expect(urls == [f"MILLRACE_DATABASE_URL_{role.upper()}"], f"{role} is given {urls}")


def a_login_reaches_its_own_database_only(running: stack.Stack) -> None:
    """Each login is let into its own database, and refused by every other."""
    databases = [*roles.STORES, "postgres", "template1"]
    for login in roles.STORES:
        url = f"postgresql://{login}:{running.secrets[f'DATABASE_PASSWORD_{login.upper()}']}@127.0.0.1"
        attempts = "; ".join(f"psql {url}/{each} -Atc \"SELECT 'let in'\" 2>&1 | head -1" for each in databases)
        answers = running.inside("postgres", "sh", "-c", attempts).splitlines()
        for database, answer in zip(databases, answers, strict=True):
            expected = "let in" if login == database else f'permission denied for database "{database}"'
            _expect(answer.endswith(expected), f"login {login} on database {database}: {answer}")


def a_login_of_the_broker_reads_its_own_queue_only(running: stack.Stack) -> None:
    """Each worker's own connection takes no message from the queues of other roles, nor may the API's from any."""
    probe = (
        "import sys, amqp, kombu; from shared import settings\n"
        "for role in sys.argv[1:]:\n"
        "    with kombu.Connection(settings.load().effective_broker_url()) as connection:\n"
        "        try: connection.channel().queue_purge(role); print(role)\n"
        "        except amqp.AccessRefused: pass\n"
    )
    for service in ("api", *roles.ROLES):
        others = [role for role in roles.ROLES if role != service]
        purged = running.inside(service, "python", "-c", probe, *others).split()
        _expect(not purged, f"the login of {service} may purge {purged}")


def redis_and_flower_want_a_password(running: stack.Stack) -> None:
    """Without the password Redis and Flower answer nothing; Flower with it answers."""
    reply = running.inside("redis", "env", "-u", "REDISCLI_AUTH", "redis-cli", "ping")
    _expect("NOAUTH" in reply, f"redis without a password says {reply!r}")
    page = running.address("MILLRACE_FLOWER_PORT") + "/api/workers"
    _expect(httpx.get(page).status_code == httpx.codes.UNAUTHORIZED, "Flower answers without a password")
    answer = httpx.get(page, auth=("millrace", running.secrets["FLOWER_PASSWORD"]))
    _expect(answer.status_code == httpx.codes.OK, f"Flower answers its password with {answer.status_code}")


def only_what_is_published_or_fetches_has_a_way_out(running: stack.Stack) -> None:
    """Look at every container's routes."""
    services = ways_out(running)
    _expect(services == PUBLISHED_OR_FETCHING, f"these have a way out: {sorted(services)}")


def ways_out(running: stack.Stack) -> set[str]:
    """List the services whose default route leads through `outside`; the engine lets nothing out of `inside`."""
    services = {stack.service_of(each) for each in running.containers()} - stack.ONE_SHOTS
    gateway = running.gateway("outside")
    return {service for service in services if gateway in _default_gateways(running, service)}


def _default_gateways(running: stack.Stack, service: str) -> list[str]:
    routes = [line.split() for line in running.inside(service, "cat", "/proc/net/route").splitlines()[1:]]
    # The kernel writes addresses as hexadecimal numbers whose first byte is the last.
    gateways = [bytes.fromhex(gateway)[::-1] for _, target, gateway, *_ in routes if int(target, 16) == 0]
    return [str(ipaddress.IPv4Address(gateway)) for gateway in gateways]


def sizes(running: stack.Stack) -> dict[str, int]:
    """Measure the size of each image in MB, the base's included."""
    images = {each["Config"]["Image"] for each in running.containers()}
    inspected = json.loads(running.docker("inspect", *sorted(images)))
    return {each["RepoTags"][0]: each["Size"] // 10**6 for each in inspected}


def _expect(holds: bool, message: str) -> None:  # noqa: FBT001 - an assertion takes its condition by position.
    if not holds:
        raise AssertionError(message)
