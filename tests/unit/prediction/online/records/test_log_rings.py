"""Rings for logs: what is offered is stored once, what finds no room is counted, and what is left out never leaves."""

import contextlib
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shared import contract
from shared.objects import local, store
from shared.prediction.logs import batches
from shared.prediction.logs.document import Sampling
from shared.prediction.records import segments
from shared.prediction.records.segments import LogBatch, LogLoss
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.merging import Prediction
from workers.prediction.online.records import log_rings
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.records.segment_files import SegmentFiles

COLUMNS = [contract.Column(name="prediction", type="string")]
SIGNATURE = {"columns": [{"name": "n", "type": "integer"}, {"name": "secret", "type": "string"}]}


class FakeVersion:
    """A version that is loaded, as far as logs know one."""

    column_names = ("n", "secret")

    def __init__(self, number: int = 1) -> None:
        """Be `m@1`."""
        self.pin = contract.ModelPin(
            name="m",
            version=number,
            key="k",
            sha256="s",
            problem="classification",
            target=None,
            signature=SIGNATURE,  # type: ignore[arg-type]
        )


class FlakyStore(local.LocalStore):
    """A store that may be away."""

    is_away = False

    def publish(self, output: store.Output) -> None:
        if self.is_away:
            raise store.StoreDownError("away")
        super().publish(output)


@pytest.fixture
def objects(tmp_path: pathlib.Path) -> FlakyStore:
    return FlakyStore(tmp_path / "objects")


@pytest.fixture
def recorder(tmp_path: pathlib.Path, objects: store.Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    monkeypatch.setattr(log_rings, "SECONDS", 0.0)
    made = Recorder()
    made.keep_in(SegmentFiles(tmp_path / "segments", objects))
    yield made
    made.close()


def deployed(**sampling: Any) -> Deployed:
    log = Sampling(**{"percent": 100.0, "columns": None, "exclude": frozenset[str](), **sampling})
    versions: Any = (FakeVersion(),)
    return Deployed("t", "d", 7, None, 8, 8, 30, versions, b"", None, log=log)


def offer(recorder: Recorder, target: Deployed, number: Any, *, rows: int = 1, secret: str = "s") -> None:
    answer = Prediction(COLUMNS, [["yes"] * rows], ["m@1"] * rows, ids=["id"])
    given = {"n": [number] * rows, "secret": [secret] * rows, "more": [1] * rows}
    recorder.log.offer(target, given, answer, seconds=0.001)


def told(objects: store.Store) -> list[segments.Record]:
    records: list[segments.Record] = []
    for name in segments.list_names(objects):
        with objects.open_read(segments.key_of(name)) as file:
            records += segments.read(file.read())
    return records


def stored(objects: store.Store) -> list[batches.Batch]:
    found = []
    for record in told(objects):
        if isinstance(record, LogBatch):
            with objects.open_read(batches.key_of(record.name)) as file:
                found.append(batches.read(file.read()))
            assert sum(call.rows for call in found[-1].calls) == record.rows
            assert record.first_at <= record.last_at
    return found


def losses(objects: store.Store) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in told(objects):
        if isinstance(record, LogLoss):
            counts[record.reason] = counts.get(record.reason, 0) + record.rows
    return counts


def test_what_is_offered_while_rings_are_stored_is_stored_once(recorder: Recorder, objects: FlakyStore) -> None:
    target, threads, each = deployed(), 4, 500

    def work(first: int) -> None:
        for number in range(first, first + each):
            offer(recorder, target, number)

    workers = [threading.Thread(target=work, args=(index * each,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        recorder.flush()
    recorder.close()
    numbers = [call.given["n"][0] for batch in stored(objects) for call in batch.calls]
    assert sorted(numbers) == list(range(threads * each))
    assert losses(objects) == {}
    assert recorder.log._bytes == 0


def test_a_batch_describes_itself(recorder: Recorder, objects: FlakyStore) -> None:
    offer(recorder, deployed(), 1, rows=3)
    recorder.close()
    [batch] = stored(objects)
    assert (batch.deployment, batch.revision, batch.outputs) == ("d", 7, {"prediction": "string"})
    assert batch.inputs == {"m@1": [("n", "integer"), ("secret", "string")]}
    [call] = batch.calls
    assert (call.versions, call.ids, call.names, call.values) == (["m@1"], ["id"], ["prediction"], [["yes"] * 3])
    assert call.given == {"n": [1, 1, 1], "secret": ["s", "s", "s"]}


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        ({"exclude": frozenset({"secret"})}, [("n", "integer")]),
        ({"columns": ("more", "n")}, [("more", "string"), ("n", "integer")]),
        ({"columns": ()}, []),
    ],
)
def test_columns_that_are_not_kept_never_leave_the_process(
    recorder: Recorder, objects: FlakyStore, sampling: dict[str, Any], kept: list[tuple[str, str]]
) -> None:
    offer(recorder, deployed(**sampling), 1, secret="hush")
    recorder.close()
    [batch] = stored(objects)
    assert batch.inputs == {"m@1": kept}
    [call] = batch.calls
    assert set(call.given) == {name for name, _ in kept}
    assert "hush" not in str(batch)


def test_chance_takes_the_percentage_of_requests(recorder: Recorder, objects: FlakyStore) -> None:
    target = deployed(percent=20.0)
    for number in range(1000):
        offer(recorder, target, number)
    recorder.close()
    assert 120 < sum(len(batch.calls) for batch in stored(objects)) < 290
    assert losses(objects) == {}
    assert Sampling.of_state({"percent": 0, "columns": None, "exclude": None}) is None
    assert Sampling.of_state(None) is None


def test_what_was_looked_up_is_written_and_what_json_cannot_say_is_counted(
    recorder: Recorder, objects: FlakyStore
) -> None:
    target = deployed()
    for value in (np.datetime64("2026-01-02", "us"), np.datetime64("NaT"), np.float64(1.5), 2**70, object()):
        offer(recorder, target, value)
    recorder.close()
    values = [call.given["n"][0] for batch in stored(objects) for call in batch.calls]
    assert values == ["2026-01-02T00:00:00.000000", None, 1.5]
    assert losses(objects) == {"the request can't be written as JSON": 2}


def test_what_finds_no_room_is_lost_and_counted(
    recorder: Recorder, objects: FlakyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_rings, "MAX_BYTES", 1000)
    target = deployed()
    for secret in ("x" * 2000, "short", "y" * 2000):
        offer(recorder, target, 1, rows=2, secret=secret)
    recorder.close()
    assert [call.given["secret"][0] for batch in stored(objects) for call in batch.calls] == ["short"]
    assert losses(objects) == {"the copy's buffer was full": 4}


def test_while_the_store_is_away_rows_wait_up_to_a_limit_and_then_are_counted(
    recorder: Recorder, objects: FlakyStore, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    target = deployed()
    objects.is_away = True
    for number in range(3):
        offer(recorder, target, number)
        with contextlib.suppress(store.StoreDownError):
            recorder.flush()
    assert len(recorder.log._waiting) == 3
    monkeypatch.setattr(log_rings, "MAX_BYTES_OF_ALL", recorder.log._bytes)
    offer(recorder, target, 3, rows=5)
    objects.is_away = False
    recorder.flush()
    recorder.flush()
    assert [call.given["n"][0] for batch in stored(objects) for call in batch.calls] == [0, 1, 2]
    assert losses(objects) == {"the object store was away": 5}
    offer(recorder, target, 4)
    objects.is_away = True
    recorder.close()
    assert (len(recorder.log._waiting), recorder.log._rings) == (0, {})
    objects.is_away = False
    SegmentFiles(tmp_path / "segments", objects).close()
    assert losses(objects) == {"the object store was away": 6}
