"""Rings for shadows: what is offered while they are stored is stored once, and a copy that ends tells the rest."""

import pathlib
import threading
from typing import Any

import pytest

from shared import contract
from shared.objects import local, store
from shared.prediction.records import segments
from shared.prediction.records.segments import ShadowBatch, ShadowLoss
from shared.prediction.shadows import batches
from workers.prediction.online.deployed import Deployed, Shadow
from workers.prediction.online.merging import Prediction
from workers.prediction.online.records import shadow_rings
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.records.segment_files import SegmentFiles

COLUMNS = [contract.Column(name="prediction", type="string")]


@pytest.fixture
def objects(tmp_path: pathlib.Path) -> store.Store:
    return local.LocalStore(tmp_path / "objects")


@pytest.fixture
def recorder(tmp_path: pathlib.Path, objects: store.Store) -> Recorder:
    made = Recorder()
    made.keep_in(SegmentFiles(tmp_path / "segments", objects))
    return made


def deployed(*percents: float) -> Deployed:
    shadows = tuple(Shadow(1, f"m@{index + 2}", index + 2, percent) for index, percent in enumerate(percents))
    return Deployed("t", "d", 1, None, 8, 8, 30, (), b"", None, shadows=shadows)


def offer(recorder: Recorder, target: Deployed, number: Any, *, rows: int = 1) -> None:
    answer = Prediction(COLUMNS, [["yes"] * rows], ["m@1"] * rows)
    recorder.shadows.offer(target, {"n": [number] * rows}, answer, seconds=0.001)


def told(objects: store.Store) -> list[segments.Record]:
    records: list[segments.Record] = []
    for name in segments.list_names(objects):
        with objects.open_read(segments.key_of(name)) as file:
            records += segments.read(file.read())
    return records


def read(objects: store.Store, batch: ShadowBatch) -> list[batches.Call]:
    with objects.open_read(batches.key_of(batch.name)) as file:
        return batches.read(file.read())


def test_what_is_offered_while_rings_are_stored_is_stored_once(
    recorder: Recorder, objects: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_rings, "SECONDS", 0.0)
    target, threads, each = deployed(100.0), 4, 500

    def work(first: int) -> None:
        for number in range(first, first + each):
            offer(recorder, target, number)

    workers = [threading.Thread(target=work, args=(index * each,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        recorder.flush()
    recorder.close()
    found = [record for record in told(objects) if isinstance(record, ShadowBatch)]
    numbers = [call.given["n"][0] for batch in found for call in read(objects, batch)]
    assert sorted(numbers) == list(range(threads * each))
    assert sum(batch.rows for batch in found) == threads * each


def test_a_batch_tells_how_many_of_its_rows_are_whose(recorder: Recorder, objects: store.Store) -> None:
    target = deployed(100.0, 30.0)
    for number in range(200):
        offer(recorder, target, number, rows=2)
    recorder.close()
    [batch] = [record for record in told(objects) if isinstance(record, ShadowBatch)]
    calls = read(objects, batch)
    assert [(share.version, share.rows) for share in batch.shadows] == [
        (2, 400),
        (3, sum(2 for call in calls if call.draw < 30)),
    ]
    assert all(call.versions == ["m@1"] and call.rows == 2 for call in calls)


def test_rows_that_are_too_long_for_memory_or_for_json_are_lost_and_others_are_kept(
    recorder: Recorder, objects: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_rings, "MAX_BYTES", 1000)
    target = deployed(100.0)
    for text in ("x" * 2000, "short", 2**70, "y" * 2000):
        offer(recorder, target, text)
    recorder.close()
    losses = [record for record in told(objects) if isinstance(record, ShadowLoss)]
    assert {loss.reason: loss.shadows[0].rows for loss in losses} == {
        "the copy's ring was full": 2,
        "the request can't be written as JSON": 1,
    }
    [batch] = [record for record in told(objects) if isinstance(record, ShadowBatch)]
    assert [call.given["n"] for call in read(objects, batch)] == [["short"]]
