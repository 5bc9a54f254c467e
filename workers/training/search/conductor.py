"""Conducts a search: each turn sees what its children have found, begins others, and the last one keeps the best.

Nothing is remembered between turns but the children themselves, so any worker can take any turn, and a search whose
worker dies, or that is retried by hand, goes on from the trials that have ended.
"""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from shared import errors, scoring
from shared.jobs import offspring
from shared.ml.recipes import compiling
from shared.progress import subrange
from shared.training.estimators.document import Estimator
from shared.training.search.commands import TRIAL, RunTrial, SearchModel
from shared.training.search.results import SearchedModel, SearchSummary, TrialCounts, TrialResult
from workers import app
from workers.job import Finish, Job, Rest, Spawn, Write
from workers.training import fit, store, tables, validation
from workers.training.experiment import Experiment
from workers.training.search import children, leaderboard, mapped, next_trials, rows, settled, trial
from workers.training.search.leaderboard import Trial

_SHOWN_ROWS = 20


def out_of_fold(job_id: str) -> str:
    """Name what the host keeps of a trial for the search's last turn: its predictions out of fold."""
    return f"out-of-fold-{job_id}"


def rows_of(job: Job, source: store.Source, experiment: Experiment) -> tables.Table:
    """Map the rows to learn from; they are read from the dataset once per host."""
    return rows.open_rows(
        lambda: tables.read_table(job.fetch(source.data), experiment=experiment),
        sha256=source.data.sha256,
        experiment=experiment,
        keep=job.cached,
    )


def others_of(job: Job) -> list[Trial]:
    """Give the trials beside the one that a job is."""
    return children.trials_of(child for child in job.siblings() if child.id != job.id)


def is_best_so_far(job: Job, command: RunTrial, result: TrialResult) -> bool:
    """Tell whether a trial that has just finished is better than all others that have."""
    folds = tuple(result.metrics[command.metric])
    own = Trial(command.trial, command.candidate, "", {}, state=result.state, folds=folds, rung=command.rung)
    greater = scoring.greater_is_better(command.metric, problem=command.problem)
    return leaderboard.best([*others_of(job), own], greater_is_better=greater) == own


class Conductor:
    """A search in one of its turns."""

    def __init__(self, job: Job, command: SearchModel) -> None:
        """Look at the children and, in the very first turn, at the data."""
        self._job = job
        self._command = command
        self._source = store.source_of(job, command)
        own, earlier = job.children(), job.earlier_children()
        self._results = {child.id: child.result or {} for child in [*earlier, *own]}
        self._trials = children.trials_of(own, earlier=earlier)
        self._settled = self._settle(own, earlier)
        until = self._settled.until
        self._is_late = until is not None and time.time() > until
        self._turn = next_trials.take(command, self._trials, rungs=self._settled.rungs, is_late=self._is_late)

    def take_turn(self) -> Finish:
        """Begin what comes next and rest; or, when all trials have ended, keep the best as the next version."""
        standing = self._standing([*self._trials, *self._turn.begin])
        shown = standing.model_copy(update={"leaderboard": standing.leaderboard[:_SHOWN_ROWS]}).model_dump(mode="json")
        planned, ended = standing.trials.planned, sum(each.has_ended for each in self._trials)
        self._job.progress(0.95 * ended / planned, f"{ended} of {planned} trials have ended")
        if self._turn.is_over:
            # What was shown before the last trial ended would contradict the result.
            self._job.show(shown)
            return self._finish()
        commands = [settled.command_of(self._command, each, self._settled) for each in self._turn.begin]
        return Rest(
            spawn=[Spawn(TRIAL, each, self._job.pinned) for each in commands],
            interim=shown,
        )

    def _settle(self, own: Sequence[offspring.Child], earlier: Sequence[offspring.Child]) -> settled.Settled:
        """Give what was settled: from a trial's parameters or, before there are any, from the data."""
        recipe = self._source.recipe
        if own:
            return settled.from_params(own[0].params, recipe=recipe)
        agreed = settled.from_params(earlier[0].params, recipe=recipe) if earlier else self._look_at_data()
        seconds = self._command.search_settings.max_seconds
        return dataclasses.replace(agreed, until=None if seconds is None else time.time() + seconds)

    def _look_at_data(self) -> settled.Settled:
        experiment = self._experiment(self._command.candidates[0])
        table = tables.read_table(self._job.fetch(self._source.data), experiment=experiment)
        agreed = settled.settle(self._command, experiment, table)
        # The rows are in memory already; from now on they are mapped.
        experiment = dataclasses.replace(experiment, recipe=agreed.recipe)
        rows.open_rows(lambda: table, sha256=self._source.data.sha256, experiment=experiment, keep=self._job.cached)
        return agreed

    def _experiment(self, estimator: Estimator) -> Experiment:
        return Experiment(self._command, self._source.data.columns, estimator, self._source.recipe)

    def _standing(self, trials: Sequence[Trial]) -> SearchSummary:
        # A trial that begins again stands twice; what it is now comes last.
        latest = {each.number: each for each in trials}
        return leaderboard.standing(
            [*latest.values()],
            metric=self._command.metric,
            greater_is_better=self._greater_is_better,
            planned=self._turn.planned,
        )

    @property
    def _greater_is_better(self) -> bool:
        return scoring.greater_is_better(self._command.metric, problem=self._command.problem)

    def _best(self) -> Trial:
        best = leaderboard.best(self._trials, greater_is_better=self._greater_is_better)
        if best is not None:
            return best
        failed = [each for each in self._trials if each.state == "failed"]
        if failed:
            raise errors.BadModelError(
                f"none of {len(self._trials)} trials finished; trial {failed[0].number}: {failed[0].error}"
            )
        raise errors.LimitExceededError(
            f"no trial finished within {self._command.search_settings.max_seconds:g} s; give more `max_seconds` or fewer folds",
            pointer="#/params/search/max_seconds",
        )

    def _finish(self) -> Write:
        """Fit the best on every row, as training.fit would with the same parameters."""
        best = self._best()
        chosen = self._command.candidates[best.candidate].to_estimator(best.params)
        experiment = dataclasses.replace(self._experiment(chosen), recipe=self._settled.recipe)
        threads = app.threads(self._job.config)
        artifact = self._job.output("model.skops")
        with fit.limited(threads) as noticed:
            ready = fit.prepare(rows_of(self._job, self._source, experiment), experiment)
            plan = compiling.InferredRecipe(self._settled.recipe, dropped=self._settled.dropped)
            ready = dataclasses.replace(ready, plan=plan)
            leaking = fit.find_leaks(ready, experiment)
            trained = fit.finalize(
                ready,
                experiment,
                validated=self._validated(best, ready, experiment, threads=threads),
                artifact_path=artifact.path,
                threads=threads,
                report=subrange(self._job.progress, 0.95, 1.0),
            )
        told = [*leaking, *self._results[best.job].get("warnings", []), *noticed]
        standing = self._standing(self._trials)
        notes = [*trained.notes, *self._time_notes(standing.trials)]
        trained = dataclasses.replace(trained, warnings=[*dict.fromkeys(told)], notes=notes)

        def write(connection: sa.Connection) -> SearchedModel:
            made = store.add_model(
                connection, self._job, self._command, trained, key=artifact.key, lineage=self._source.lineage
            )
            return SearchedModel(**made, best=standing.leaderboard[0], search=standing)

        return write

    def _time_notes(self, counts: TrialCounts) -> list[str]:
        seconds = self._command.search_settings.max_seconds
        return leaderboard.time_notes(counts, max_seconds=seconds) if seconds and self._is_late else []

    def _validated(
        self, best: Trial, ready: fit.Prepared, experiment: Experiment, *, threads: int
    ) -> validation.Validated:
        """Give the best trial's validation, from this host's files or, where there are none, made anew."""
        if best.resource is not None and self._command.by_rows and best.resource < len(ready.table.frame):
            # A rung with few rows ranks the trials; the version's metrics are those of all rows.
            return fit.validate(ready, experiment, threads=threads)

        def make(folder: Path) -> None:
            made = fit.validate(ready, experiment, threads=threads)
            mapped.write_arrays(trial.to_arrays(made), folder)

        folder = self._job.cached(out_of_fold(best.job), make)
        return trial.from_arrays(mapped.read_arrays(folder), metrics=self._results[best.job]["metrics"])
