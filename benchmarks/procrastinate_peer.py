"""Procrastinate, with jobs in PostgreSQL: a peer. Runs by path in a venv of its own; imports nothing of Millrace.

`schema`, `work <concurrency>`, or `produce <count> <batch> <file>`, which writes each job's id and when it was sent.
"""

import asyncio
import json
import logging
import os
import pathlib
import sys
import time

import procrastinate

URL = os.environ["BENCH_POSTGRES_URL"]
CONNECTOR = procrastinate.PsycopgConnector if sys.argv[1] == "work" else procrastinate.SyncPsycopgConnector
app = procrastinate.App(connector=CONNECTOR(conninfo=URL))


@app.task(name="noop")  # type: ignore[untyped-decorator]
async def noop(number: int) -> None:
    """Do nothing."""


def produce(count: int, batch: int, sent_path: pathlib.Path) -> None:
    """Defer jobs from one producer, one by one or in batches."""
    sent = {}
    with app.open():
        for first in range(0, count, batch):
            now = time.time()
            if batch == 1:
                sent[noop.defer(number=first)] = now
            else:
                sent |= dict.fromkeys(noop.batch_defer(*({"number": first + i} for i in range(batch))), now)
    sent_path.write_text(json.dumps(sent))


async def work(concurrency: int) -> None:
    """Run jobs until the process gets a signal to stop."""
    async with app.open_async():
        await app.run_worker_async(concurrency=concurrency, wait=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    if sys.argv[1] == "schema":
        with app.open():
            app.schema_manager.apply_schema()
    elif sys.argv[1] == "work":
        asyncio.run(work(int(sys.argv[2])))
    else:
        produce(int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4]))
