"""What is quick is answered on the event loop, with the same answers, and nothing else is."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shared import errors
from tests.unit.prediction.online.conftest import Stage
from tests.unit.prediction.online.test_onnx_models import GIVEN, by_library, export_all
from workers.prediction.online import breaker, bulkhead, plane
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.merging import Prediction
from workers.prediction.online.plane import Plane
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.versions import Version


@pytest.fixture
def quick(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """Deploy a version that ONNX Runtime answers for, and call it quick however busy this machine is."""
    stage.deploy(("greatness@1", 100), fallback="greatness@2", max_concurrency=1, max_waiting=0)
    export_all(stage)
    found = stage.copy()[0].find("default", "great")
    assert found is not None
    monkeypatch.setattr(found.versions[0], "quick_rows", 8)
    monkeypatch.setattr(bulkhead, "_TOO_LONG_SECONDS", 60.0)
    return found


def run(act: Callable[[Plane], Coroutine[Any, Any, Any]]) -> Any:
    async def within() -> Any:
        data_plane = Plane()
        try:
            return await act(data_plane)
        finally:
            data_plane.close()

    return asyncio.run(within())


async def asked(
    data_plane: Plane,
    target: Deployed,
    given: dict[str, list[Any]],
    *,
    body_bytes: int | None = 100,
    version: Version | None = None,
) -> tuple[Prediction, bool]:
    """Return the answer, and whether it was made on the event loop."""

    def work() -> tuple[Prediction, bool]:
        answer = data_plane.predict(target, given, rows_count=len(given["a"]), version=version)
        return answer, threading.get_ident() == loop

    loop = threading.get_ident()
    return await data_plane.within(target, work, body_bytes=body_bytes)


def test_what_is_quick_is_answered_on_the_event_loop_as_in_a_thread(quick: Deployed) -> None:
    inline, is_inline = run(lambda data_plane: asked(data_plane, quick, GIVEN))
    threaded, stays_inline = run(lambda data_plane: asked(data_plane, quick, GIVEN, body_bytes=None))
    assert (is_inline, stays_inline) == (True, False)
    assert inline == threaded


@pytest.mark.parametrize("body_bytes", [100, None])
def test_what_a_client_asks_of_a_version_by_its_number_counts_for_no_arm(
    quick: Deployed, body_bytes: int | None
) -> None:
    async def ask(version: Version | None) -> list[int]:
        recorder = Recorder()
        data_plane = Plane(recorder)
        try:
            _, is_inline = await asked(data_plane, quick, GIVEN, body_bytes=body_bytes, version=version)
        finally:
            data_plane.close()
        assert is_inline is (body_bytes is not None)
        return [arm.requests for arm in recorder._arms.values() if arm.requests]

    assert asyncio.run(ask(None)) == [1]
    assert asyncio.run(ask(quick.versions[0])) == []


def test_a_large_body_many_rows_and_slow_versions_go_to_threads(
    quick: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {name: values * 2 for name, values in GIVEN.items()}
    assert not run(lambda data_plane: asked(data_plane, quick, GIVEN, body_bytes=plane.MAX_QUICK_BYTES + 1))[1]
    assert not run(lambda data_plane: asked(data_plane, quick, many))[1]
    monkeypatch.setattr(quick.versions[0], "quick_rows", 0)
    assert not run(lambda data_plane: asked(data_plane, quick, GIVEN))[1]


def test_what_only_the_library_can_answer_goes_to_threads(quick: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**GIVEN, "word": ["", "red", "red", "red", "red"]}
    answer, is_inline = run(lambda data_plane: asked(data_plane, quick, given))
    assert not is_inline
    assert answer.values == by_library(quick.versions[0], given, monkeypatch)
    with pytest.raises(errors.BadDataError, match="row 1"):
        run(lambda data_plane: asked(data_plane, quick, {**GIVEN, "a": ["x"] * 5}))


def test_a_quick_version_that_fails_is_replaced_and_left_out(quick: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []

    def fail(*_: Any, **__: Any) -> Any:
        calls.append(True)
        raise ZeroDivisionError

    monkeypatch.setattr(quick.versions[0], "predict_quickly", fail)

    async def many(data_plane: Plane) -> list[list[str]]:
        return [(await asked(data_plane, quick, GIVEN))[0].versions for _ in range(20)]

    assert run(many) == [["greatness@2"] * 5] * 20
    # Once on the event loop, and then each failure in a thread until it is left out.
    assert len(calls) == 1 + breaker.MAX_FAILURES


def test_who_is_full_refuses_what_is_quick_too(quick: Deployed) -> None:
    going_on, began = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        assert going_on.wait(60)

    async def crowd(data_plane: Plane) -> bool:
        first = asyncio.create_task(data_plane.within(quick, hang))
        await asyncio.to_thread(began.wait, 60)
        with pytest.raises(errors.TooManyRequestsError):
            await asked(data_plane, quick, GIVEN)
        going_on.set()
        await first
        return (await asked(data_plane, quick, GIVEN))[1]

    assert run(crowd)


def test_a_deployment_that_turns_out_slow_goes_to_threads_for_a_while(
    quick: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulkhead, "_TOO_LONG_SECONDS", 0.05)
    seen: list[bool] = []

    async def burn(data_plane: Plane) -> None:
        loop = threading.get_ident()

        def work() -> None:
            seen.append(threading.get_ident() == loop)
            until = time.thread_time() + 0.1
            while time.thread_time() < until:
                pass

        for _ in range(4):
            await data_plane.within(quick, work, body_bytes=1)
        monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
        await data_plane.within(quick, work, body_bytes=1)

    run(burn)
    assert seen == [True, True, False, False, True]
