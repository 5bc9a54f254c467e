"""A process that predicts some parts of a table: `python -m workers.prediction.batches.part_process`.

Its order is the first line of its standard input, and it ends when that is closed, so it outlives nobody. Each line
that it writes says that a part's file has been written, or why it ends.
"""

import json
import os
import resource
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from shared import errors
from workers import memory
from workers.prediction.batches import parts
from workers.prediction.batches.plan import Plan
from workers.prediction.batches.predictor import Predictor
from workers.prediction.batches.ranges import Ranges


def main() -> int:
    """Predict the parts of an order; 1 when that fails."""
    memory.prepare()
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if order["limit_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (order["limit_bytes"], order["limit_bytes"]))
    try:
        predict_parts(Plan.from_document(order["plan"]), order["parts"], part_rows=order["part_rows"])
    except errors.MillraceError as error:
        _say({"error": type(error).__name__, "message": error.message})
        return 1
    except MemoryError as error:
        _say({"lack": f"{error}"})
        return 1
    except Exception as error:  # noqa: BLE001 - the job's own process tells of it.
        _say({"error": "", "message": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def predict_parts(plan: Plan, order: Sequence[Sequence[Any]], *, part_rows: int) -> None:
    """Predict parts, given in ascending order by their numbers and the paths of their files; say when one is done."""
    predictor = Predictor(plan)
    mark = parts.mark(plan, part_rows=part_rows)
    ranges = Ranges(Path(plan.dataset), batch_rows=predictor.batch_rows, columns=plan.needs)
    for number, path in order:
        observed = predictor.observe_nothing()
        rows = ranges.read(number * part_rows, (number + 1) * part_rows)
        batches = list(_predict(predictor, rows))
        parts.write(Path(path), batches, added=predictor.added, observed=observed.to_documents(), mark=mark)
        _say({"done": number})


def _predict(predictor: Predictor, rows: Iterator[tuple[int, pa.RecordBatch]]) -> Iterator[list[pa.Array]]:
    for first, batch in rows:
        yield predictor.predict(batch, first=first)


def _end_with_parent() -> None:
    while sys.stdin.read(1):
        pass
    os._exit(1)


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(document)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
