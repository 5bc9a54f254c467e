"""Conducts a search: each turn reads the children's results and starts new trials; the last turn stores the best.

Nothing is remembered between turns but the children themselves, so any worker can take any turn, and a search whose
worker dies, or that is retried by hand, goes on from the trials that have ended: docs/decisions/search.md, "A search
remembers nothing but its children".
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
from workers import numeric_threads
from workers.job import Finish, Job, Rest, Spawn, Write
from workers.training import fit, libraries, store, tables, validation
from workers.training.experiment import Experiment
from workers.training.search import child_trials, leaderboard, mapped, next_trials, rows, search_plan, trial_run
from workers.training.search.leaderboard import Trial

_SHOWN_ROWS = 20


def name_predictions(job_id: str) -> str:
    """Name the cache entry with a trial's out-of-fold predictions, which the host keeps for the search's last turn."""
    return f"out-of-fold-{job_id}"


def map_rows(job: Job, source: store.Source, experiment: Experiment) -> tables.Table:
    """Map the rows to learn from into memory; they are read from the dataset once per host."""
    return rows.open_rows(
        lambda: tables.read_table(job.fetch(source.data), experiment=experiment),
        sha256=source.data.sha256,
        experiment=experiment,
        cached=job.cached,
    )


def list_other_trials(job: Job) -> list[Trial]:
    """List the other trials of the search that a trial's job belongs to."""
    return child_trials.read_trials(child for child in job.siblings() if child.id != job.id)


def is_best_so_far(job: Job, command: RunTrial, result: TrialResult) -> bool:
    """Return whether a trial that has just finished is better than all other finished ones."""
    folds = tuple(value for value in result.metrics[command.metric] if value is not None)
    this = Trial(command.trial, command.candidate, "", {}, state=result.state, folds=folds, rung=command.rung)
    greater_is_better = scoring.greater_is_better(command.metric, problem=command.problem)
    return leaderboard.find_best([*list_other_trials(job), this], greater_is_better=greater_is_better) == this


class Conductor:
    """One turn of a search."""

    def __init__(self, job: Job, command: SearchModel) -> None:
        """Read the children and, in the very first turn, the data."""
        self._job = job
        self._command = command = store.complete(job, command)
        self._source = store.read_source(job, command)
        children, earlier = job.children(), job.earlier_children()
        self._results = {child.id: child.result or {} for child in [*earlier, *children]}
        self._trials = child_trials.read_trials(children, earlier=earlier)
        self._plan = self._resolve_plan(children, earlier)
        until = self._plan.until
        self._is_late = until is not None and time.time() > until
        self._turn = next_trials.plan_turn(command, self._trials, rungs=self._plan.rungs, is_late=self._is_late)

    def take_turn(self) -> Finish:
        """Start the next trials and rest; or, when all trials have ended, store the best as the next version."""
        summary = self._summarize([*self._trials, *self._turn.to_start])
        shown = summary.model_copy(update={"leaderboard": summary.leaderboard[:_SHOWN_ROWS]}).model_dump(mode="json")
        planned, ended = summary.trials.planned, sum(trial.has_ended for trial in self._trials)
        self._job.progress(0.95 * ended / planned, f"{ended} of {planned} trials have ended")
        if self._turn.is_over:
            # What was shown before the last trial ended would contradict the result.
            self._job.show(shown)
            return self._finish()
        commands = [search_plan.make_trial_command(self._command, trial, self._plan) for trial in self._turn.to_start]
        return Rest(
            spawn=[Spawn(TRIAL, command, self._job.pinned) for command in commands],
            interim=shown,
        )

    def _resolve_plan(
        self, children: Sequence[offspring.Child], earlier: Sequence[offspring.Child]
    ) -> search_plan.SearchPlan:
        """Read the plan from a trial's parameters or, when there are none yet, make it from the data."""
        recipe = self._source.recipe
        if children:
            return search_plan.from_params(children[0].params, recipe=recipe)
        plan = search_plan.from_params(earlier[0].params, recipe=recipe) if earlier else self._plan_from_data()
        seconds = self._command.search_settings.max_seconds
        return dataclasses.replace(plan, until=None if seconds is None else time.time() + seconds)

    def _plan_from_data(self) -> search_plan.SearchPlan:
        experiment = self._make_experiment(self._command.candidates[0])
        table = tables.read_table(self._job.fetch(self._source.data), experiment=experiment)
        plan = search_plan.make_plan(self._command, experiment, table)
        # The rows are in memory already, so they are written to the host's cache at once, for the trials to map.
        experiment = dataclasses.replace(experiment, recipe=plan.recipe)
        rows.open_rows(lambda: table, sha256=self._source.data.sha256, experiment=experiment, cached=self._job.cached)
        return plan

    def _make_experiment(self, estimator: Estimator) -> Experiment:
        return Experiment(self._command, self._source.columns, estimator, self._source.recipe)

    def _summarize(self, trials: Sequence[Trial]) -> SearchSummary:
        # A trial that is restarted is in the list twice; its current state comes last.
        latest = {trial.number: trial for trial in trials}
        return leaderboard.summarize(
            [*latest.values()],
            metric=self._command.metric,
            greater_is_better=self._greater_is_better,
            planned=self._turn.planned,
        )

    @property
    def _greater_is_better(self) -> bool:
        return scoring.greater_is_better(self._command.metric, problem=self._command.problem)

    def _require_best(self) -> Trial:
        best = leaderboard.find_best(self._trials, greater_is_better=self._greater_is_better)
        if best is not None:
            return best
        failed = [trial for trial in self._trials if trial.state == "failed"]
        if failed:
            raise errors.BadModelError(
                f"none of {len(self._trials)} trials finished; trial {failed[0].number}: {failed[0].error}"
            )
        raise errors.LimitExceededError(
            f"no trial finished within {self._command.search_settings.max_seconds:g} s; give a greater `max_seconds` "
            "or fewer folds",
            pointer="#/params/search/max_seconds",
        )

    def _finish(self) -> Write:
        """Fit the best on all rows, as training.fit would with the same parameters."""
        best = self._require_best()
        estimator = self._command.candidates[best.candidate].to_estimator(best.params)
        experiment = dataclasses.replace(self._make_experiment(estimator), recipe=self._plan.recipe)
        threads = numeric_threads.count(self._job.config)
        artifact = self._job.output("model.skops")
        with libraries.limit_threads(threads) as caught:
            prepared = fit.prepare(map_rows(self._job, self._source, experiment), experiment)
            inferred = compiling.InferredRecipe(self._plan.recipe, dropped=self._plan.dropped)
            prepared = dataclasses.replace(prepared, inferred=inferred)
            leak_warnings = fit.find_leaks(prepared, experiment)
            trained = fit.finalize(
                prepared,
                experiment,
                validated=self._load_validation(best, prepared, experiment, threads=threads),
                artifact_path=artifact.path,
                threads=threads,
                report=subrange(self._job.progress, 0.95, 1.0),
            )
        all_warnings = [*leak_warnings, *self._results[best.job].get("warnings", []), *caught]
        summary = self._summarize(self._trials)
        notes = [*trained.notes, *self._describe_lost_trials(summary.trials)]
        trained = dataclasses.replace(trained, warnings=[*dict.fromkeys(all_warnings)], notes=notes)

        def write(connection: sa.Connection) -> SearchedModel:
            fields = store.add_model(
                connection, self._job, self._command, trained, key=artifact.key, lineage=self._source.lineage
            )
            return SearchedModel(**fields, best=summary.leaderboard[0], search=summary)

        return write

    def _describe_lost_trials(self, counts: TrialCounts) -> list[str]:
        seconds = self._command.search_settings.max_seconds
        return leaderboard.describe_lost_trials(counts, max_seconds=seconds) if seconds and self._is_late else []

    def _load_validation(
        self, best: Trial, prepared: fit.Prepared, experiment: Experiment, *, threads: int
    ) -> validation.Validated:
        """Load the best trial's validation from this host's cache, or validate again when the host lacks it."""
        if best.resource is not None and self._command.by_rows and best.resource < len(prepared.table.frame):
            # A rung with few rows only ranks the trials; the version's metrics are those on all rows.
            return fit.validate(prepared, experiment, threads=threads)

        def make(folder: Path) -> None:
            validated = fit.validate(prepared, experiment, threads=threads)
            mapped.write_arrays(trial_run.to_arrays(validated), folder)

        folder = self._job.cached(name_predictions(best.job), make)
        result = TrialResult.model_validate(self._results[best.job])
        return trial_run.from_arrays(mapped.read_arrays(folder), result=result)
