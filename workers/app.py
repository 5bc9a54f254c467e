"""A worker's Celery application, with the link between its parent and its pool processes."""

import functools
import importlib
import importlib.metadata
import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

import billiard
import celery
import prometheus_client
import structlog
from billiard import util
from celery import concurrency, signals
from celery.concurrency import prefork

from shared import database, ids, kinds, ping, plugins, settings, telemetry
from shared.jobs import workers
from shared.queues import celery_app
from workers import (
    bodies,
    cancelling,
    consumer,
    fork_barrier,
    guard,
    keeper,
    log_capture,
    memory,
    numeric_threads,
    polling,
    pool,
    remote_control,
)
from workers.job import Finish, Job

_log = structlog.get_logger()
_TURN_SECONDS = 60.0
"""How long a process goes on with waiting jobs after one doorbell before it returns to Celery's loop."""
_SHARED_TURN_SECONDS = 1.0
"""The same where several roles share a pool. docs/decisions/queues.md, "A bell wakes a worker"."""
_END_SECONDS = 5.0
"""What a worker has, after its jobs have ended or were killed, before it is ended by force."""
_inherited: list[Any] = []
"""The parent's databases, kept in its pool processes so that nothing closes them."""


def create_app(roles: Sequence[str]) -> celery.Celery:
    """Build the application of a worker that serves some roles, ready for Celery's own command."""
    config = settings.load()
    # Before any task, and with it a numeric library, is imported.
    numeric_threads.limit(config)
    memory.prepare()
    telemetry.configure(config.log_level, take=log_capture.take)
    log_capture.install()
    app = celery_app.create_celery(roles, config=config)
    for role in roles:
        register(role)
    remote_control.register()
    _Worker(roles, config=config).connect()
    return app


@functools.cache
def register(role: str) -> None:
    """Register a body for each of a role's kinds: those in its tasks, the ping's, and those of plugins.

    LookupError when a kind has none. docs/decisions/kinds.md, "A worker refuses to start when a kind of its role has no
    body".
    """
    importlib.import_module(f"workers.{role}.tasks")
    bodies.job(kinds.by_name()[f"{role}.ping"])(_pong)
    for plugin_kind in kinds.of_plugins(role):
        bodies.job(plugin_kind.kind)(plugins.body_of(plugin_kind))
    missing = [kind.name for kind in kinds.of_role(role) if kind.name not in bodies.of_role(role)]
    if missing:
        raise LookupError(f"no function is registered as the body of {', '.join(missing)}; see workers/{role}/tasks.py")


def _pong(job: Job, _command: ping.Ping) -> Finish:
    return ping.Pong(attempt=job.attempt)


class _Worker:
    """Handles the signals of a worker's life, in its parent and in its pool's processes."""

    def __init__(self, roles: Sequence[str], *, config: settings.Settings) -> None:
        self._roles = list(roles)
        self._config = config
        self._link: guard.Link | None = None
        self._consumer: consumer.Consumer | None = None
        self._keepers: list[keeper.Keeper] = []

    def connect(self) -> None:
        """Subscribe to Celery's signals; without weak references, since nobody else refers to this object."""
        signals.setup_logging.connect(_keep_logging, weak=False)
        signals.worker_init.connect(self._before_fork, weak=False)
        signals.worker_process_init.connect(self._after_fork, weak=False)
        consumer.starting.connect(self._before_listening, weak=False)
        signals.worker_ready.connect(self._on_ready, weak=False)
        signals.worker_shutting_down.connect(self._on_stopping, weak=False)
        signals.worker_shutdown.connect(self._on_stopped, weak=False)

    def _before_fork(self, sender: Any, **_: Any) -> None:
        implementation = concurrency.get_implementation(sender.pool_cls)
        if not issubclass(implementation, prefork.TaskPool):
            # Celery would log any other exception and go on. docs/decisions/workers.md, "The keeper is a thread".
            raise SystemExit(
                "Millrace's workers need Celery's prefork pool, because only a process can be killed, "
                f"not {implementation.__module__}"
            )
        self._link = guard.Link(self._roles)

    def _after_fork(self, sender: str, **_: Any) -> None:
        # A child must neither use nor close its parent's connections: they are kept open, out of reach.
        _inherited.append(database.of_process())
        database.of_process.cache_clear()
        log_capture.log_warnings()
        if self._link is None:
            return
        process_guard = guard.Guard(
            self._link,
            slot=getattr(billiard.current_process(), "index", os.getpid()),
            fence_seconds=self._config.fence_seconds,
            kill_after_seconds=self._config.kill_fenced_after_seconds(),
            turn_seconds=_TURN_SECONDS if len(self._roles) == 1 else _SHARED_TURN_SECONDS,
            # An end is tried again for as long as the fence allows, and then for the time of one more statement.
            hang_seconds=max(self._config.hang_seconds, 2 * self._config.fence_seconds),
        )
        bodies.set_guard(process_guard)
        poller = polling.Poller(
            self._roles,
            link=self._link,
            process_guard=process_guard,
            hostname=sender,
            concurrency=self._config.worker_concurrency,
        )
        pool.call_when_idle(poller.poll)

    def _before_listening(self, sender: consumer.Consumer, **_: Any) -> None:
        # Before the broker is there: meanwhile the pool's processes look for work by themselves.
        if self._link is None:
            return
        self._consumer = sender
        sender.note_listening = self._link.note_listening
        sender.cancel_job = self._cancel
        self._link.note_listening()
        if self._config.metrics_port:
            prometheus_client.start_http_server(self._config.metrics_port, addr="127.0.0.1")
        databases = database.of_process()
        self._keepers = [
            keeper.Keeper(
                self._link,
                role=role,
                config=self._config,
                databases=databases,
                worker=_describe(sender, role=role),
                send_to_flower=sender.send_to_flower,
            )
            for role in self._roles
        ]
        fork_barrier.ForkBarrier([role_keeper.at_work for role_keeper in self._keepers], databases=databases)
        for role_keeper in self._keepers:
            role_keeper.start()

    def _on_ready(self, sender: Any, **_: Any) -> None:
        _log.info("worker_started", worker=sender.hostname, roles=self._roles)

    def _cancel(self, job_id: str) -> bool:
        role = ids.role_of(job_id)
        for role_keeper in self._keepers:
            if role_keeper.role == role:
                role_keeper.call(functools.partial(cancelling.cancel, database.of_process()[role], job_id))
                return True
        return False

    def _on_stopping(self, **_: Any) -> None:
        _log.info("worker_shutdown_requested", roles=self._roles)
        if self._consumer is not None:
            config = self._config
            within_seconds = config.worker_grace_seconds + config.kill_after_seconds + _END_SECONDS
            self._consumer.watch.expect_end(within_seconds=within_seconds)
        for role_keeper in self._keepers:
            role_keeper.drain()

    def _on_stopped(self, **_: Any) -> None:
        for role_keeper in self._keepers:
            role_keeper.stop()


def _keep_logging(**_: Any) -> None:
    """Keep telemetry's logging, and route the pool's own lines into it: Celery would write them as text."""
    pool = util.get_logger()
    pool.propagate = True
    pool.setLevel(logging.ERROR)


def _describe(consumer: Any, *, role: str) -> workers.Worker:
    return workers.Worker(
        id=f"{role}/{consumer.hostname}",
        host=socket.gethostname(),
        pid=os.getpid(),
        concurrency=consumer.pool.num_processes,
        busy=0,
        version=_read_version(),
    )


def _read_version() -> str:
    try:
        return importlib.metadata.version("millrace-services")
    except importlib.metadata.PackageNotFoundError:
        return "checkout"
