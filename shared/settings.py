"""All settings, each read from an environment variable with the prefix MILLRACE_."""

import functools
import hashlib
import os
import pathlib
import tempfile
from typing import Annotated, Any, Self

import pydantic
import pydantic_settings

_MAX_SOCKET_PATH_LENGTH = 100


def _by_role(prefix: str) -> dict[str, str]:
    """Read the variables of single roles, which are named for the role after a prefix."""
    return {name.removeprefix(prefix).lower(): value for name, value in os.environ.items() if name.startswith(prefix)}


class Settings(pydantic_settings.BaseSettings):
    """What an operator may set; with the defaults everything runs embedded on one machine."""

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="MILLRACE_", frozen=True, extra="ignore")

    home: pathlib.Path = pathlib.Path("var")
    """Folder of the embedded databases, broker and objects."""

    broker_url: str = ""
    """RabbitMQ (`amqp://…`) or Redis (`redis://…`); empty: the embedded Valkey under `home`."""

    redis_url: str = ""
    """Redis for counters that may be lost at any time; empty: the embedded Valkey under `home`."""

    database_url: str = ""
    """A URL in which `{role}` is replaced by the role's name; without it `_<role>` is added to the database's
    name. Empty: SQLite files under `home`. MILLRACE_DATABASE_URL_<ROLE> sets the URL of one role."""

    database_urls: dict[str, str] = pydantic.Field(default_factory=lambda: _by_role("MILLRACE_DATABASE_URL_"))
    """URLs of single roles, collected from MILLRACE_DATABASE_URL_<ROLE>."""

    statement_seconds: float = pydantic.Field(default=10.0, ge=1)
    """The longest that PostgreSQL may work on one statement, in seconds; claims and beats get half of it. A connection
    on which it has not answered a fifth later is given up."""

    storage_url: str = ""
    """Where objects are kept: `file:///folder`, or `s3://bucket/prefix` of any S3-compatible store; empty: a folder
    under `home`."""

    storage_endpoint: str = ""
    """URL of the S3-compatible store, such as `https://minio.intranet:9000`; empty: Amazon's."""

    storage_region: str = "us-east-1"
    """Region of the S3 bucket."""

    storage_access_key_id: str = ""
    """Key id for S3; empty: credentials come from AWS's own variables or from the machine's role."""

    storage_secret_access_key: pydantic.SecretStr = pydantic.SecretStr("")
    """Secret of that key."""

    archive_key: pydantic.SecretStr = pydantic.SecretStr("")
    """Secret that archives are signed with; systems that exchange archives need the same one. Empty: a secret for each
    tenant, kept in a file under `home`, or in the database of the role storage when that is a PostgreSQL."""

    cache_folder: pathlib.Path | None = None
    """Folder in which the processes of this host share what they downloaded from S3 or computed from it; empty: a
    folder under `home`. Anything in it may be removed while no process runs."""

    cache_bytes: int = pydantic.Field(default=20 * 1024**3, ge=0)
    """Bytes that the host's cache may keep; files that jobs use are not counted."""

    api_host: str = "127.0.0.1"
    """Address on which the API listens."""

    api_port: int = 8400
    """Port on which the API listens."""

    api_threads: int = pydantic.Field(default=32, ge=4, le=512)
    """Requests answered at once by one API process; clients that wait, or are slow or idle, take none of them."""

    api_waits: int = pydantic.Field(default=4000, ge=1, le=100_000)
    """Clients that one API process lets wait for a job's end (`Prefer: wait`), or follow a job's events, at once."""

    api_waits_per_key: int = pydantic.Field(default=1000, ge=1, le=100_000)
    """How many of these one key may have; more waits are answered at once, more streams are refused with 429."""

    api_processes: int = pydantic.Field(default=1, ge=1, le=64)
    """Processes of the API."""

    api_listen_fd: int | None = pydantic.Field(default=None, ge=0)
    """Number of an inherited descriptor: a listening socket that a supervisor holds, so that a restart refuses nobody.
    With systemd's socket units it is 3. Empty: the API listens on host and port by itself."""

    api_grace_seconds: float = pydantic.Field(default=20.0, ge=1)
    """How long requests that are under way may take to end once the API is to stop."""

    max_body_bytes: int = pydantic.Field(default=2 * 1024 * 1024, ge=1024)
    """Largest JSON body, in bytes after unpacking."""

    max_upload_bytes: int = pydantic.Field(default=20 * 1024**3, ge=1024)
    """Largest upload, in bytes as sent."""

    max_queued: int = pydantic.Field(default=100_000, ge=1)
    """Queued jobs that a role may have before new ones are refused with 429."""

    max_queued_per_tenant: int = pydantic.Field(default=50_000, ge=1)
    """Queued jobs of a role that one tenant may have before its new ones are refused with 429."""

    max_bytes_per_tenant: pydantic.ByteSize | None = None
    """Bytes that a tenant may have in the object store, such as `500GB`, uploads and what is deleted but not pruned
    included; 0 or empty: no limit. Uploads and jobs for which there is no room are refused with 507."""

    rate_limit: str = ""
    """Requests that one key may make, such as `600/minute`; empty: no limit."""

    inference_host: str = "127.0.0.1"
    """Address on which the inference server listens."""

    inference_port: int = 8401
    """Port on which the inference server listens."""

    inference_processes: int = pydantic.Field(default=1, ge=1, le=64)
    """Processes of the inference server, each of which loads every model that is served."""

    inference_max_body_bytes: int = pydantic.Field(default=64 * 1024 * 1024, ge=1024)
    """Largest body of a request for predictions, in bytes after unpacking."""

    inference_memory_bytes: pydantic.ByteSize = pydantic.ByteSize(2 * 1024**3)
    """Memory, such as `4GiB`, that models which are not deployed may take together in each of these processes, once
    they are asked for by name; those that were asked for longest ago make room for others."""

    inference_drain_seconds: float = pydantic.Field(default=5.0, ge=0, le=600)
    """How long the inference server goes on to answer after TERM, while it says that it is not ready, so that whoever
    balances requests sends them elsewhere before it closes."""

    flower_host: str = "127.0.0.1"
    """Address on which Flower listens."""

    flower_port: int = 8402
    """Port on which Flower listens."""

    flower_basic_auth: str = ""
    """`user:password` for Flower; empty: a random password, kept in a file under `home`."""

    worker_concurrency: int = pydantic.Field(default=1, ge=1, le=256)
    """Jobs that one worker does at once, each in a process of its own."""

    worker_threads: int = pydantic.Field(default=0, ge=0, le=1024)
    """Threads that numeric libraries may use in each of those processes; 0: cores divided by concurrency."""

    worker_memory: pydantic.ByteSize | None = None
    """Memory that each of those processes may take, such as `4GiB`, libraries included; 0: no limit. Empty: four fifths
    of the container's or host's memory, divided by concurrency. MILLRACE_WORKER_MEMORY_<ROLE> sets it for one role."""

    worker_memories: dict[str, pydantic.ByteSize] = pydantic.Field(
        default_factory=lambda: _by_role("MILLRACE_WORKER_MEMORY_"), validate_default=True
    )
    """The same for single roles, collected from MILLRACE_WORKER_MEMORY_<ROLE>."""

    worker_grace_seconds: float = pydantic.Field(default=20.0, ge=0)
    """How long a worker that is to stop lets its jobs continue before it hands them back to the queue."""

    lease_seconds: float = pydantic.Field(default=24.0, gt=0)
    """How long a claim lasts without a beat; longer than `fence_seconds`."""

    beat_seconds: float = pydantic.Field(default=6.0, gt=0)
    """How often a worker renews the leases of its running jobs."""

    fence_seconds: float = pydantic.Field(default=18.0, gt=0)
    """How long after the last successful beat a worker stops its own job; at least two beats."""

    cancel_check_seconds: float = pydantic.Field(default=1.0, gt=0)
    """How often a worker checks whether a running job is to be cancelled."""

    kill_after_seconds: float = pydantic.Field(default=10.0, gt=0)
    """How long a process has, after TERM, before it is killed."""

    hang_seconds: float = pydantic.Field(default=60.0, ge=1)
    """After how long a process ends itself when one of the threads that it can't do without makes no progress."""

    sweep_seconds: float = pydantic.Field(default=5.0, gt=0)
    """How often the sweeper looks for expired leases and deadlines."""

    ring_seconds: float = pydantic.Field(default=1.0, gt=0)
    """How often the sweeper looks for queued jobs whose doorbell is due."""

    ring_soon_seconds: float = pydantic.Field(default=0.5, gt=0)
    """After how long the sweeper rings for an accepted job that no worker has claimed."""

    ring_again_seconds: float = pydantic.Field(default=30.0, gt=0)
    """After how long a queued job's doorbell counts as lost and is rung again."""

    retry_base_seconds: float = pydantic.Field(default=2.0, ge=0)
    """The first upper bound of the random wait before a retry; it doubles with each try, up to 300 s."""

    fault_hours: float = pydantic.Field(default=24.0, ge=0)
    """For how long after its first start a job is tried again because a disk is full, a database read-only or a store
    away, without using up its tries."""

    idempotency_hours: float = pydantic.Field(default=24.0, gt=0)
    """How long an Idempotency-Key is remembered."""

    job_retention_days: float = pydantic.Field(default=0, ge=0)
    """How long jobs are kept after their end; those that something names, such as a model's lineage, are kept longer.
    0: for good."""

    event_retention_days: float = pydantic.Field(default=30, gt=0)
    """How long events are kept in the event log; those that have not been published yet are kept longer."""

    commit: str = ""
    """Commit of the code, set when an image is built and recorded in models; empty: the commit of the git checkout."""

    health_file: pathlib.Path | None = None
    """A file whose time is renewed while this worker or sweeper is healthy, for health checks."""

    metrics_port: int = 0
    """Port on loopback for a worker's or sweeper's /metrics; 0: none."""

    ingestion_allow_hosts: Annotated[tuple[str, ...], pydantic_settings.NoDecode] = ()
    """Hosts and networks of your own that loads may read from, with commas: `wiki.intranet,10.2.0.0/16`. All
    other addresses that are not public are refused. Link-local addresses (cloud metadata) count only as networks."""

    ingestion_ports: Annotated[tuple[int, ...], pydantic_settings.NoDecode] = (80, 443)
    """Ports of web servers that loads may read from, with commas."""

    ingestion_contact: str = pydantic.Field(default="", pattern=r"^[\x21-\x27\x2a-\x7e]{0,200}$")
    """An address or URL that is sent to web servers in the User-Agent, so that their owners can reach you."""

    ingestion_page_seconds: float = pydantic.Field(default=1.0, ge=0)
    """Minimum time between two requests to a site whose pages are read; its robots.txt may require more."""

    ingestion_source_seconds: float = pydantic.Field(default=3600.0, gt=0)
    """The longest that reading one file, page or query from a source may take."""

    ingestion_connections: pathlib.Path | None = None
    """TOML file of named databases and S3 stores, with their secrets; nobody but its owner may read it (mode 0600)."""

    ingestion_file_roots: Annotated[tuple[str, ...], pydantic_settings.NoDecode] = ()
    """Folders whose files loads may read, with commas; `{tenant}` in one stands for the tenant's id."""

    log_level: str = "INFO"
    """Lowest level that is logged."""

    @pydantic.field_validator("ingestion_allow_hosts", "ingestion_ports", "ingestion_file_roots", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return tuple(item.strip() for item in value.split(",") if item.strip()) if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _check_lease(self) -> Self:
        if not 2 * self.beat_seconds <= self.fence_seconds < self.lease_seconds:
            raise ValueError(
                "a worker must stop its jobs before their leases run out: set MILLRACE_FENCE_SECONDS to at least twice "
                f"MILLRACE_BEAT_SECONDS and less than MILLRACE_LEASE_SECONDS; they are {self.fence_seconds:g}, "
                f"{self.beat_seconds:g} and {self.lease_seconds:g}"
            )
        return self

    def kill_fenced_after_seconds(self) -> float:
        """Compute how long a job has, after its worker was cut off, to stop before it is killed: before its lease ends.

        Half of what remains of the lease; the other half is for noticing that it is due.
        """
        return min(self.kill_after_seconds, (self.lease_seconds - self.fence_seconds) / 2)

    def socket_path(self) -> pathlib.Path:
        """Return the path of the embedded Valkey's unix socket: in `home`, or elsewhere if that path is too long."""
        path = self.home.resolve() / "valkey.sock"
        if len(str(path)) <= _MAX_SOCKET_PATH_LENGTH:
            return path
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        return pathlib.Path(tempfile.gettempdir()) / f"millrace-{digest}.sock"

    def effective_broker_url(self) -> str:
        """Return the broker's URL; that of the embedded Valkey when none is set."""
        return self.broker_url or f"redis+socket://{self.socket_path()}?virtual_host=0"

    def effective_redis_url(self) -> str:
        """Return the URL of Redis; that of the embedded Valkey when none is set."""
        return self.redis_url or f"unix://{self.socket_path()}?db=1"

    def uses_embedded_valkey(self) -> bool:
        """Return whether the broker or Redis is the embedded Valkey."""
        return not (self.broker_url and self.redis_url)

    def storage_path(self) -> pathlib.Path:
        """Return the folder of the objects; raises ValueError when they are not in a folder."""
        if not self.storage_url:
            return self.home.resolve() / "objects"
        if not self.storage_url.startswith("file:///"):
            raise ValueError(f"MILLRACE_STORAGE_URL is {self.storage_url!r}, which is no folder")
        return pathlib.Path(self.storage_url.removeprefix("file://"))

    def cache_path(self) -> pathlib.Path:
        """Return the folder of the host's cache."""
        return (self.cache_folder or self.home / "cache").resolve()


@functools.cache
def load() -> Settings:
    """Read the environment once for this process."""
    return Settings()
