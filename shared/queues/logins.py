"""RabbitMQ's logins: one for each service, which may do what its work needs; python -m shared.queues.logins makes them.

docs/decisions/queues.md, "Each service has a login of its own at RabbitMQ"
"""

import base64
import dataclasses
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import structlog

from shared import roles, settings, telemetry
from shared.queues import broker

_log = structlog.get_logger()

URL_VARIABLE = "RABBITMQ_MANAGEMENT_URL"
PASSWORD_PREFIX = "RABBITMQ_PASSWORD_"  # noqa: S105 - the name of a variable.
_REPLY_SECONDS = 5
_PATIENCE_SECONDS = 60.0
"""How long RabbitMQ's management, which starts after the broker itself, is waited for."""
_NOTHING = "^$"
_CELERY_EXCHANGES = r"celeryev|celery\.pidbox|reply\.celery\.pidbox"
"""Celery's exchanges for events, remote control and its answers, which no restart of RabbitMQ outlives."""


@dataclasses.dataclass(frozen=True)
class Permissions:
    """What a login may do in the virtual host, each as a pattern of names: of exchanges and of queues."""

    configure: str
    write: str
    read: str


def _of_worker(role: str) -> Permissions:
    """Return what a worker needs: to consume its own queue, and to answer Flower."""
    # Celery names the queue of remote control after the worker, which has its role's name.
    own = rf"{role}[.@].+\.celery\.pidbox"
    return Permissions(
        configure=rf"^({role}|{own}|{_CELERY_EXCHANGES})$",
        # Celery binds a queue to an exchange of its name; and whoever declares a queue must be allowed to write to its
        # exchange of dead letters.
        write=rf"^({role}|{own}|celeryev|reply\.celery\.pidbox|{re.escape(broker.DEAD_LETTERS)})$",
        read=rf"^({role}|{own}|celery\.pidbox)$",
    )


LOGINS: dict[str, Permissions] = {
    # RabbitMQ calls its nameless exchange, by which all doorbells go, amq.default.
    "api": Permissions(configure=_NOTHING, write=r"^amq\.default$", read=_NOTHING),
    "sweeper": Permissions(configure=_NOTHING, write=rf"^(amq\.default|{re.escape(broker.EVENTS)})$", read=_NOTHING),
    "flower": Permissions(
        configure=rf"^({_CELERY_EXCHANGES}|celeryev\..+|.+\.reply\.celery\.pidbox)$",
        write=r"^(celery\.pidbox|celeryev\..+|.+\.reply\.celery\.pidbox)$",
        read=r"^(celeryev|celeryev\..+|reply\.celery\.pidbox|.+\.reply\.celery\.pidbox)$",
    ),
    **{role: _of_worker(role) for role in roles.ROLES},
}
"""The logins by name."""


class Management:
    """RabbitMQ's HTTP API, with an administrator's name and password in its URL."""

    def __init__(self, url: str) -> None:
        """Keep the address; nothing is sent yet."""
        parts = urllib.parse.urlsplit(url)
        words = [urllib.parse.unquote(word or "") for word in (parts.username, parts.password)]
        self._authorization = "Basic " + base64.b64encode(":".join(words).encode()).decode()
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        # No proxy is asked, whatever the environment says.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def put_login(self, name: str, *, password: str, virtual_host: str) -> None:
        """Make a login or change its password, and set what it may do; it can't use the management itself."""
        self._put(["users", name], {"password": password, "tags": ""})
        self._put(["permissions", virtual_host, name], dataclasses.asdict(LOGINS[name]))

    def _put(self, path: list[str], document: Mapping[str, Any]) -> None:
        quoted = "/".join(urllib.parse.quote(part, safe="") for part in path)
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - the operator's URL.
            f"{self._url}/api/{quoted}", json.dumps(document).encode(), headers, method="PUT"
        )
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                self._opener.open(request, timeout=_REPLY_SECONDS).close()
            except urllib.error.HTTPError as error:
                error.close()
                raise SystemExit(f"RabbitMQ's management answers {error.code} to {path[0]} of {path[-1]}.") from None
            except OSError as error:
                if time.monotonic() > until:
                    raise SystemExit(f"RabbitMQ's management can't be reached ({type(error).__name__}).") from None
                time.sleep(0.5)
            else:
                return


def main(environment: Mapping[str, str] = os.environ) -> None:
    """Make the queues and every login, as often as it is run; changed passwords are applied."""
    config = settings.load()
    telemetry.configure(config.log_level)
    with broker.connect(config) as connection:
        broker.declare(broker.open_channel(connection), config=config)
        virtual_host = str(connection.virtual_host)
    management = Management(environment[URL_VARIABLE])
    for name in LOGINS:
        password = environment[PASSWORD_PREFIX + name.upper()]
        management.put_login(name, password=password, virtual_host=virtual_host)
    _log.info("broker_logins_ready", logins=sorted(LOGINS))


if __name__ == "__main__":
    main()
