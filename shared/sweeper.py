"""The sweeper and the relay: one small process; any number of copies may run."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import prometheus_client
import structlog

from shared import (
    broker,
    catalog,
    clock,
    confirms,
    database,
    keeper,
    ledger,
    offspring,
    outbox,
    registry,
    roles,
    settings,
    telemetry,
)

_log = structlog.get_logger()
_LEAST_BELLS = 8
_MOST_EVENTS = 500
_MOST_KEYS = 1000
_RELAY_SECONDS = 0.5
_HOUSEKEEPING_SECONDS = 60.0
_CONFIRM_SECONDS = 1.0
SOURCE = "/millrace"
_NOTHING: tuple[list[outbox.Outgoing], list[outbox.Outgoing]] = ([], [])
"""No events and no ends of jobs."""

SWEPT = prometheus_client.Counter("millrace_jobs_swept_total", "Jobs that the sweeper moved.", ["role", "state"])
RELAYED = prometheus_client.Counter("millrace_events_relayed_total", "Events that the broker took.", ["role"])


class RoleSweeper:
    """Does for one role what no request and no worker does: sweep, ring again, relay, tidy up."""

    def __init__(self, role: str, *, config: settings.Settings, databases: database.Databases) -> None:
        """Sweep one role; it has a line to the broker of its own."""
        self._role = role
        self._config = config
        self._databases = databases
        self._line: _Line | None = None
        self._sent = _NOTHING

    def chores(self) -> list[tuple[float, Callable[[], None]]]:
        """Give what is to be done, each with its interval in seconds."""
        return [
            (self._config.sweep_seconds, self.sweep),
            (self._config.ring_seconds, self.ring),
            (_RELAY_SECONDS, self.relay),
            (_HOUSEKEEPING_SECONDS, self.tidy),
        ]

    def serve(self, stopping: threading.Event) -> None:
        """Do the chores in turn until told to stop; what fails is tried again at its next turn."""
        chores = self.chores()
        due = [0.0] * len(chores)
        while not stopping.is_set():
            for index, (seconds, chore) in enumerate(chores):
                if time.monotonic() >= due[index]:
                    self._try(chore)
                    due[index] = time.monotonic() + seconds
            stopping.wait(max(0.01, min(due) - time.monotonic()))

    def _try(self, chore: Callable[[], None]) -> None:
        try:
            chore()
        except Exception as fault:  # noqa: BLE001 - a sweeper that ends would leave jobs lying.
            _log.warning("chore_failed", chore=chore.__name__, role=self._role, error=type(fault).__name__)
            self._hang_up()

    def sweep(self) -> None:
        """Move jobs whose lease or deadline has passed."""
        with self._databases[self._role].transactions.begin() as connection:
            swept = ledger.sweep(connection) + ledger.sweep_overdue(connection)
            offspring.wake_for(connection, swept)
        with self._databases[self._role].transactions.begin() as connection:
            swept += offspring.cancel_orphans(connection)
        for job in swept:
            SWEPT.labels(self._role, job.state).inc()
            _log.info("job_swept", job_id=job.job_id, role=self._role, state=job.state, attempt=job.attempt)

    def ring(self) -> None:
        """Ring for queued jobs whose doorbell is due: for as many as there are hands, since each finds more itself."""
        line = self._call()
        if not line.is_clear():
            return
        waiting = broker.depth(line.channel, self._role, config=self._config)
        with self._databases[self._role].transactions.begin() as transaction:
            hands = registry.hands(transaction, beat_seconds=self._config.beat_seconds)
            room = max(_LEAST_BELLS, 2 * hands) - waiting
            if room <= 0:
                return
            bells = ledger.due_doorbells(transaction, again_seconds=self._config.ring_again_seconds, most=room)
        for bell in bells:
            line.ring(bell)
        line.is_clear()

    def relay(self) -> None:
        """Note committed events in the catalogue, publish them, and drop them once the broker has them."""
        if self._sent != _NOTHING and not self._confirm():
            return
        with self._databases[self._role].transactions.begin() as connection:
            events = outbox.take(connection, most=_MOST_EVENTS)
            ends = outbox.take_ends(connection, most=_MOST_EVENTS)
        if not events and not ends:
            return
        if events:
            with self._databases[roles.DOOR].transactions.begin() as connection:
                for event in events:
                    catalog.note(connection, event, role=self._role)
        line = self._call()
        for event in (*events, *ends):
            line.publish(cloud_event(event, role=self._role))
        self._sent = events, ends
        self._confirm()

    def _confirm(self) -> bool:
        """Drop the events that were sent, if the broker has confirmed them; else they are looked at again later."""
        if not self._call().is_clear():
            return False
        events, ends = self._sent
        with self._databases[self._role].statements.begin() as connection:
            outbox.drop(connection, [event.id for event in events])
            outbox.drop_ends(connection, [end.subject for end in ends])
        RELAYED.labels(self._role).inc(len(events) + len(ends))
        self._sent = _NOTHING
        return True

    def tidy(self) -> None:
        """Free expired idempotency keys and forget workers that are long gone."""
        seconds = self._config.idempotency_hours * 3600
        while self._forget_keys(older_than_seconds=seconds) == _MOST_KEYS:
            pass
        with self._databases[self._role].transactions.begin() as connection:
            registry.forget_gone(connection, beat_seconds=self._config.beat_seconds)

    def _forget_keys(self, *, older_than_seconds: float) -> int:
        with self._databases[self._role].transactions.begin() as connection:
            return ledger.forget_keys(connection, older_than_seconds=older_than_seconds, most=_MOST_KEYS)

    def _call(self) -> "_Line":
        if self._line is None:
            self._line = _Line(self._config)
        return self._line

    def _hang_up(self) -> None:
        # What was sent and not confirmed is taken again when its lease in the outbox is over.
        line, self._line, self._sent = self._line, None, _NOTHING
        if line is not None:
            line.close()


class _Line:
    """A connection to the broker with one channel, on which RabbitMQ confirms what it takes."""

    def __init__(self, config: settings.Settings) -> None:
        self._config = config
        self._amqp = broker.is_amqp(config)
        self._connection = broker.connect(config)
        self.channel = self._connection.channel()
        broker.declare(self.channel, config=config)
        self._refused = 0
        self._confirms = (
            confirms.Confirms[None](self.channel, on_ack=lambda _: None, on_nack=self._refuse) if self._amqp else None
        )

    def _refuse(self, _item: None) -> None:
        self._refused += 1

    def ring(self, bell: ledger.Doorbell) -> None:
        if self._confirms:
            self._confirms.add(None)
        broker.ring(self.channel, bell, amqp=self._amqp)

    def publish(self, event: dict[str, Any]) -> None:
        if self._confirms:
            self._confirms.add(None)
        message = self.channel.prepare_message(
            orjson.dumps(event).decode(),
            content_type="application/cloudevents+json",
            content_encoding="utf-8",
            properties={"delivery_mode": 2, "message_id": event["id"]},
        )
        self.channel.basic_publish(message, exchange=broker.EVENTS, routing_key=event["type"])

    def is_clear(self) -> bool:
        """Tell whether the broker has confirmed everything, after a moment's wait; raises when it refuses.

        A RabbitMQ under a memory or disk alarm confirms nothing for as long as that lasts, and the other chores
        must not wait for it.
        """
        limit = time.monotonic() + _CONFIRM_SECONDS
        while self._confirms and self._confirms.outstanding:
            self._connection.heartbeat_check()
            try:
                self._connection.drain_events(timeout=max(0.01, limit - time.monotonic()))
            except TimeoutError:
                return False
        if self._refused:
            raise ConnectionError(f"the broker refused {self._refused} messages")
        return True

    def close(self) -> None:
        broker.hang_up(self._connection, config=self._config)


class Sweeper:
    """Sweeps every role, each in a thread of its own, so that a database that hangs holds up no other."""

    def __init__(self, config: settings.Settings, databases: database.Databases) -> None:
        """Sweep all roles' databases."""
        self._config = config
        self._sweepers = [RoleSweeper(role, config=config, databases=databases) for role in roles.ROLES]
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until stopped."""
        threads = [
            threading.Thread(target=sweeper.serve, args=(self._stopping,), daemon=True) for sweeper in self._sweepers
        ]
        for thread in threads:
            thread.start()
        while not self._stopping.wait(min(5.0, self._config.beat_seconds)):
            keeper.touch(self._config.health_file)
        for thread in threads:
            thread.join(timeout=5)

    def stop(self) -> None:
        """End after what is under way."""
        self._stopping.set()


def cloud_event(event: outbox.Outgoing, *, role: str) -> dict[str, Any]:
    """Give an event as CloudEvents 1.0, structured JSON."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": f"{SOURCE}/{role}",
        "type": f"dev.millrace.{event.type}",
        "subject": event.subject,
        "time": clock.to_text(event.created_at),
        "datacontenttype": "application/json",
        "millracetenant": event.tenant_id,
        # The pin is for our own catalogue; a receiver follows the subject instead.
        "data": {key: value for key, value in event.data.items() if key != "pin"},
    }


def main() -> None:
    """Run until TERM or INT."""
    config = settings.load()
    telemetry.configure(config.log_level)
    if config.metrics_port:
        prometheus_client.start_http_server(config.metrics_port, addr="127.0.0.1")
    sweeper = Sweeper(config, database.of_process())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sweeper.stop())
    _log.info("sweeper_started")
    sweeper.run()


if __name__ == "__main__":
    main()
