"""The jobs of the orchestration role: runs of pipelines, in short turns."""

from shared.orchestration.contract import RUN, WIND_UP, RunPipeline, WindUpRun, WoundUp
from workers import bodies
from workers.job import Finish, Job, Rest
from workers.orchestration import conducting
from workers.orchestration.conducting import Conductor


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
    conductor = Conductor(job, command.run, cancels=True)
    outcome = conductor.take_turn()
    if isinstance(outcome, Rest):
        return outcome
    return conducting.end_with(conductor, WoundUp(cancelled=conductor.counts.get("cancelled", 0)))
