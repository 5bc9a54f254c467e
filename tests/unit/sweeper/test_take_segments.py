"""Taking segments: what copies saw is stored once, whatever is sent twice, and counts of several copies add up."""

import pathlib
from typing import Any

import pytest
import sqlalchemy as sa

from shared import database
from shared.objects import local, store
from shared.prediction.records import segments
from shared.prediction.records.segments import Counts, Exposure
from shared.prediction.tables import exposures, inference_copies, served_counts, taken_segments
from sweeper.take_segments import TakeSegments
from tests.unit.prediction.tables import prediction_engines  # noqa: F401 - a fixture.

AT = 9_999_999_995_000
LATER = AT + segments.INTERVAL_MS
NAME = "01M00000000000000000000000-000000000{}"


@pytest.fixture
def objects(tmp_path: pathlib.Path) -> store.Store:
    return local.LocalStore(tmp_path / "objects")


def ship(objects: store.Store, *records: Exposure | Counts, number: int = 0, tail: bytes = b"") -> None:
    lines = (
        segments.write_exposure(each) if isinstance(each, Exposure) else segments.write_counts(each) for each in records
    )
    with objects.write(segments.key_of(NAME.format(number))) as file:
        file.write(b"".join(lines) + tail)


def seen(unit: str, at: int, *, arm: str = "churn@1", revision: int = 3) -> Exposure:
    return Exposure("acme", "risk", revision, arm, unit, at)


def served(requests: int, errors: int, histogram: dict[int, int], *, started_at: int = AT) -> Counts:
    return Counts("acme", "risk", "churn@1", started_at, requests, errors, 0.5, histogram)


def rows(engines: database.Engines, table: sa.Table, *names: str) -> list[tuple[Any, ...]]:
    with engines.statements.connect() as connection:
        query = sa.select(*(table.c[name] for name in names)).order_by(*(table.c[name] for name in names))
        return [tuple(row) for row in connection.execute(query)]


def test_what_copies_saw_is_stored_and_the_segment_removed(
    prediction_engines: database.Engines,  # noqa: F811
    objects: store.Store,
) -> None:
    ship(objects, seen("a", 10), seen("b", 20), seen("a", 5, revision=2), served(3, 1, {10: 2, 11: 1}))
    TakeSegments(prediction_engines, objects).do()
    assert rows(prediction_engines, exposures, "unit", "first_seen_at", "revision") == [("a", 5, 2), ("b", 20, 3)]
    found = rows(prediction_engines, served_counts, "started_at", "requests", "errors", "seconds")
    assert found == [(AT, 3, 1, 0.5)]
    assert segments.list_names(objects) == []


def test_processes_that_tell_that_they_run_are_known_as_they_last_told(
    prediction_engines: database.Engines,  # noqa: F811
    objects: store.Store,
) -> None:
    for number, (manifest, is_ready) in enumerate(((0, False), (7, True))):
        told = [segments.Presence(id_, "node-a", 40, 8401, manifest, is_ready) for id_ in ("A" * 26, "B" * 26)]
        ship(objects, number=number, tail=b"".join(map(segments.write_presence, told)))
        TakeSegments(prediction_engines, objects).do()
    found = rows(prediction_engines, inference_copies, "id", "host", "port", "manifest", "is_ready")
    assert found == [(id_, "node-a", 8401, 7, True) for id_ in ("A" * 26, "B" * 26)]
    assert all(since <= seen_at for since, seen_at in rows(prediction_engines, inference_copies, "since", "seen_at"))


def test_a_segment_that_comes_again_changes_nothing(
    prediction_engines: database.Engines,  # noqa: F811
    objects: store.Store,
) -> None:
    chore = TakeSegments(prediction_engines, objects)
    for _ in range(2):
        ship(objects, seen("a", 10), served(3, 1, {10: 3}))
        chore.do()
    assert rows(prediction_engines, served_counts, "requests", "errors") == [(3, 1)]
    assert segments.list_names(objects) == []


def test_counts_of_several_copies_add_up_and_the_earliest_exposure_holds(
    prediction_engines: database.Engines,  # noqa: F811
    objects: store.Store,
) -> None:
    chore = TakeSegments(prediction_engines, objects)
    ship(objects, seen("a", 10), served(3, 1, {10: 2, 11: 1}), number=1)
    chore.do()
    ship(objects, seen("a", 8, revision=1), served(4, 0, {11: 4}), served(1, 1, {9: 1}), number=2)
    ship(objects, seen("a", 12, revision=9), served(1, 0, {9: 1}, started_at=LATER), number=3)
    chore.do()
    assert rows(prediction_engines, exposures, "unit", "first_seen_at", "revision") == [("a", 8, 1)]
    assert rows(prediction_engines, served_counts, "started_at", "requests", "errors") == [(AT, 8, 2), (LATER, 1, 0)]
    with prediction_engines.statements.connect() as connection:
        query = sa.select(served_counts.c.histogram).order_by(served_counts.c.started_at)
        assert connection.execute(query).scalars().all() == [{"9": 1, "10": 2, "11": 5}, {"9": 1}]


def test_the_same_unit_at_two_arms_is_two_exposures(
    prediction_engines: database.Engines,  # noqa: F811
    objects: store.Store,
) -> None:
    ship(objects, seen("a", 10), seen("a", 11, arm="churn@2"))
    TakeSegments(prediction_engines, objects).do()
    assert rows(prediction_engines, exposures, "arm", "first_seen_at") == [("churn@1", 10), ("churn@2", 11)]


def test_what_cannot_be_read_or_was_lost_is_counted_and_the_rest_is_stored(
    prediction_engines: database.Engines,  # noqa: F811
    objects: store.Store,
) -> None:
    ship(objects, seen("a", 10), tail=segments.write_lost(7) + b'["x"]\n["e","cut o')
    TakeSegments(prediction_engines, objects).do()
    assert rows(prediction_engines, taken_segments, "name", "records", "lost") == [(NAME.format(0), 4, 9)]
    assert len(rows(prediction_engines, exposures, "unit")) == 1


def test_thousands_of_exposures_are_taken_at_once(
    prediction_engines: database.Engines,  # noqa: F811
    objects: store.Store,
) -> None:
    ship(objects, *(seen(f"{number:05}", number) for number in range(3001)))
    TakeSegments(prediction_engines, objects).do()
    assert len(rows(prediction_engines, exposures, "unit")) == 3001


def test_foreign_objects_in_the_folder_are_left_alone(
    prediction_engines: database.Engines,  # noqa: F811
    objects: store.Store,
) -> None:
    with objects.write(f"{segments.FOLDER}/readme.txt") as file:
        file.write(b"mine")
    TakeSegments(prediction_engines, objects).do()
    assert [listed.key for listed in objects.list(segments.FOLDER)] == [f"{segments.FOLDER}/readme.txt"]


def test_counts_that_no_canary_looks_at_any_more_are_removed(
    prediction_engines: database.Engines,  # noqa: F811
    objects: store.Store,
) -> None:
    ship(objects, served(1, 0, {9: 1}, started_at=5000), served(2, 0, {9: 2}))
    TakeSegments(prediction_engines, objects).do()
    assert rows(prediction_engines, served_counts, "started_at", "requests") == [(AT, 2)]
