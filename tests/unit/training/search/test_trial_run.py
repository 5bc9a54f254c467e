"""One trial: the values of scikit-learn's cross_val_score, and its early ends."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import base, model_selection

from shared import errors
from shared.ml import frames
from shared.training.search.commands import SearchModel
from shared.training.search.methods import Pruning
from shared.training.search.results import TrialResult
from tests.unit.training.search import commands
from tests.unit.training.tables import small
from workers.training import fit, tables, validation
from workers.training.experiment import Experiment
from workers.training.search import mapped, rows, search_plan, trial_run
from workers.training.search.leaderboard import Trial

pytestmark = pytest.mark.slow

FOLDS = 4


def asked(**given: Any) -> SearchModel:
    usual = {"target": "sold", "validation": {"method": "cross_validation", "folds": FOLDS, "seed": 1}}
    return commands.command(**usual | given)


class Bench:
    """A small table, with a search over it."""

    def __init__(self, folder: Path, command: SearchModel) -> None:
        self.path = folder / "dataset.parquet"
        small().drop(columns=["big", "stars", "amount"]).to_parquet(self.path)
        self.command = command
        self.columns = frames.read_columns(self.path)
        self.first = self.experiment(command.candidates[0], recipe=command.recipe)
        self.table = tables.read_table(self.path, experiment=self.first)
        self.plan = search_plan.make_plan(command, self.first, self.table)
        self.shown: list[list[float]] = []

    def experiment(self, estimator: Any, *, recipe: Any) -> Experiment:
        return Experiment(self.command, self.columns, estimator, recipe)

    def run(
        self, params: dict[str, Any], *, others: Sequence[Trial] = (), clock: float = 0.0, **given: Any
    ) -> trial_run.TrialOutcome:
        wanted = Trial(3, 0, self.command.candidates[0].name, params)
        command = search_plan.make_trial_command(self.command, wanted, self.plan).model_copy(update=given)
        experiment = self.experiment(command.estimator, recipe=command.recipe)
        context = trial_run.TrialContext(self.shown.append, lambda: others, lambda: clock)
        table = self.table.select(rows.list_used_columns(experiment))
        return trial_run.run(table, experiment=experiment, command=command, threads=1, context=context)


@pytest.mark.parametrize(
    "estimator",
    [
        {"name": "LogisticRegression"},
        {"name": "RandomForestClassifier", "params": {"n_estimators": 10}},
        {"name": "HistGradientBoostingClassifier", "params": {"max_iter": 10, "early_stopping": False}},
    ],
)
def test_a_trials_values_are_those_of_cross_val_score(tmp_path: Path, estimator: dict[str, Any]) -> None:
    bench = Bench(tmp_path, asked(estimator=estimator, search={}))
    params = bench.command.candidates[0].params
    outcome = bench.run(params)
    experiment = bench.experiment(bench.command.candidates[0].to_estimator(params), recipe=bench.plan.recipe)
    model = fit.prepare(bench.table, experiment).model
    direct = model_selection.cross_val_score(
        base.clone(model),
        bench.table.frame,
        bench.table.values,
        cv=model_selection.StratifiedKFold(FOLDS, shuffle=True, random_state=1),
        scoring="roc_auc",
    )
    np.testing.assert_allclose(np.array(outcome.result.metrics["roc_auc"], dtype=float), direct, rtol=0, atol=1e-12)
    assert outcome.result.state == "finished"


def test_a_trial_shows_its_folds_as_they_come(tmp_path: Path) -> None:
    bench = Bench(tmp_path, asked())
    outcome = bench.run({"C": 1.0})
    folds = outcome.result.metrics["roc_auc"]
    assert bench.shown == [folds[:1], folds[:2], folds[:3]]


def test_a_poor_trial_ends_early_with_what_it_has(tmp_path: Path) -> None:
    bench = Bench(tmp_path, asked())
    good = [commands.ended(Trial(number, 0, "x", {}), folds=(0.999,) * FOLDS) for number in range(3)]
    outcome = bench.run({"C": 1.0}, others=good, pruning=Pruning(startup_trials=2, warmup_folds=2))
    assert (outcome.result.state, outcome.validated, len(outcome.result.metrics["roc_auc"])) == ("pruned", None, 3)


def test_a_trial_ends_between_folds_when_the_time_is_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path, asked())
    outcome = bench.run({"C": 1.0}, clock=11.0, until=10.0)
    assert (outcome.result.state, len(outcome.result.metrics["roc_auc"])) == ("out_of_time", 1)
    assert bench.run({"C": 1.0}, clock=9.0, until=10.0).result.state == "finished"
    assert bench.run({"C": 1.0}, clock=11.0, until=10.0, trial=0).result.state == "finished"


def test_a_rung_has_so_many_rows(tmp_path: Path) -> None:
    bench = Bench(tmp_path, asked())
    outcome = bench.run({"C": 1.0}, rungs=[40, 120], rung=0, by_rows=True)
    assert outcome.validated is not None
    assert len(outcome.validated.rows) == 40
    assert len(np.unique(outcome.validated.rows)) == 40


def test_a_metric_that_is_undefined_fails_the_trial(tmp_path: Path) -> None:
    bench = Bench(tmp_path, asked())
    with pytest.raises(errors.BadModelError, match="f1_weighted is not defined on fold 1; these are: accuracy"):
        bench.run({"C": 1.0}, metric="f1_weighted")


def test_a_fold_on_which_another_metric_is_undefined_is_told_of(tmp_path: Path) -> None:
    bench = Bench(tmp_path, asked())
    given = [validation.FoldScores({"roc_auc": 0.7, "recall": 0.5}, {}, [])]
    given += [validation.FoldScores({"roc_auc": 0.9}, {"recall": "no row is of class 'yes'"}, [])]
    summary = validation.summarize(given)
    result = bench.run({"C": 1.0}).result.model_copy(
        update={
            "metrics": {name: metric.folds for name, metric in summary.items()},
            "undefined": {name: metric.undefined for name, metric in summary.items()},
        }
    )
    arrays = {"rows": np.arange(2), "prediction": np.arange(2)}
    again = trial_run.from_arrays(arrays, result=TrialResult.model_validate(result.model_dump(mode="json")))
    assert again.metrics == summary
    assert again.metrics["recall"].folds == [0.5, None]


def test_what_the_host_keeps_of_a_trial_comes_back(tmp_path: Path) -> None:
    outcome = Bench(tmp_path, asked()).run({"C": 1.0})
    assert outcome.validated is not None
    mapped.write_arrays(trial_run.to_arrays(outcome.validated), tmp_path / "kept")
    again = trial_run.from_arrays(mapped.read_arrays(tmp_path / "kept"), result=outcome.result)
    assert again.metrics == outcome.validated.metrics
    np.testing.assert_array_equal(again.rows, outcome.validated.rows)
    for field in dataclasses.fields(again.predicted):
        np.testing.assert_array_equal(
            getattr(again.predicted, field.name), getattr(outcome.validated.predicted, field.name)
        )


def test_rows_are_read_once_and_have_the_recipes_columns_only(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        asked(recipe={"steps": [{"op": "drop", "columns": ["colour"]}, {"op": "impute", "columns": ["size"]}]}),
    )
    experiment = bench.experiment(bench.command.candidates[0], recipe=bench.plan.recipe)
    made: list[str] = []

    def keep(name: str, make: Any) -> Path:
        if not (tmp_path / name).exists():
            made.append(name)
            make(tmp_path / name)
        return tmp_path / name

    for _ in range(2):
        read = rows.open_rows(lambda: bench.table, sha256="a", experiment=experiment, cached=keep)
        assert [*read.frame.columns] == ["size"]
    assert len(made) == 1
    rows.open_rows(lambda: bench.table, sha256="b", experiment=experiment, cached=keep)
    other = dataclasses.replace(experiment, setup=experiment.setup.model_copy(update={"problem": "multilabel"}))
    assert rows.name_rows("a", other) != rows.name_rows("a", experiment)
    assert len(made) == 2
