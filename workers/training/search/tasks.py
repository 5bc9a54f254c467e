"""The jobs of a search: the search itself, which takes short turns, and its trials."""

import functools
import time

from shared.training.search.commands import RunTrial, SearchModel
from shared.training.search.results import TrialResult
from workers.app import threads
from workers.job import Finish, Job
from workers.training import store
from workers.training.experiment import Experiment
from workers.training.search import conductor, mapped, trial


def search(job: Job, command: SearchModel) -> Finish:
    """Take a turn of a search."""
    return conductor.Conductor(job, command).take_turn()


def try_out(job: Job, command: RunTrial) -> Finish:
    """Validate one set of parameters."""
    if command.until is not None and command.trial > 0 and time.time() > command.until:
        return TrialResult(state="out_of_time", metrics={}, seconds=0.0, warnings=[])
    source = store.source_of(job, command)
    experiment = Experiment(command, source.data.columns, command.estimator, source.recipe)
    done = trial.run(
        conductor.rows_of(job, source, experiment),
        experiment=experiment,
        command=command,
        threads=threads(job.config),
        around=trial.Surroundings(
            show=lambda folds: job.show({"folds": folds}),
            others=lambda: conductor.others_of(job),
        ),
    )
    if done.validated is not None and conductor.is_best_so_far(job, command, done.result):
        arrays = trial.to_arrays(done.validated)
        job.cached(conductor.out_of_fold(job.id), functools.partial(mapped.write_arrays, arrays))
    return done.result
