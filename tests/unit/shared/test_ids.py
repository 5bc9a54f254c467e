"""Ids: they carry their role, sort by time, and never come twice."""

import multiprocessing
import threading
import time

import pytest
import ulid

from shared import ids, roles


def _send_ids(connection: object) -> None:
    connection.send([ids.new_ulid() for _ in range(2000)])  # type: ignore[attr-defined]


def test_ids_sort_by_the_time_at_which_they_were_made() -> None:
    before = time.time()
    first = ids.new_ulid()
    time.sleep(0.002)
    second = ids.new_ulid()
    assert first < second
    assert before - 1 < ulid.ULID.from_str(first).timestamp <= time.time() + 1


def test_ids_of_one_process_only_grow() -> None:
    made = [ids.new_ulid() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_of_many_threads_are_all_different_and_grow_in_each() -> None:
    made: list[list[str]] = [[] for _ in range(8)]

    def make(mine: list[str]) -> None:
        mine.extend(ids.new_ulid() for _ in range(2000))

    threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    assert len({one for mine in made for one in mine}) == 16_000


def test_a_clock_that_is_set_back_makes_no_id_twice_in_forked_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    # With the clock behind, an id is made from the last one: two children must not make the same from it.
    monkeypatch.setattr(ids, "_last", int(ulid.ULID.from_timestamp(time.time() + 3600)))
    context = multiprocessing.get_context("fork")
    made: list[str] = []
    for _ in range(2):
        here, there = context.Pipe()
        child = context.Process(target=_send_ids, args=(there,))
        child.start()
        made += here.recv()
        child.join()
        here.close()
        there.close()
    assert len(set(made)) == 4000


def test_a_process_forked_while_an_id_is_made_can_make_ids() -> None:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    with ids._lock:
        child = context.Process(target=_send_ids, args=(there,))
        child.start()
    answered = here.poll(10)
    child.kill()
    child.join()
    here.close()
    there.close()
    assert answered


def test_a_clock_that_stands_still_makes_ids_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000_000_000)
    made = [ids.new_ulid() for _ in range(100)]
    assert made == sorted(set(made))


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_job_id_carries_its_role(role: str) -> None:
    job_id = ids.new_job_id(role)
    assert ids.role_of(job_id) == role
    assert job_id == f"{role}_{ids.ulid_of(job_id)}"
    assert len(job_id) <= 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "training",
        "training_",
        "_01JD0000000000000000000000",
        "01JD0000000000000000000000",
        "training_01JD000000000000000000000",
        "training_01JD00000000000000000000000",
        "training_81JD0000000000000000000000",
        "training_01jd0000000000000000000000",
        "training_01JD000000000000000000000I",
        "training_01JD0000000000000000000000\n",
        "\ntraining_01JD0000000000000000000000",
        "training_01JD0000000000000000000000\x00",
        "Training_01JD0000000000000000000000",
        "../training_01JD0000000000000000000000",
        "a" * 33 + "_01JD0000000000000000000000",
        "training_0\N{FULLWIDTH DIGIT ONE}JD000000000000000000000",
        "x" * 100_000,
    ],
)
def test_what_is_no_job_id_has_no_role(text: str) -> None:
    assert ids.role_of(text) is None
