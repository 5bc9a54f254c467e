"""Processes in which a thread hangs: `python -m tests.unit.hang_scenarios <scenario>`, which the watchdog ends.

Each lets a thread of ours do its usual work, of which one part never comes back, or (`…_at_work`) takes its time.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from api.intake import committer
from shared import settings
from shared.jobs import workers
from shared.queues import broker, ringer
from sweeper import chores
from sweeper.sweeper import RoleSweeper
from workers import guard, keeper

ROLE = "training"
HANG_SECONDS = settings.load().hang_seconds


def never(*_: Any, **__: Any) -> None:
    """Never come back."""
    threading.Event().wait()


def slowly(*_: Any, **__: Any) -> None:
    """Come back in time."""
    time.sleep(HANG_SECONDS / 2)


class Hanging:
    """What hangs as soon as anything of it is used."""

    def __getitem__(self, _name: object) -> Any:
        """Hang."""
        never()


def sweep(do: Callable[..., None]) -> None:
    """Do a chore."""
    chore = type("Chore", (), {"seconds": 0.01, "do": do})()
    vars(chores)["create_chores"] = lambda *_, **__: [chore]
    RoleSweeper(ROLE, config=settings.load(), databases=cast(Any, None)).run(threading.Event())


def keep(step: Callable[..., None]) -> None:
    """Keep, with announcements that take as long as a step."""
    mine = keeper.Keeper(
        guard.Link([ROLE]),
        role=ROLE,
        config=settings.Settings(beat_seconds=0.01),
        databases=cast(Any, None),
        worker=workers.Worker("a", "host", os.getpid(), 1, 1, "1"),
        send_to_flower=lambda _name, _fields: None,
    )
    vars(mine)["_announce"] = step
    vars(mine)["_release_lost"] = lambda: None
    mine.start()
    time.sleep(60)


def chore() -> None:
    """A chore hangs."""
    sweep(never)


def chores_at_work() -> None:
    """Chores take long, and rest."""
    threading.Thread(target=sweep, args=(slowly,), daemon=True).start()
    time.sleep(3 * HANG_SECONDS)


def keeper_step() -> None:
    """A keeper's step hangs."""
    keep(never)


def keeper_at_work() -> None:
    """A keeper's steps take long."""
    threading.Thread(target=keep, args=(slowly,), daemon=True).start()
    time.sleep(3 * HANG_SECONDS)


def ringing() -> None:
    """The ringer hangs while it connects."""
    vars(broker)["connect"] = never
    ringer.Ringer(settings.load()).start()
    time.sleep(60)


def commit() -> None:
    """A shared commit hangs."""
    committer.Committer(
        ROLE, databases=cast(Any, Hanging()), ringer=cast(Any, None), ring_soon_seconds=1, wait_seconds=1
    ).accept([cast(Any, None)])


if __name__ == "__main__":
    globals()[sys.argv[1]]()
