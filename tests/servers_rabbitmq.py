"""RabbitMQ for tests: one that is there, or a node of our own; always in virtual hosts of our own."""

import os
import pathlib
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from typing import Protocol

import amqp
import httpx

from tests import servers_guard, servers_process, servers_sources
from tests.servers_sources import Location, ServerNotFoundError, ServerUnreachableError, Source

URL_VARIABLE = "MILLRACE_TEST_RABBITMQ_URL"
MANAGEMENT_VARIABLE = "MILLRACE_TEST_RABBITMQ_MANAGEMENT_URL"
REMEDY = f"Set {URL_VARIABLE} (with {MANAGEMENT_VARIABLE}), or install Debian's package rabbitmq-server."
DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
SCRIPT_FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


class VirtualHosts(Protocol):
    """A way of making and removing virtual hosts."""

    def add(self, name: str, *, user: str) -> None:
        """Make a virtual host and give a user all rights in it."""

    def remove(self, name: str) -> None:
        """Remove it with all its queues."""


class ByCommand:
    """Virtual hosts by rabbitmqctl."""

    def __init__(self, program: pathlib.Path, *, env: dict[str, str] | None = None) -> None:
        """Keep the program and, for a node of our own, the environment that leads to it."""
        self._program = program
        self._env = env

    def add(self, name: str, *, user: str) -> None:
        """Make a virtual host and give a user all rights in it."""
        self._run("add_vhost", name)
        self._run("set_permissions", "-p", name, user, ".*", ".*", ".*")

    def remove(self, name: str) -> None:
        """Remove it with all its queues."""
        self._run("delete_vhost", name)

    def evaluate(self, expression: str) -> None:
        """Let the node evaluate an expression of Erlang."""
        self._run("eval", expression)

    def _run(self, *arguments: str) -> None:
        command = [str(self._program), "-q", *arguments]
        result = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=60, check=False)
        if result.returncode:
            raise ServerUnreachableError(f"rabbitmqctl {' '.join(arguments)}: {result.stderr.strip()[-500:]}")


class ByManagement:
    """Virtual hosts by the management plugin's HTTP API."""

    def __init__(self, url: str) -> None:
        """Keep the URL, credentials included, as in `http://guest:guest@127.0.0.1:15672`."""
        self._url = url.rstrip("/")

    def add(self, name: str, *, user: str) -> None:
        """Make a virtual host and give a user all rights in it."""
        self._send("PUT", f"/api/vhosts/{quoted(name)}", {})
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self._send("PUT", f"/api/permissions/{quoted(name)}/{quoted(user)}", rights)

    def remove(self, name: str) -> None:
        """Remove it with all its queues."""
        self._send("DELETE", f"/api/vhosts/{quoted(name)}", None)

    def _send(self, method: str, path: str, body: dict[str, str] | None) -> None:
        try:
            httpx.request(method, self._url + path, json=body, timeout=10).raise_for_status()
        except httpx.HTTPError as error:
            raise ServerUnreachableError(f"RabbitMQ's management API, {method} {path}: {error}") from error


class RabbitMQ(servers_process.Closing):
    """A running RabbitMQ in which tests make virtual hosts of their own."""

    def __init__(self, url: str, *, source: Source, hosts: VirtualHosts | None) -> None:
        """Keep the server's URL; without a way of making virtual hosts its own one is used."""
        self.server_url = url
        self.source = source
        self.version = version(url)
        self._hosts = hosts
        self._created: list[str] = []

    def create_vhost(self, name: str = "") -> str:
        """Make an empty virtual host, named by chance when no name is given, and give its URL."""
        if self._hosts is None:
            return self.server_url
        name = name or f"millrace_test_{secrets.token_hex(6)}"
        self._hosts.add(name, user=urllib.parse.urlsplit(self.server_url).username or "guest")
        self._created.append(name)
        url = on_vhost(self.server_url, name)
        version(url)
        return url

    def drop_vhost(self, name_or_url: str) -> None:
        """Remove a virtual host that was made here."""
        name = urllib.parse.unquote(urllib.parse.urlsplit(name_or_url).path.lstrip("/"))
        if self._hosts is not None and name in self._created:
            self._created.remove(name)
            self._hosts.remove(name)

    def close(self) -> None:
        """Remove the virtual hosts that were made here."""
        for name in list(self._created):
            self.drop_vhost(name)


class PrivateRabbitMQ(servers_process.Private, RabbitMQ):
    """A node of our own. A stop keeps durable queues and their messages."""

    START_SECONDS = 90.0
    LOOK_SECONDS = 0.1
    STOP_SECONDS = 30.0

    def __init__(self, folder: pathlib.Path, *, consumer_timeout_ms: int | None = None) -> None:
        """Make a node in a folder and start it; a consumer's timeout is looked at every second."""
        self._folder = folder
        self._log = folder / "output.log"
        self._scripts = find_scripts()
        self._epmd: servers_guard.Guarded | None = None
        self.port = servers_sources.free_port()
        self._env = self._environment()
        self._configure(consumer_timeout_ms)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        try:
            self.start()
            hosts = ByCommand(self._scripts / "rabbitmqctl", env=self._env)
            RabbitMQ.__init__(self, self.url, source=Source.BINARIES, hosts=hosts)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it and remove its folder; its virtual hosts go with it."""
        super().close()
        if self._epmd is not None:
            self._epmd.close()
            self._epmd = None

    def evaluate(self, expression: str) -> None:
        """Let the node evaluate an expression of Erlang."""
        ByCommand(self._scripts / "rabbitmqctl", env=self._env).evaluate(expression)

    def _launch(self) -> servers_guard.Guarded:
        self._start_epmd()
        # RABBITMQ_ALLOW_INPUT makes the script become the node rather than stand before it, so that signals reach it.
        return servers_guard.Guarded(
            [self._scripts / "rabbitmq-server", "-noinput"],
            log=self._log,
            env={**self._env, "RABBITMQ_ALLOW_INPUT": "1"},
            cwd=self._folder,
            folder=self._folder,
        )

    def _greet(self) -> None:
        version(self.url)

    def _start_epmd(self) -> None:
        # The node would start this name server as a daemon, which nobody would ever end.
        if self._epmd is None:
            port = self._env["ERL_EPMD_PORT"]
            self._epmd = servers_guard.Guarded(
                ["epmd", "-port", port, "-address", "127.0.0.1"], log=self._folder / "epmd.log", env=self._env
            )
            until = time.monotonic() + 10
            while not servers_sources.port_answers(int(port)) and time.monotonic() < until:
                time.sleep(0.02)

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(servers_sources.free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The distribution stays on the loopback address: whoever reads the cookie may do anything.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_NODENAME": f"millrace-{secrets.token_hex(4)}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(servers_sources.free_port()),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }

    def _configure(self, consumer_timeout_ms: int | None) -> None:
        lines = ["loopback_users.guest = true", "disk_free_limit.absolute = 50MB"]
        if consumer_timeout_ms is not None:
            lines.append(f"consumer_timeout = {consumer_timeout_ms}")
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("data", "log", "generated"):
            (self._folder / name).mkdir(exist_ok=True)
        (self._folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self._folder / "advanced.config").write_text("[{rabbit, [{channel_tick_interval, 1000}]}].\n")
        (self._folder / "enabled_plugins").write_text("[].\n")
        (self._folder / "environment.conf").write_text("")
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)


def locate() -> Location[RabbitMQ]:
    """Find a RabbitMQ; raises ServerNotFoundError, or ServerUnreachableError for a URL that was given."""
    attempts = [
        (Source.ENVIRONMENT, _from_environment),
        (Source.DEFAULT_PORT, _from_default_port),
        (Source.BINARIES, _from_binaries),
    ]
    return servers_sources.first("RabbitMQ", attempts, remedy=REMEDY)


def private(folder: pathlib.Path | None = None, *, consumer_timeout_ms: int | None = None) -> PrivateRabbitMQ:
    """Start a node of one's own, in a folder below the given one; raises ServerNotFoundError."""
    if Source.BINARIES not in servers_sources.allowed():
        raise ServerNotFoundError(f"no RabbitMQ of one's own (its binaries are not an allowed source). {REMEDY}")
    find_scripts()
    home = pathlib.Path(tempfile.mkdtemp(prefix="millrace-rabbitmq-", dir=folder))
    return PrivateRabbitMQ(home, consumer_timeout_ms=consumer_timeout_ms)


def _from_environment() -> Location[RabbitMQ]:
    url = os.environ.get(URL_VARIABLE, "")
    if not url:
        raise ServerNotFoundError(f"{URL_VARIABLE} is not set")
    hosts = _way_of_making_hosts(url)
    if hosts is None and urllib.parse.urlsplit(url).path in ("", "/", "/%2f", "/%2F"):
        raise ServerUnreachableError(
            f"{URL_VARIABLE} names the virtual host `/`, which tests do not touch, and there is no way of making "
            f"another: set {MANAGEMENT_VARIABLE}, or name a virtual host that is the tests' own"
        )
    return Location(Source.ENVIRONMENT, version(url), lambda: RabbitMQ(url, source=Source.ENVIRONMENT, hosts=hosts))


def _from_default_port() -> Location[RabbitMQ]:
    if not servers_sources.port_answers(5672):
        raise ServerNotFoundError("nothing answers on 127.0.0.1:5672")
    try:
        found = version(DEFAULT_URL)
    except ServerUnreachableError as error:
        raise ServerNotFoundError(f"a server is there but guest may not enter ({error})") from error
    hosts = _way_of_making_hosts(DEFAULT_URL)
    if hosts is None:
        raise ServerNotFoundError(f"a server is there but we can't make virtual hosts: set {MANAGEMENT_VARIABLE}")
    return Location(Source.DEFAULT_PORT, found, lambda: RabbitMQ(DEFAULT_URL, source=Source.DEFAULT_PORT, hosts=hosts))


def _from_binaries() -> Location[RabbitMQ]:
    scripts = find_scripts()
    found = re.search(r"rabbitmq_server-([\d.]+)", str((scripts / "rabbitmq-server").resolve()))
    return Location(Source.BINARIES, found.group(1) if found else "", private)


def _way_of_making_hosts(url: str) -> VirtualHosts | None:
    """Return the management API when its URL is set, else rabbitmqctl when it leads to the very server of the URL."""
    if management := os.environ.get(MANAGEMENT_VARIABLE, ""):
        return ByManagement(management)
    program = shutil.which("rabbitmqctl")
    if program is None or urllib.parse.urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        return None
    hosts, name = ByCommand(pathlib.Path(program)), f"millrace_probe_{secrets.token_hex(6)}"
    try:
        hosts.add(name, user=urllib.parse.urlsplit(url).username or "guest")
        try:
            version(on_vhost(url, name))
        finally:
            hosts.remove(name)
    except (ServerUnreachableError, subprocess.TimeoutExpired):
        return None
    return hosts


def find_scripts() -> pathlib.Path:
    """Return the folder of RabbitMQ's own scripts; raises ServerNotFoundError.

    Debian's command in /usr/sbin stands before them, becomes the user rabbitmq and refuses everybody but root.
    """
    on_path = [pathlib.Path(found).parent for found in [shutil.which("rabbitmq-server")] if found]
    for folder in (*map(pathlib.Path, SCRIPT_FOLDERS), *on_path):
        if (folder / "rabbitmq-server").exists() and shutil.which("epmd"):
            return folder
    raise ServerNotFoundError("rabbitmq-server and Erlang's epmd are not installed")


def version(url: str) -> str:
    """Connect and give the server's version; raises ServerUnreachableError."""
    parts = urllib.parse.urlsplit(url)
    try:
        with amqp.Connection(
            host=f"{parts.hostname}:{parts.port or 5672}",
            userid=urllib.parse.unquote(parts.username or "guest"),
            password=urllib.parse.unquote(parts.password or "guest"),
            virtual_host=urllib.parse.unquote(parts.path[1:]) or "/",
            connect_timeout=5,
            read_timeout=10,
        ) as connection:
            return str(connection.server_properties["version"])
    except (OSError, amqp.AMQPError) as error:
        raise ServerUnreachableError(f"RabbitMQ at {parts.hostname}:{parts.port}{parts.path}: {error}") from error


def on_vhost(url: str, name: str) -> str:
    """Return a URL with another virtual host."""
    return urllib.parse.urlsplit(url)._replace(path=f"/{quoted(name)}").geturl()


def quoted(name: str) -> str:
    """Quote a name as one part of a path."""
    return urllib.parse.quote(name, safe="")
