"""Processes that predict the parts of a table side by side, ahead of the one that writes the result."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from shared import errors
from workers import memory
from workers.prediction.batches.parts import Parts
from workers.prediction.batches.plan import Plan

_ROOT = Path(__file__).resolve().parents[3]
_ROWS_PER_PROCESS = 500_000
"""A process must have so many rows to predict for its start to be worth it."""
_LEAST_BYTES = 1 << 30
"""The memory that a process has at least, half of which the libraries take."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")


def count_processes(*, rows: int, parts: int, threads: int) -> int:
    """Compute how many processes to start for rows that are to be predicted; 0 when this one is enough.

    They are bounded by the processors that this process may use, and by its limit of memory, which they share.
    """
    limit = memory.current_bytes()
    by_memory = threads if limit is None else limit // _LEAST_BYTES - 1
    count = min(threads, parts, rows // _ROWS_PER_PROCESS, by_memory)
    return count if count > 1 else 0


class Pool:
    """Some processes, each of which predicts every so many-th part; a context manager that ends them."""

    def __init__(self, plan: Plan, parts: Parts, numbers: Sequence[int], *, part_rows: int, processes: int) -> None:
        """Start processes that predict the parts of these numbers."""
        self._parts = parts
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self._done: set[int] = set()
        limit = memory.current_bytes()
        share = None if limit is None else limit // (processes + 1)
        self._processes = []
        try:
            for start in range(processes):
                own = [[number, str(parts.stage(number))] for number in numbers[start::processes]]
                order = {"plan": plan.to_document(), "parts": own, "part_rows": part_rows, "limit_bytes": share}
                self._processes.append(self._start(order))
        except BaseException:
            self.close()
            raise

    def wait(self, number: int) -> None:
        """Wait until a part is kept; raises what its process met."""
        while number not in self._done:
            self._handle(self._messages.get())

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self._parts.discard()

    def __enter__(self) -> "Pool":
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.close()

    def _start(self, order: dict[str, Any]) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "workers.prediction.batches.part_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": str(_ROOT), "PYTHONUTF8": "1"},
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - pipes were asked for.
        process.stdin.write(f"{json.dumps(order)}\n")
        process.stdin.flush()
        threading.Thread(target=self._listen, args=(process, process.stdout), daemon=True).start()
        return process

    def _listen(self, process: "subprocess.Popen[str]", output: IO[str]) -> None:
        try:
            for line in output:
                self._messages.put(json.loads(line))
        except ValueError:
            # The pool was closed meanwhile, or the process died while it wrote.
            pass
        self._messages.put({"ended": process.pid})

    def _handle(self, message: dict[str, Any]) -> None:
        if "done" in message:
            number = message["done"]
            self._parts.keep(number)
            self._done.add(number)
        elif "lack" in message:
            raise MemoryError(message["lack"])
        elif "error" in message:
            kind = getattr(errors, message["error"], None) if message["error"] else None
            raise kind(message["message"]) if kind else RuntimeError(message["message"])
        elif "ended" in message:
            status = next(each.wait() for each in self._processes if each.pid == message["ended"])
            if status:
                raise errors.RetryableError(f"A process that predicted parts of the table ended with status {status}.")
