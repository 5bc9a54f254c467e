"""The live registry of workers."""

import dataclasses

import sqlalchemy as sa

from shared.jobs import owners, tables, workers
from tests.unit.rig import PAST, Rig

WORKER = workers.Worker("training/one", "host", 7, 2, 0, "1.0")


def live(rig: Rig) -> list[tuple[str, int]]:
    """Name the live workers, and how busy they are."""
    return [(row.id, row.busy) for row in rig.run(workers.list_live, beat_seconds=15)]


def age(rig: Rig, worker_id: str, **values: int | sa.ColumnElement[int]) -> None:
    """Write a worker's times behind the registry's back."""
    change = sa.update(tables.workers).where(tables.workers.c.id == worker_id).values(**values)
    rig.run(lambda connection: connection.execute(change))


def test_a_worker_is_live_from_its_first_word_and_renews_it(rig: Rig) -> None:
    rig.run(workers.announce, WORKER)
    since = rig.run(workers.list_live, beat_seconds=15)[0].since
    age(rig, WORKER.id, seen_at=PAST)
    rig.run(workers.announce, dataclasses.replace(WORKER, busy=2))
    row = rig.run(workers.list_live, beat_seconds=15)[0]
    assert (row.busy, row.since) == (2, since)
    assert row.seen_at > PAST


def test_a_worker_that_missed_three_beats_is_not_live(rig: Rig) -> None:
    rig.run(workers.announce, WORKER)
    age(rig, WORKER.id, seen_at=tables.workers.c.seen_at - 44_000)
    assert live(rig) == [("training/one", 0)]
    age(rig, WORKER.id, seen_at=tables.workers.c.seen_at - 1500)
    assert live(rig) == []


def test_live_workers_come_the_oldest_first(rig: Rig) -> None:
    for name in "ba":
        rig.run(workers.announce, dataclasses.replace(WORKER, id=name))
    age(rig, "a", since=PAST)
    assert [name for name, _ in live(rig)] == ["a", "b"]


def test_a_worker_that_stops_is_gone_at_once_and_no_other(rig: Rig) -> None:
    rig.run(workers.announce, WORKER)
    rig.run(workers.announce, dataclasses.replace(WORKER, id="other"))
    rig.run(workers.withdraw, WORKER.id)
    assert [name for name, _ in live(rig)] == ["other"]


def test_only_workers_long_gone_are_forgotten(rig: Rig) -> None:
    rig.run(workers.announce, WORKER)
    rig.run(workers.announce, dataclasses.replace(WORKER, id="gone"))
    age(rig, WORKER.id, seen_at=tables.workers.c.seen_at - 1_000_000)
    age(rig, "gone", seen_at=PAST)
    rig.run(workers.remove_gone, beat_seconds=15)
    assert list(rig.run(lambda connection: connection.execute(sa.select(tables.workers.c.id)).scalars().all())) == [
        WORKER.id
    ]


def test_what_a_worker_runs_is_counted_by_its_leases_and_not_by_what_it_announced(rig: Rig) -> None:
    rig.run(workers.announce, dataclasses.replace(WORKER, id="training/training.1@host", busy=2))

    def busy(worker_id: str) -> int:
        return rig.run(workers.count_busy)(worker_id)  # type: ignore[no-any-return]

    assert busy("training/training.1@host") == 0
    ended, *_ = (rig.put() for _ in range(2))
    for owner in ("training.1@host/boot-1-2/7.70/80/8", "training.1@host/9", "training.10@host/boot-1-2/7.70/80/8"):
        assert rig.claim(rig.put(), owner=owner)
    assert rig.claim(ended, owner="training.1@host/10")
    assert busy("training/training.1@host") == 3
    assert rig.finish(ended, attempt=1)
    assert busy("training/training.1@host") == 2
    assert (busy("training/training.10@host"), busy("training/training.2@host")) == (1, 0)


def test_a_worker_with_a_long_name_is_found_by_what_its_leases_hold_of_it(rig: Rig) -> None:
    name = f"training.1@{'x' * 200}"
    assert rig.claim(rig.put(), owner=owners.name_process(name))
    assert rig.run(workers.count_busy)(f"training/{name}") == 1
