"""A costly answer is made by one thread at a time, and nobody else waits for it."""

import threading

from api.probes import OneAtATime

LIMIT_SECONDS = 30.0


def test_who_asks_while_it_is_made_gets_the_one_before() -> None:
    started, go_on, made = threading.Event(), threading.Event(), 0

    def make() -> dict[str, str]:
        nonlocal made
        made += 1
        if made == 2:
            started.set()
            assert go_on.wait(LIMIT_SECONDS)
        return {"made": str(made)}

    costly = OneAtATime(make)
    assert costly.get() == {"made": "1"}
    second = threading.Thread(target=costly.get)
    second.start()
    assert started.wait(LIMIT_SECONDS)
    assert [costly.get() for _ in range(100)] == [{"made": "1"}] * 100
    go_on.set()
    second.join(LIMIT_SECONDS)
    assert costly.get() == {"made": "3"}


def test_the_first_to_ask_wait_for_the_first() -> None:
    go_on, answers = threading.Event(), []

    def make() -> dict[str, str]:
        assert go_on.wait(LIMIT_SECONDS)
        return {"made": "once"}

    costly = OneAtATime(make)
    threads = [threading.Thread(target=lambda: answers.append(costly.get())) for _ in range(3)]
    for thread in threads:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(LIMIT_SECONDS)
    assert answers == [{"made": "once"}] * 3
