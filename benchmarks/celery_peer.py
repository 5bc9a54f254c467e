"""Bare Celery, configured so that no message is lost: a peer of the job benchmark.

One durable quorum queue, publisher confirms, early acknowledgement, no results. Run as a script it is the producer:
`python -m benchmarks.celery_peer <first> <count> <file>` sends that many tasks and writes when each was sent.
"""

import array
import os
import pathlib
import struct
import sys
import time

import celery
import kombu

RECORD = struct.Struct("<Qd")
"""A task's number and the seconds since the epoch at which it ended."""

app = celery.Celery("bench", broker=os.environ.get("BENCH_BROKER_URL", "amqp://"))
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_queues=[kombu.Queue("bench", durable=True, queue_arguments={"x-queue-type": "quorum"})],
    task_default_queue="bench",
    task_ignore_result=True,
    task_acks_late=False,
    accept_content=["json"],
    worker_hijack_root_logger=False,
)


@app.task(name="bench.noop")  # type: ignore[untyped-decorator]
def noop(number: int) -> None:
    """Do nothing but note the time: one small write in append mode, which the kernel doesn't interleave."""
    os.write(_open_record(), RECORD.pack(number, time.time()))


_file: int | None = None


def _open_record() -> int:
    global _file
    if _file is None:
        _file = os.open(os.environ["BENCH_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    return _file


def produce(first: int, count: int, sent_path: pathlib.Path) -> None:
    """Send tasks one after the other, each confirmed before the next."""
    noop.apply_async((first - 1,))  # Opens the connection and declares the queue, outside the measured time.
    sent = array.array("d")
    for number in range(first, first + count):
        sent.append(time.time())
        noop.apply_async((number,))
    sent_path.write_bytes(sent.tobytes())


def read_record(path: pathlib.Path, first: int, count: int) -> list[float]:
    """Read when the tasks of a range ended, in their order; KeyError when one did not."""
    ended = dict(RECORD.iter_unpack(path.read_bytes()))
    return [ended[number] for number in range(first, first + count)]


if __name__ == "__main__":
    produce(int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3]))
