"""A version that is evaluated on its own rows is named, one that is not or of which nothing is known isn't."""

from typing import Any

from shared import contract
from workers.evaluation import origins

DATA = contract.DatasetPin(name="again", version=1, key="k", sha256="aa", rows=1, bytes=1, columns=[])
FITTED = {"dataset": "telco@1", "dataset_sha256": "aa"}


def pin(version: int, **more: Any) -> contract.ModelPin:
    """Build a model's pin."""
    return contract.ModelPin(
        name="churn",
        version=version,
        key="k",
        sha256="bb",
        problem="classification",
        target="t",
        signature={},
        **more,
    )


def test_each_version_is_named_once() -> None:
    told = origins.list_warnings(DATA, [pin(1, lineage=FITTED), pin(2, lineage=FITTED), pin(1, lineage=FITTED)])
    assert [warning.partition(":")[0] for warning in told] == [
        "these are the rows that churn@1 was fitted on, as telco@1",
        "these are the rows that churn@2 was fitted on, as telco@1",
    ]


def test_other_rows_and_a_pin_of_an_older_release_are_no_reason_to_warn() -> None:
    assert origins.list_warnings(DATA, [pin(1, lineage={**FITTED, "dataset_sha256": "cc"}), pin(2)]) == []


def test_a_model_from_an_archive_is_known_by_the_lineage_that_it_had_there() -> None:
    assert len(origins.list_warnings(DATA, [pin(1, lineage={"source": {"type": "archive"}, "original": FITTED})])) == 1


def test_what_a_model_had_learned_from_before_it_was_updated_counts_too() -> None:
    updated = {"dataset": "new@3", "dataset_sha256": "cc", "earlier": [FITTED, {**FITTED, "dataset_sha256": "dd"}]}
    told = origins.list_warnings(DATA, [pin(2, lineage=updated), pin(3, lineage={"original": updated})])
    assert [warning.partition(":")[0] for warning in told] == [
        "these are the rows that churn@2 was fitted on, as telco@1",
        "these are the rows that churn@3 was fitted on, as telco@1",
    ]
