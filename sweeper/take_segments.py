"""The chore of taking what copies of the inference server saw into the database, each segment once."""

from collections.abc import Sequence

import prometheus_client
import sqlalchemy as sa
import structlog

from shared import clock, database
from shared.objects import store
from shared.objects.outages import Outages
from shared.prediction.logs import batches as log_batches
from shared.prediction.logs import waiting as log_waiting
from shared.prediction.records import segments
from shared.prediction.shadows import batches, stored, sums, waiting
from shared.prediction.tables import exposures, inference_copies, served_counts, taken_segments

_log = structlog.get_logger()
_SECONDS = 1.0
_MOST = 100
"""Segments that are taken in one turn, so that the other chores have theirs."""
_CHUNK = 500
_TIDY_EVERY = 600
_KEEP_MARKS_MS = 30 * 86_400_000
_KEEP_COUNTS_MS = 14 * 86_400_000
_KEEP_COPIES_MS = 3_600_000

TAKEN = prometheus_client.Counter("millrace_serving_records_taken_total", "Exposures and counts that were stored.")
LOST = prometheus_client.Counter(
    "millrace_serving_records_lost_total", "Exposures and counts that copies of the inference server could not keep."
)


class TakeSegments:
    """Takes segments from the object store; one that is there again after it was taken changes nothing."""

    seconds = _SECONDS

    def __init__(self, engines: database.Engines, objects: store.Store) -> None:
        """Take them from a store into the prediction role's database."""
        self._engines = engines
        self._objects = objects
        self._turns = 0
        self._outages = Outages("segments_not_taken")

    def do(self) -> None:
        """Take what is there; while the store is away, at a later turn."""
        # No reason to give up the connections that other chores use.
        with self._outages.passing():
            for name in segments.list_names(self._objects)[:_MOST]:
                self._take(name)
        if self._outages.is_away:
            return
        self._turns += 1
        if self._turns % _TIDY_EVERY == 1:
            self._tidy()

    def _take(self, name: str) -> None:
        key = segments.key_of(name)
        try:
            with self._objects.open_read(key) as file:
                records = list(segments.read(file.read()))
        except FileNotFoundError:
            # Another sweeper was faster.
            return
        refused: list[str] = []
        lost = sum(record.records for record in records if isinstance(record, segments.Lost))
        with self._engines.transactions.begin() as connection:
            if _mark(connection, name, records=len(records), lost=lost):
                _add_exposures(connection, [each for each in records if isinstance(each, segments.Exposure)])
                _add_counts(connection, [each for each in records if isinstance(each, segments.Counts)])
                _note_copies(connection, [each for each in records if isinstance(each, segments.Presence)])
                refused = [*map(batches.key_of, _queue_for_shadows(connection, records))]
                refused += map(log_batches.key_of, _queue_for_logs(connection, records))
                TAKEN.inc(len(records))
                LOST.inc(lost)
        self._objects.remove(key, *refused)

    def _tidy(self) -> None:
        """Remove the marks of segments that nobody can ship any more, and counts that no canary looks at."""
        for column, kept_ms in (
            (taken_segments.c.taken_at, _KEEP_MARKS_MS),
            (served_counts.c.started_at, _KEEP_COUNTS_MS),
            (inference_copies.c.seen_at, _KEEP_COPIES_MS),
        ):
            with self._engines.statements.begin() as connection:
                connection.execute(sa.delete(column.table).where(column < clock.now_ms_once() - kept_ms))


def _mark(connection: sa.Connection, name: str, *, records: int, lost: int) -> bool:
    """Mark a segment as taken; False when it was before."""
    marked = connection.execute(
        database.insert(connection, taken_segments)
        .values(name=name, taken_at=clock.now_ms(), records=records, lost=lost)
        .on_conflict_do_nothing()
        .returning(taken_segments.c.name)
    )
    return marked.first() is not None


def _add_exposures(connection: sa.Connection, records: Sequence[segments.Exposure]) -> None:
    """Keep when each unit was first seen at an arm; those that are there keep the earlier time."""
    first: dict[tuple[str, str, str, str], segments.Exposure] = {}
    for record in records:
        key = (record.tenant_id, record.deployment, record.arm, record.unit)
        if key not in first or record.seen_at < first[key].seen_at:
            first[key] = record
    # In order, so that two sweepers wait for each other instead of deadlocking.
    rows = [
        {
            "tenant_id": record.tenant_id,
            "deployment": record.deployment,
            "arm": record.arm,
            "unit": record.unit,
            "revision": record.revision,
            "first_seen_at": record.seen_at,
        }
        for _, record in sorted(first.items())
    ]
    for start in range(0, len(rows), _CHUNK):
        insert = database.insert(connection, exposures).values(rows[start : start + _CHUNK])
        new = insert.excluded
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["tenant_id", "deployment", "arm", "unit"],
                set_={"first_seen_at": new.first_seen_at, "revision": new.revision},
                where=exposures.c.first_seen_at > new.first_seen_at,
            )
        )


def _note_copies(connection: sa.Connection, records: Sequence[segments.Presence]) -> None:
    """Note which processes run, by this database's clock; of one that has told it twice, the last holds."""
    for _, record in sorted({record.id: record for record in records}.items()):
        fields = {"port": record.port, "manifest": record.manifest, "is_ready": record.is_ready}
        connection.execute(
            database.insert(connection, inference_copies)
            .values(
                id=record.id, host=record.host, pid=record.pid, since=clock.now_ms(), seen_at=clock.now_ms(), **fields
            )
            .on_conflict_do_update(index_elements=["id"], set_={**fields, "seen_at": clock.now_ms()})
        )


def _queue_for_shadows(connection: sa.Connection, records: Sequence[segments.Record]) -> list[str]:
    """Let batches wait for the jobs of shadows, and count what copies lost; returns those without room."""
    for record in records:
        if isinstance(record, segments.ShadowLoss):
            added = {
                stored.Key(
                    record.tenant_id,
                    record.deployment,
                    stored.Shadow(share.id, share.model, share.version),
                    "",
                    stored.hour_of(record.at_ms),
                ): sums.of_lost(record.reason, share.rows)
                for share in record.shadows
            }
            stored.add(connection, added)
    batches_told = [record for record in records if isinstance(record, segments.ShadowBatch)]
    return [batch.name for batch in batches_told if not waiting.enqueue(connection, batch)]


def _queue_for_logs(connection: sa.Connection, records: Sequence[segments.Record]) -> list[str]:
    """Let batches wait to be written to logs, and count what copies lost; returns those without room."""
    log_waiting.lose(connection, *(record for record in records if isinstance(record, segments.LogLoss)))
    told = [record for record in records if isinstance(record, segments.LogBatch)]
    return [batch.name for batch in told if not log_waiting.enqueue(connection, batch)]


def _add_counts(connection: sa.Connection, records: Sequence[segments.Counts]) -> None:
    table = served_counts
    for key, counts in sorted(segments.sum_counts(records).items()):
        names = dict(zip(("tenant_id", "deployment", "arm", "started_at"), key, strict=True))
        connection.execute(
            database.insert(connection, table)
            .values(**names, requests=0, errors=0, seconds=0.0, histogram={})
            .on_conflict_do_nothing()
        )
        this = [table.c[name] == value for name, value in names.items()]
        stored = connection.execute(sa.select(table).where(*this).with_for_update()).one()
        added = segments.add(counts, stored)
        connection.execute(
            sa.update(table)
            .where(*this)
            .values(
                requests=added.requests,
                errors=added.errors,
                seconds=added.seconds,
                histogram={f"{bucket}": count for bucket, count in sorted(added.histogram.items())},
            )
        )
