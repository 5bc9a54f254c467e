"""`make bench-claim`: a claim costs the same at 1,000 and at 1,000,000 rows, on SQLite and on PostgreSQL.

Both tables exist at once and their claims take turns, so that a busy moment of the machine affects both. The rows are
jobs that have ended, except for the newest, which wait to be claimed; the migrations make tables and indexes, and a
claim commits as a worker's does.
"""

import argparse
import contextlib
import pathlib
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from benchmarks import jobs, measures
from migrations import command_line
from shared import database, settings
from shared.jobs import ledger
from tests import servers

ROLE = "evaluation"
SMALL, LARGE = 1_000, 1_000_000
PART = 50_000
GREATEST_RATIO = 1.3
KIND = f"{ROLE}.ping"
BY_ID, NEXT = "by id", "next in the queue"

# Each number becomes an id of the right length and order.
FILL = """
INSERT INTO jobs (id, tenant_id, kind, state, version, priority, place, params, pinned, tags, attempt, tries_left, lost,
    cancel_requested, run_after, ring_after, submitted_by, created_at, finished_at)
SELECT {text}, 'bench', 'evaluation.ping', CASE WHEN n > {ended} THEN 'queued' ELSE 'succeeded' END, 1, 0,
    '9_' || {text}, '{{}}', '{{}}', '[]', 1, 3, 0, 0, 0, n, 'bench', n, CASE WHEN n > {ended} THEN NULL ELSE n END
FROM {numbers}
"""
DIALECTS = {
    "sqlite": {
        "text": "'evaluation_' || substr('00000000000000000000000000' || n, -26)",
        "numbers": "(WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) "
        "SELECT n FROM s)",
    },
    "postgresql": {
        "text": "'evaluation_' || lpad(n::text, 26, '0')",
        "numbers": "generate_series({first}, {last}) AS n",
    },
}


class Table:
    """A ledger with some rows in a database of its own."""

    def __init__(self, config: settings.Settings, *, rows: int, claims: int) -> None:
        """Create the database with the migrations, and fill it."""
        command_line.upgrade(ROLE, config=config)
        self._databases = database.Databases(config)
        # The newest are claimed by their ids and the oldest as the next in the queue, so the two never overlap.
        self._ids = [f"{ROLE}_{number:026d}" for number in range(rows - claims + 1, rows + 1)]
        self.microseconds: dict[str, list[float]] = {BY_ID: [], NEXT: []}
        engine = self._databases[ROLE].statements
        parts = DIALECTS[engine.dialect.name]
        # By parts, since a million rows take longer than a statement may.
        for first in range(1, rows + 1, PART):
            numbers = parts["numbers"].format(first=first, last=min(rows, first + PART - 1))
            fill = FILL.format(text=parts["text"], numbers=numbers, ended=rows - 2 * claims)
            with self._databases[ROLE].transactions.begin() as connection:
                connection.exec_driver_sql(fill)
        with engine.connect() as connection:
            connection.execute(sa.text("ANALYZE"))

    def claim(self, index: int) -> None:
        """Claim a job by its id, and the next in the queue, and note the time of each, commit included."""
        options: dict[str, Any] = {"owner": "bench", "lease_seconds": 60.0, "max_run_seconds": 3600.0}
        claims: dict[str, Callable[[sa.Connection], ledger.Claim | None]] = {
            BY_ID: lambda connection: ledger.claim(connection, self._ids[index], **options),
            NEXT: lambda connection: ledger.claim_next(connection, [KIND], **options),
        }
        for name, claim_job in claims.items():
            with self._databases[ROLE].relaxed.connect() as connection:
                begin = time.perf_counter()
                claim = claim_job(connection)
                self.microseconds[name].append((time.perf_counter() - begin) * 1e6)
            if claim is None:
                raise RuntimeError(f"no job could be claimed ({name}, {index})")

    def close(self) -> None:
        """Close the database's connections."""
        self._databases.dispose()


def measure(config_for: Callable[[str], settings.Settings], *, large: int, claims: int) -> tuple[Table, Table]:
    """Claim from a small and a large table in turns."""
    with contextlib.ExitStack() as stack:
        tables = []
        for name, rows in (("small", SMALL), ("large", large)):
            table = Table(config_for(name), rows=rows, claims=claims)
            stack.callback(table.close)
            tables.append(table)
        small, big = tables
        for index in range(claims):
            for table in (small, big) if index % 2 else (big, small):
                table.claim(index)
    return small, big


def format_rows(name: str, small: Table, big: Table, *, large: int) -> Iterator[str]:
    """Format the table's lines of one database."""
    for way in (BY_ID, NEXT):
        medians = [measures.percentile(table.microseconds[way][20:], 0.5) for table in (small, big)]
        for rows, table, median in ((SMALL, small, medians[0]), (large, big, medians[1])):
            p99 = measures.percentile(table.microseconds[way][20:], 0.99)
            yield f"{name:<13} {way:<17} {rows:>10,} rows {median:9.0f} {p99:9.0f}"
        ratio = medians[1] / medians[0]
        met = "met" if ratio <= GREATEST_RATIO else "NOT met"
        yield f"{name:<13} {way:<17} ratio {ratio:19.2f}  {met} (≤ {GREATEST_RATIO})"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark on SQLite and, where one is found, on PostgreSQL."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claim", description=__doc__)
    parser.add_argument("--rows", type=int, default=LARGE, help="rows of the large table (default 1,000,000)")
    parser.add_argument("--claims", type=int, default=300)
    arguments = parser.parse_args(argv)
    sizes = {"large": arguments.rows, "claims": arguments.claims}
    print(f"{'one claim':<46} {'p50 µs':>9} {'p99 µs':>9}")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-claim-")))
        sqlite = measure(lambda name: settings.Settings(home=folder / name), **sizes)
        print(*format_rows("SQLite", *sqlite, large=arguments.rows), sep="\n")
        try:
            postgres = jobs.open_postgres(stack)
        except servers.ServerNotFoundError as error:
            print(error)
            return 0
        prefix = f"bench_{secrets.token_hex(4)}_"
        stack.callback(lambda: postgres.drop_databases(prefix))
        postgresql = measure(
            lambda name: settings.Settings(home=folder, database_url=postgres.url(f"{prefix}{name}_{{role}}")), **sizes
        )
        print(*format_rows(f"PostgreSQL {postgres.version.split('.')[0]}", *postgresql, large=arguments.rows), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
