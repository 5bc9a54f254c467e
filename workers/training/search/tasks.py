"""The jobs of a search: the search itself, in short turns, and its trials."""

import functools
import time

from shared.training.search.commands import RunTrial, SearchModel
from shared.training.search.results import TrialResult
from workers import numeric_threads
from workers.job import Finish, Job
from workers.training import store
from workers.training.experiment import Experiment
from workers.training.search import conductor, mapped, trial_run


def search(job: Job, command: SearchModel) -> Finish:
    """Take a turn of a search."""
    return conductor.Conductor(job, command).take_turn()


def run_trial(job: Job, command: RunTrial) -> Finish:
    """Run a trial: validate one set of parameters."""
    if command.until is not None and command.trial > 0 and time.time() > command.until:
        return TrialResult(state="out_of_time", metrics={}, seconds=0.0, warnings=[])
    source = store.read_source(job, command)
    experiment = Experiment(command, source.columns, command.estimator, source.recipe)
    outcome = trial_run.run(
        conductor.map_rows(job, source, experiment),
        experiment=experiment,
        command=command,
        threads=numeric_threads.count(job.config),
        context=trial_run.TrialContext(
            show=lambda folds: job.show({"folds": folds}),
            others=lambda: conductor.list_other_trials(job),
        ),
    )
    if outcome.validated is not None and conductor.is_best_so_far(job, command, outcome.result):
        arrays = trial_run.to_arrays(outcome.validated)
        job.cached(conductor.name_predictions(job.id), functools.partial(mapped.write_arrays, arrays))
    return outcome.result
