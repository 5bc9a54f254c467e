"""The compose file as it stands in the checkout, run under a project name and ports of its own."""

import dataclasses
import json
import os
import pathlib
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from deploy.compose_test import shell

ONE_SHOTS = {"databases", "logins", "migrations"}
_PROJECT = "millrace-compose-test"


@dataclasses.dataclass(frozen=True)
class Stack:
    """One running copy of docker-compose.yml."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    env_file: pathlib.Path
    owns_engine: bool

    def compose(self, *arguments: str) -> str:
        """Run a compose command and return its output; raise CommandError when it fails."""
        argv = [*self.command, "--project-name", _PROJECT, "--env-file", str(self.env_file), *arguments]
        return shell.run(argv, environment=self.environment)

    def docker(self, *arguments: str) -> str:
        """Run a docker command against the same engine."""
        return shell.run(["docker", *arguments], environment=self.environment)

    def inside(self, service: str, *argv: str) -> str:
        """Run a command in a service's first container."""
        return self.compose("exec", "-T", service, *argv)

    def address(self, variable: str) -> str:
        """Return the address published for a port variable."""
        return f"http://127.0.0.1:{self.environment[variable]}"

    def gateway(self, network: str) -> str:
        """Return the host's own address on one of the networks."""
        [inspected] = json.loads(self.docker("network", "inspect", f"{_PROJECT}_{network}"))
        return str(inspected["IPAM"]["Config"][0]["Gateway"])

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """Inspect the project's containers, or those of one service."""
        filters = ["--filter", f"label=com.docker.compose.project={_PROJECT}"]
        if service:
            filters += ["--filter", f"label=com.docker.compose.service={service}"]
        ids = self.docker("ps", "--all", "--quiet", *filters).split()
        return json.loads(self.docker("inspect", *ids)) if ids else []

    def up(self, *arguments: str) -> None:
        """Start everything and wait until each service is healthy and each one-shot has ended well."""
        self.compose("up", "--detach", *arguments)
        wait_for(self.is_healthy, what="every service healthy", seconds=180, why_not=self.unhealthy)

    def is_healthy(self) -> bool:
        """Tell whether every service runs in health and every one-shot has ended well."""
        return not self.unhealthy()

    def unhealthy(self) -> dict[str, str]:
        """Name the containers that are not as they should be, each with its state."""
        return {each["Name"]: _condition(each) for each in self.containers() if _condition(each) != "well"}


def _condition(container: Mapping[str, Any]) -> str:
    state = container["State"]
    if service_of(container) in ONE_SHOTS:
        ended = f"{state['Status']} {state['ExitCode']}"
        return "well" if ended == "exited 0" else ended
    health = str(state.get("Health", {}).get("Status", "has no health check"))
    return "well" if health == "healthy" else f"{state['Status']}, {health}"


def service_of(container: Mapping[str, Any]) -> str:
    """Return the compose service that a container belongs to."""
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def wait_for(
    condition: Callable[[], bool], *, what: str, seconds: float, why_not: Callable[[], object] = lambda: ""
) -> None:
    """Ask once a second until the condition holds; raise TimeoutError that says what was waited for."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}: {why_not()}")
        time.sleep(1)


def free_ports(*variables: str) -> dict[str, str]:
    """Choose a free port of loopback for each variable."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in variables]
    ports = {name: str(each.getsockname()[1]) for name, each in zip(variables, sockets, strict=True)}
    for each in sockets:
        each.close()
    return ports


def compose_command(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Choose Compose v2 where it is installed, else v1; COMPOSE_COMMAND decides when it is set."""
    if chosen := os.environ.get("COMPOSE_COMMAND"):
        return tuple(chosen.split())
    has_v2 = shell.attempt(["docker", "compose", "version"], environment=environment).returncode == 0
    return ("docker", "compose") if has_v2 else ("docker-compose",)
