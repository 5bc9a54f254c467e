"""A role's database and the ledger on it, as the tests of shared/ use them."""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from shared import contract, database, ids
from shared.catalog import api_tables, datasets, versions
from shared.ingestion.tables import metadata
from shared.jobs import ledger, offspring, outbox, tables, views
from shared.jobs.states import State

ROLE = "ingestion"
KIND = "ingestion.load"
TENANT = "acme"
PAST = 1
"""A moment long ago, in epoch milliseconds: a lease or deadline that is set to it has passed."""
FUTURE = 9_999_999_999_999
"""A moment that no test lives to see, in epoch milliseconds."""
_ALL_TABLES = (*metadata.sorted_tables, *api_tables.metadata.sorted_tables)

Act = Callable[[sa.Connection], Any]


def make_tables(engines: database.Engines) -> None:
    """Make a role's tables and the API's in one database."""
    metadata.create_all(engines.transactions)
    api_tables.metadata.create_all(engines.transactions)


def empty(engines: database.Engines) -> None:
    """Take out all rows."""
    with engines.transactions.begin() as connection:
        for table in _ALL_TABLES:
            connection.execute(sa.delete(table))


def new_job(**changes: Any) -> ledger.NewJob:
    """Make a job that asks for nothing special."""
    plain = {
        "id": ids.new_job_id(ROLE),
        "tenant_id": TENANT,
        "kind": KIND,
        "params": {"name": "telco"},
        "pinned": {},
        "submitted_by": "key_1",
        "tries_left": 3,
    }
    return ledger.NewJob(**{**plain, **changes})


@dataclasses.dataclass(frozen=True)
class Rig:
    """The ledger and what surrounds it, or mutants of them, on one database."""

    engines: database.Engines
    ledger: Any = ledger
    offspring: Any = offspring
    outbox: Any = outbox
    views: Any = views
    versions: Any = versions

    def using(self, module: Any) -> "Rig":
        """Return a rig with another ledger, offspring, outbox, views or versions."""
        return dataclasses.replace(self, **{module.__name__.rpartition(".")[2].removesuffix("_mutant"): module})

    @property
    def dialect(self) -> str:
        """Name the database."""
        return self.engines.transactions.dialect.name

    def run(self, act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Do one thing in a transaction of its own."""
        with self.engines.transactions.begin() as connection:
            return act(connection, *arguments, **named)

    def show(self, job_id: str, *, tenant_id: str = TENANT) -> Any:
        """Read a job as a poll does."""
        return self.views.read(self.engines.reader, job_id, tenant_id=tenant_id)

    def put(self, **changes: Any) -> str:
        """Accept a job; gives its id."""
        job = new_job(**changes)
        assert list(self.run(self.ledger.accept, [job], ring_again_seconds=30)) == [job.id]
        return job.id

    def put_running(self, **changes: Any) -> str:
        """Accept a job and claim it; gives its id."""
        job_id = self.put(**changes)
        assert self.claim(job_id)
        return job_id

    def claim(
        self, job_id: str, *, owner: str = "a", lease_seconds: float = 60, max_run_seconds: float = 3600
    ) -> ledger.Claim | None:
        """Claim a job for a worker."""
        claim: ledger.Claim | None = self.run(
            self.ledger.claim, job_id, owner=owner, lease_seconds=lease_seconds, max_run_seconds=max_run_seconds
        )
        return claim

    def claim_next(self, *kinds: str) -> ledger.Claim | None:
        """Claim the job that comes first of some kinds."""
        claim: ledger.Claim | None = self.run(
            self.ledger.claim_next, kinds or (KIND,), owner="a", lease_seconds=60, max_run_seconds=3600
        )
        return claim

    def gather(self, first: ledger.Claim, gathering: contract.Gathering) -> list[ledger.Claim]:
        """Claim what may be done together with a claimed job."""
        claims: list[ledger.Claim] = self.run(
            self.ledger.claim_alike, first, gathering, owner="a", lease_seconds=60, max_run_seconds=3600
        )
        return claims

    def finish(self, job_id: str, *, attempt: int, state: State = State.SUCCEEDED) -> bool:
        """Write the role's row and the job's end as a worker does, or neither."""
        return bool(self.run(self.finish_in, job_id, attempt=attempt, state=state))

    def finish_in(self, connection: sa.Connection, job_id: str, *, attempt: int, state: State) -> bool:
        """Do what `finish` does, in a transaction that the caller has begun."""
        datasets.add(connection, new_version(job_id))
        if self.ledger.finish(connection, job_id, attempt=attempt, state=state, result={"by": attempt}):
            return True
        connection.rollback()
        return False

    def effects(self, job_id: str) -> int:
        """Count the role's rows that a job has made."""
        return self.effects_by_job().get(job_id, 0)

    def effects_by_job(self) -> dict[str, int]:
        """Count the role's rows by the job that made them."""
        job_id = datasets.VERSIONS.c.job_id
        with self.engines.statements.connect() as connection:
            rows = connection.execute(sa.select(job_id, sa.func.count()).group_by(job_id))
            return {row[0]: row[1] for row in rows}

    def sweep(self) -> dict[str, State]:
        """Sweep once; gives where each moved job went."""
        return {moved.job_id: State(moved.state) for moved in self.run(self.ledger.sweep)}

    def ring(self, *, limit: int = 10) -> list[str]:
        """Take due doorbells; gives their jobs."""
        bells = self.run(self.ledger.take_due_doorbells, again_seconds=30, limit=limit)
        return sorted(bell.job_id for bell in bells)

    def row(self, job_id: str) -> Any:
        """Read a job's row."""
        with self.engines.statements.connect() as connection:
            return connection.execute(sa.select(tables.jobs).where(tables.jobs.c.id == job_id)).one()

    def rows(self) -> dict[str, Any]:
        """Read all jobs' rows."""
        with self.engines.statements.connect() as connection:
            return {row.id: row for row in connection.execute(sa.select(tables.jobs))}

    def state(self, job_id: str) -> State:
        """Read a job's state."""
        return State(self.row(job_id).state)

    def change(self, job_id: str, **values: Any) -> None:
        """Write a job's columns behind the ledger's back, mostly to let time pass."""
        with self.engines.transactions.begin() as connection:
            connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(**values))

    def lose(self, job_id: str) -> None:
        """Let a running job's lease run out."""
        self.change(job_id, lease_until=PAST)

    def overlap(self, first: Act, second: Act, *, commit: bool = True) -> tuple[Any, Any]:
        """Do the first thing, begin the second while the first is not committed, and then end both.

        On PostgreSQL the second is seen to wait for the first, or to be done without waiting; SQLite lets it begin
        only afterwards.
        """
        answers: list[Any] = []
        waiting = threading.Thread(target=lambda: answers.append(self.run(second)), daemon=True)
        with self.engines.transactions.connect() as connection:
            transaction = connection.begin()
            before = first(connection)
            waiting.start()
            self._until_it_waits(connection, waiting)
            transaction.commit() if commit else transaction.rollback()
        waiting.join(timeout=15)
        assert answers, "the second transaction did not end"
        return before, answers[0]

    def _until_it_waits(self, connection: sa.Connection, thread: threading.Thread) -> None:
        limit = time.monotonic() + 10
        while self.dialect == "postgresql" and thread.is_alive():
            mine = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            if connection.exec_driver_sql(mine).scalar_one():
                return
            assert time.monotonic() < limit, "the second transaction neither waits nor ends"
            time.sleep(0.005)


def new_version(job_id: str, **changes: Any) -> datasets.NewVersion:
    """Make a dataset's version as a job's effect."""
    plain = {
        "tenant_id": TENANT,
        "name": "telco",
        "job_id": job_id,
        "created_by": "key_1",
        "key": f"{TENANT}/{ROLE}/{job_id}/1/data.parquet",
        "sha256": "0" * 64,
        "bytes": 10,
        "rows": 1,
        "columns": [],
    }
    return datasets.NewVersion(**{**plain, **changes})
