"""Does the job that counts values."""

from millrace_example import kinds
from shared import contract
from shared.ml import frames
from workers.job import Finish, Job


def count_values(job: Job, command: kinds.CountValues) -> Finish:
    """Count how often each value of a column occurs; BadDataError when there is no such column."""
    dataset = contract.DatasetPin.model_validate(job.pinned["dataset"])
    values = frames.read_frame(job.fetch(dataset), columns=[command.column])[command.column]
    counted = values.value_counts().head(command.most)
    return kinds.CountedValues(counts={str(value): int(rows) for value, rows in counted.items()})
