"""Jobs of earlier releases are tagged with the names that they may make a version of, as new ones are."""

from typing import Any

import pytest

from api.intake import dataset_names
from migrations import references
from shared.jobs import references as job_references

EXPECTATION: dict[str, Any] = {"type": "not_null", "column": "a"}
LOAD: dict[str, Any] = {"name": "telco", "source": {"type": "url", "url": "https://example.org/telco.csv"}}
LEARNING: dict[str, Any] = {"problem": "classification", "estimator": {"name": "DummyClassifier"}}
RECIPE: dict[str, Any] = {"steps": [{"op": "drop", "columns": ["a"]}]}


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("ingestion.load", LOAD),
        ("ingestion.load", {**LOAD, "expectations": [EXPECTATION]}),
        ("ingestion.load", {**LOAD, "expectations": [EXPECTATION, {**EXPECTATION, "on_failure": "quarantine"}]}),
        ("processing.fit", {"name": "telco", "dataset": "telco@1", "recipe": RECIPE}),
        ("processing.apply", {"features": "telco@1", "dataset": "telco@2"}),
        ("processing.apply", {"features": "telco@1", "dataset": "telco@2", "name": "ready"}),
        ("prediction.batch", {"model": "churn@champion", "dataset": "telco@2"}),
        ("prediction.batch", {"model": "churn@champion", "dataset": "telco@2", "name": "guesses"}),
        ("training.fit", {"name": "churn", "dataset": "telco@2", "target": "left", **LEARNING}),
        ("evaluation.score", {"model": "churn@1", "dataset": "telco@2"}),
    ],
)
def test_the_names_that_a_job_may_make_are_those_of_its_command(kind: str, params: dict[str, Any]) -> None:
    command = dataset_names.command_of(kind, params)
    assert command is not None
    made = {job_references.DATASET: command.datasets, job_references.MODEL: command.models}
    for stored in (params, command.model_dump(mode="json")):
        assert references._list_tags(kind, stored, {}) == job_references.list_tags({}, made)
