"""python -m tests.unit.deploy.supervised NAME …: a supervisor of small services, as tests need them."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable

import numpy as np

from deploy import supervisor, terminal

PATIENCE_SECONDS = 2.0


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def quiet() -> None:
    """End when told to."""
    say("on")
    time.sleep(600)


def stubborn() -> None:
    """End only when killed, and so does a process of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.fork()
    say("on")
    while True:
        time.sleep(600)


def brief() -> None:
    """End by itself, in the middle of a line."""
    sys.stdout.write("half a line")
    sys.exit(7)


def drawing() -> None:
    """Draw numbers."""
    say(f"drew {random.random()} {np.random.random()}")
    time.sleep(600)


def last() -> None:
    """Say so when told to end."""

    def end(*_: object) -> None:
        say("last of all")
        sys.exit()

    signal.signal(signal.SIGTERM, end)
    quiet()


def main(names: list[str]) -> int:
    """Supervise services with these names, those of functions above, until told to stop."""
    output = terminal.JsonLines(sys.stdout)

    def tell_end(status: int) -> None:
        output.say(f"once ended with {status}")

    functions: dict[str, Callable[[], None]] = {
        "quiet": quiet,
        "stubborn": stubborn,
        "brief": brief,
        "drawing": drawing,
        "last": last,
    }
    with supervisor.Supervisor(output, patience_seconds=PATIENCE_SECONDS) as supervising:
        for number, name in enumerate(names):
            supervising.start(
                supervisor.Service(
                    f"{name}.{number}" if names.count(name) > 1 else name,
                    brief if name == "once" else functions[name],
                    on_end=tell_end if name == "once" else None,
                    ends_last=name == "last",
                )
            )
        supervising.run()
    output.say("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
