"""The plane: one answer whatever the way, a failing version is replaced, and who is full leaves others alone."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shared import errors
from tests.integration import sample_data
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online import breaker
from workers.prediction.online.deployed import Deployed, to_unit
from workers.prediction.online.gate import Gate
from workers.prediction.online.merging import Prediction
from workers.prediction.online.plane import Plane, TimeoutExceededError
from workers.prediction.online.versions import Version

ROWS: dict[str, list[Any]] = {"a": [0.5, -0.25], "b": [0.1, None], "word": ["red", "unseen"], "id": [1, 2]}


def run(act: Callable[[Plane], Coroutine[Any, Any, Any]]) -> Any:
    async def within() -> Any:
        plane = Plane()
        try:
            return await act(plane)
        finally:
            plane.close()

    return asyncio.run(within())


def deployed(stage: Stage, *routes: tuple[str, float], **fields: Any) -> Deployed:
    stage.deploy(*routes, name="planed", **fields)
    found = stage.copy(by_library=True)[0].find("default", "planed")
    assert found is not None
    return found


async def asked(plane: Plane, target: Deployed, given: dict[str, list[Any]], **options: Any) -> Prediction:
    return await plane.within(target, lambda: plane.predict(target, given, **options))


def predict(stage: Stage, target: Deployed, given: dict[str, list[Any]], **options: Any) -> Prediction:
    count = len(next(iter(given.values())))
    answer: Prediction = run(lambda plane: asked(plane, target, given, rows_count=count, **options))
    return answer


def test_the_answer_is_that_of_a_batch(stage: Stage) -> None:
    sample_data.done(
        stage.client, stage.client.post("/v1/predictions", json={"model": "greatness@1", "dataset": "things@1"})
    )
    rows = stage.client.get("/v1/datasets/greatness-predictions/versions/latest/rows?limit=50").get_json()["rows"]
    given = {name: [row[name] for row in rows] for name in ("a", "b", "word")}
    answer = predict(stage, deployed(stage, ("greatness@1", 1)), given)
    assert {column.name: values for column, values in zip(answer.columns, answer.values, strict=True)} == {
        name: [row[name] for row in rows] for name in ("prediction", "probability_no", "probability_yes")
    }


def test_rows_of_one_request_go_to_the_version_of_their_own_unit(stage: Stage) -> None:
    target = deployed(stage, ("greatness@1", 50), ("greatness@2", 50), sticky_key="id")
    given: dict[str, list[Any]] = {"a": [0.3] * 40, "b": [0.2] * 40, "word": ["red"] * 40, "id": list(range(40))}
    together = predict(stage, target, given)
    assert set(together.versions) == {"greatness@1", "greatness@2"}
    for row in range(40):
        alone = predict(stage, target, {name: [values[row]] for name, values in given.items()})
        assert alone.versions == [together.versions[row]]
        assert [values[0] for values in alone.values] == [values[row] for values in together.values]


@pytest.mark.parametrize(
    "values", [(5, 5.0, "5"), (None, float("nan"), ""), (True, "true"), (2**60, str(2**60)), (-0.0, 0, "0")]
)
def test_equal_values_are_one_unit_however_they_are_written(values: tuple[Any, ...]) -> None:
    assert len({to_unit(value) for value in values}) == 1


def test_who_stops_waiting_as_a_place_becomes_free_leaves_no_place_taken() -> None:
    async def within() -> None:
        gate = Gate()
        await gate.enter(max_running=1, max_waiting=1)
        waiting = asyncio.create_task(gate.enter(max_running=1, max_waiting=1))
        await asyncio.sleep(0)
        gate.leave()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
            gate.leave()
        await asyncio.wait_for(gate.enter(max_running=1, max_waiting=0), timeout=30)

    asyncio.run(within())


def test_the_sticky_column_must_be_sent(stage: Stage) -> None:
    target = deployed(stage, ("greatness@1", 50), ("greatness@2", 50), sticky_key="customer")
    with pytest.raises(errors.BadDataError, match="'customer'"):
        predict(stage, target, ROWS)
    assert len(predict(stage, target, ROWS, unit="alice").versions) == 2


def failing(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError


def test_another_version_answers_where_one_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    target = deployed(stage, ("greatness@2", 100), fallback="greatness@1")
    [bad] = target.versions
    calls: list[int] = []

    def fail(*_: Any, **__: Any) -> Any:
        calls.append(1)
        failing()

    monkeypatch.setattr(bad, "predict", fail)

    async def many(plane: Plane) -> list[list[str]]:
        return [(await asked(plane, target, ROWS, rows_count=2)).versions for _ in range(20)]

    assert run(many) == [["greatness@1", "greatness@1"]] * 20
    assert len(calls) == breaker.MAX_FAILURES


def test_a_version_that_is_well_again_comes_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    target = deployed(stage, ("greatness@2", 100), fallback="greatness@1")
    [bad] = target.versions
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", 0.0)

    async def fail_and_mend(plane: Plane) -> list[str]:
        with monkeypatch.context() as patched:
            patched.setattr(bad, "predict", failing)
            for _ in range(5):
                await asked(plane, target, ROWS, rows_count=2)
        return (await asked(plane, target, ROWS, rows_count=2)).versions

    assert run(fail_and_mend) == ["greatness@2", "greatness@2"]


def test_data_that_does_not_fit_is_no_failure_of_the_version(stage: Stage) -> None:
    target = deployed(stage, ("greatness@2", 100), fallback="greatness@1")

    values: list[Any] = ["no number", [[]], {}, 2**70, float("inf")]

    async def refused(plane: Plane) -> list[str]:
        for value in values * 2:
            with pytest.raises(errors.BadDataError, match="'a'"):
                await asked(plane, target, {**ROWS, "a": [True, value]}, rows_count=2)
        return (await asked(plane, target, ROWS, rows_count=2)).versions

    assert run(refused) == ["greatness@2", "greatness@2"]


class Slow:
    """Lets a version wait until it is told to go on."""

    def __init__(self, version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
        self.going_on = threading.Event()
        self.began = threading.Semaphore(0)
        self._predict = version.predict
        monkeypatch.setattr(version, "predict", self)

    def __call__(self, given: Any, *, rows_count: int, asker: str | None = None) -> Any:
        self.began.release()
        assert self.going_on.wait(60)
        return self._predict(given, rows_count=rows_count)


def test_who_is_full_refuses_at_once_and_leaves_others_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    full = deployed(stage, ("greatness@1", 100), max_concurrency=1, max_waiting=1)
    stage.deploy(("greatness@2", 100), name="other")
    other = stage.copy()[0].find("default", "other")
    assert other is not None
    slow = Slow(full.versions[0], monkeypatch)

    async def crowd(plane: Plane) -> list[Any]:
        first = asyncio.create_task(asked(plane, full, ROWS, rows_count=2))
        await asyncio.to_thread(slow.began.acquire)
        second = asyncio.create_task(asked(plane, full, ROWS, rows_count=2))
        await asyncio.sleep(0)
        with pytest.raises(errors.TooManyRequestsError, match="1 wait"):
            await asked(plane, full, ROWS, rows_count=2)
        beside = await asked(plane, other, ROWS, rows_count=2)
        slow.going_on.set()
        return [beside.versions, (await first).versions, (await second).versions]

    assert run(crowd) == [["greatness@2"] * 2, ["greatness@1"] * 2, ["greatness@1"] * 2]


def test_what_took_too_long_keeps_its_place_until_it_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    target = deployed(stage, ("greatness@1", 100), max_concurrency=1, max_waiting=0, timeout_seconds=0.05)
    slow = Slow(target.versions[0], monkeypatch)

    async def impatient(plane: Plane) -> list[str]:
        with pytest.raises(TimeoutExceededError):
            await asked(plane, target, ROWS, rows_count=2)
        with pytest.raises(errors.TooManyRequestsError):
            await asked(plane, target, ROWS, rows_count=2)
        slow.going_on.set()
        while True:
            try:
                return (await asked(plane, target, ROWS, rows_count=2)).versions
            except (errors.TooManyRequestsError, TimeoutExceededError):
                await asyncio.sleep(0.01)

    assert run(impatient) == ["greatness@1"] * 2
