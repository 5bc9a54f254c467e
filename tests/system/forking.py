"""python -m tests.system.forking quiet|bare <folder>: forks in the middle of a keeper's write; then the child writes.

It prints what became of the child's write. With `bare` there is no fork barrier, as a control.
"""

import os
import pathlib
import sqlite3
import sys
import threading

import sqlalchemy as sa

from shared import database, settings
from workers import fork_barrier

ROLE = "ingestion"
WRITE_SECONDS = 0.5
PATIENCE_MS = 2000


class SlowKeeper:
    """A keeper that is long at work: it holds a write open."""

    def __init__(self, databases: database.Databases) -> None:
        """Write to one role's database."""
        self._databases = databases
        self.at_work = threading.Lock()
        self.is_writing = threading.Event()

    def write(self) -> None:
        """Write, and take some time for it."""
        with self.at_work, self._databases[ROLE].transactions.begin() as connection:
            connection.execute(sa.text("INSERT INTO written VALUES ('parent')"))
            self.is_writing.set()
            threading.Event().wait(WRITE_SECONDS)


def write_in_child(config: settings.Settings) -> None:
    """Write as a pool's new process does: by connections of its own."""
    try:
        with database.Databases(config)[ROLE].relaxed.connect() as connection:
            connection.execute(sa.text(f"PRAGMA busy_timeout={PATIENCE_MS}"))
            connection.execute(sa.text("INSERT INTO written VALUES ('child')"))
    except database.FAULTS as fault:
        os.write(1, f"refused: {getattr(fault, 'orig', fault)}".encode())
    else:
        os.write(1, b"written")


def main(way: str, folder: pathlib.Path) -> None:
    """Fork once."""
    path = folder / "databases" / f"{ROLE}.sqlite3"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE written (by TEXT)")
    plain.close()
    config = settings.Settings(home=folder, database_url="", database_urls={})
    databases = database.Databases(config)
    slow = SlowKeeper(databases)
    if way == "quiet":
        fork_barrier.ForkBarrier([slow.at_work], databases=databases)
    thread = threading.Thread(target=slow.write)
    thread.start()
    slow.is_writing.wait()
    child = os.fork()
    if child == 0:
        threading.Event().wait(WRITE_SECONDS * 2)
        write_in_child(config)
        os._exit(0)
    thread.join()
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
