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


def test_rows_that_a_condition_chose_are_among_those_of_the_training() -> None:
    under = {**FITTED, "where": {"expression": "age > 3", "rows": 4, "dataset_rows": 9}}
    [same] = origins.list_warnings(DATA, [pin(1, lineage=under)], where="age > 3")
    assert same.startswith("these are among the rows that churn@1 was fitted on, as telco@1:")
    [other] = origins.list_warnings(DATA, [pin(1, lineage=under)])
    assert other.startswith("among these may be rows that churn@1 was fitted on, as telco@1 where age > 3:")


def test_a_condition_of_the_training_is_not_applied_and_said() -> None:
    under = {"where": {"expression": "age > 3", "rows": 4, "dataset_rows": 9}}
    imported = {"source": {"type": "archive"}, "original": under}
    told = origins.list_conditions([pin(1, lineage=under), pin(2, lineage=imported), pin(3)], where=None)
    assert [warning.partition(",")[0] for warning in told] == [
        "churn@1 was trained on rows where age > 3",
        "churn@2 was trained on rows where age > 3",
    ]
    assert origins.list_conditions([pin(1, lineage=under)], where="age > 3") == []


def test_the_value_that_a_model_was_trained_for_belongs_to_its_condition() -> None:
    north = {"per": {"column": "region", "value": "north"}}
    both = north | {"where": {"expression": "a > 3 or b > 3", "rows": 4, "dataset_rows": 9}}
    [told] = origins.list_conditions([pin(1, lineage=north)], where="a > 3")
    assert told.startswith("churn@1 was trained on rows where region == 'north', but those where a > 3 are scored")
    assert origins.list_conditions([pin(1, lineage=north)], where='region=="north"') == []
    same = '(a > 3 or b > 3) and region == "north"'
    assert origins.list_conditions([pin(1, lineage=both)], where=same) == []
    assert len(origins.list_conditions([pin(1, lineage=both)], where="a > 3 or b > 3")) == 1
    odd = {"per": {"column": "home town", "value": "O\"'slo\n"}}
    assert len(origins.list_conditions([pin(1, lineage=odd)], where="a > 3")) == 1
