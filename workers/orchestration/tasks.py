"""The jobs of the orchestration role: runs of pipelines, in short turns."""

import structlog

from shared import faults, telemetry
from shared.orchestration.contract import RUN, WIND_UP, RunPipeline, WindUpRun, WoundUp
from workers import bodies
from workers.attempt import TRANSIENT
from workers.job import Finish, Job, Rest
from workers.orchestration import conducting
from workers.orchestration.conducting import Conductor

_log = structlog.get_logger()


@bodies.job(RUN)
def run(job: Job, command: RunPipeline) -> Finish:
    """Take a turn of a run."""
    conducting.begin(job, command)
    conductor = Conductor(job, job.id)
    outcome = conductor.take_turn()
    if isinstance(outcome, Rest):
        return outcome
    if outcome.state != "succeeded":
        conductor.fail(outcome)
    return conducting.end_with(conductor, conductor.summarize())


@bodies.job(WIND_UP)
def wind_up(job: Job, command: WindUpRun) -> Finish:
    """Take a turn of cancelling what is left of a run."""
    try:
        conductor = Conductor(job, command.run, cancels=True)
        outcome = conductor.take_turn()
    except Exception as error:
        if isinstance(error, TRANSIENT) or faults.find(error) is not None:
            raise
        # Else it would be wound up again and again, by jobs that all fail.
        _log.error("run_given_up", run_id=command.run, **telemetry.describe(error))
        return conducting.give_up(job, command.run)
    if isinstance(outcome, Rest):
        return outcome
    return conducting.end_with(conductor, WoundUp(cancelled=conductor.counts.get("cancelled", 0)))
