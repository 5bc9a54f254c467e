"""Each group of rows is scored by itself, and the worst is named."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors
from shared.evaluation import contract
from tests.unit.evaluation import rows
from workers.evaluation import scored_rows, slices


def sliced(
    folder: Path,
    model: scored_rows.ScoredRows,
    values: pa.Array,
    *,
    has_truth: np.ndarray | None = None,
    least_rows: int = 10,
    metric: str = "accuracy",
) -> contract.Slice:
    """Slice a model by one column."""
    path = folder / "d.parquet"
    parquet.write_table(pa.table({"c": values}), path)
    [found] = slices.slice_rows(
        model,
        path,
        has_truth=np.ones(len(values), dtype=bool) if has_truth is None else has_truth,
        columns=["c"],
        metric=metric,
        greater_is_better=True,
        least_rows=least_rows,
    )
    return found


def test_groups_have_the_metrics_of_their_rows_and_the_worst_is_named(tmp_path: Path) -> None:
    model = rows.labelled([1] * 60, [1] * 20 + [1] * 10 + [0] * 10 + [0] * 20)
    found = sliced(tmp_path, model, pa.array(["a"] * 20 + ["b"] * 20 + [None] * 20))
    assert {group.value: (group.rows, group.metrics["accuracy"]) for group in found.groups} == {
        "a": (20, 1.0),
        "b": (20, 0.5),
        None: (20, 0.0),
    }
    assert (found.worst, found.gap) == (None, 1.0)


def test_small_groups_are_shown_and_not_judged(tmp_path: Path) -> None:
    model = rows.labelled([1] * 30, [1] * 25 + [0] * 5)
    found = sliced(tmp_path, model, pa.array(["a"] * 25 + ["b"] * 5))
    assert [group.value for group in found.groups] == ["a", "b"]
    assert (found.worst, found.gap, found.fairness) == ("a", None, None)
    [told] = slices.list_warnings([found], least_rows=10)
    assert told == "column 'c' has 1 groups of 10 rows or more; comparing groups needs at least two"


def test_two_groups_with_rows_enough_are_not_warned_of(tmp_path: Path) -> None:
    found = sliced(tmp_path, rows.labelled([1] * 30, [1] * 30), pa.array(["a"] * 20 + ["b"] * 10))
    assert (found.gap, slices.list_warnings([found], least_rows=10)) == (0.0, [])


def test_a_gap_is_undefined_when_a_group_with_rows_enough_has_no_value(tmp_path: Path) -> None:
    model = rows.classified(rows=90)
    assert model.truth is not None
    group = np.where(model.truth == "yes", "only yes", "mixed")
    group[:20] = "mixed"
    found = sliced(tmp_path, model, pa.array(group), metric="roc_auc")
    assert sorted("roc_auc" in one.metrics for one in found.groups) == [False, True]
    assert (found.worst, found.gap) == ("mixed", None)


def test_only_rows_with_a_truth_are_in_a_group(tmp_path: Path) -> None:
    has_truth = np.array([True, False] * 20)
    found = sliced(tmp_path, rows.labelled([1] * 20, [1] * 20), pa.array(["a"] * 40), has_truth=has_truth)
    assert [(group.value, group.rows) for group in found.groups] == [("a", 20)]


def test_many_numbers_are_cut_at_their_quartiles_and_few_are_not(tmp_path: Path) -> None:
    model = rows.labelled([0, 1] * 50, [0, 1] * 50)
    assert [group.rows for group in sliced(tmp_path, model, pa.array(np.arange(100.0))).groups] == [25] * 4
    few = sliced(tmp_path, model, pa.array([1, 2] * 50))
    assert sorted(str(group.value) for group in few.groups) == ["1", "2"]


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        ([0.0] * 320 + list(range(1, 81)), {"0": 320, "(0, 80]": 80}),
        ([*range(-80, 0), *[0] * 240, *range(1, 81)], {"[-80, 0)": 80, "0": 240, "(0, 80]": 80}),
        ([*range(80), *[99] * 320], {"[0, 99)": 80, "99": 320}),
        (
            [0.0] * 120 + [*range(1, 261)] + [None] * 20,
            {"0": 120, "(0, 70]": 70, "(70, 165]": 95, "(165, 260]": 95, None: 20},
        ),
        (list(range(400)), {"[0, 99]": 100, "(99, 199]": 100, "(199, 299]": 100, "(299, 399]": 100}),
    ],
    ids=["least", "middle", "greatest", "not twice a quartile", "spread"],
)
def test_a_value_that_fills_quartiles_is_a_group_of_its_own(
    values: list[float], groups: dict[str, int], tmp_path: Path
) -> None:
    model = rows.labelled([0, 1] * 200, [0, 1] * 200)
    found = sliced(tmp_path, model, pa.array(values, type=pa.float64()))
    assert {group.value: group.rows for group in found.groups} == groups


def test_a_model_that_fails_where_a_number_is_not_zero_is_seen(tmp_path: Path) -> None:
    model = rows.labelled([0, 1] * 200, [0, 1] * 160 + [1, 0] * 40)
    found = sliced(tmp_path, model, pa.array([0.0] * 320 + list(range(1, 81))))
    assert (found.worst, found.gap) == ("(0, 80]", 1.0)


def test_many_moments_are_cut_at_their_quartiles(tmp_path: Path) -> None:
    moments = pa.array([*range(100), *[200] * 300], type=pa.timestamp("s", tz="UTC"))
    found = sliced(tmp_path, rows.labelled([0, 1] * 200, [0, 1] * 200), moments)
    assert {group.value: group.rows for group in found.groups} == {
        "[1970-01-01 00:00:00+00:00, 1970-01-01 00:01:39+00:00]": 100,
        "1970-01-01 00:03:20+00:00": 300,
    }


def test_booleans_are_called_true_and_false(tmp_path: Path) -> None:
    found = sliced(tmp_path, rows.labelled([1] * 40, [1] * 40), pa.array([True] * 20 + [False] * 15 + [None] * 5))
    assert [group.value for group in found.groups] == ["true", "false", None]


def test_text_with_too_many_values_is_refused(tmp_path: Path) -> None:
    model = rows.labelled([1] * 60, [1] * 60)
    with pytest.raises(errors.BadDataError, match="60 different values; at most 50"):
        sliced(tmp_path, model, pa.array([f"v{number}" for number in range(60)]))


def test_fairness_gaps_are_greatest_less_least_rate(tmp_path: Path) -> None:
    truth = [1] * 10 + [0] * 10 + [1] * 10 + [0] * 10
    said = [1] * 9 + [0] * 1 + [1] * 2 + [0] * 8 + [1] * 6 + [0] * 4 + [1] * 1 + [0] * 9
    found = sliced(tmp_path, rows.labelled(truth, said), pa.array(["a"] * 20 + ["b"] * 20)).fairness
    assert found is not None
    assert found.demographic_parity_difference == pytest.approx(11 / 20 - 7 / 20)
    assert found.true_positive_rate_difference == pytest.approx(0.9 - 0.6)
    assert found.false_positive_rate_difference == pytest.approx(0.2 - 0.1)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    parquet.write_table(pa.table({"region": ["a"]}), path)
    with pytest.raises(errors.BadDataError, match="did you mean 'region'"):
        slices.slice_rows(
            rows.labelled([1], [1]),
            path,
            has_truth=np.ones(1, dtype=bool),
            columns=["regoin"],
            metric="accuracy",
            greater_is_better=True,
            least_rows=1,
        )


def test_identifiers_that_float64_would_merge_are_groups_of_their_own(tmp_path: Path) -> None:
    model = rows.labelled([1] * 60, [1] * 30 + [0] * 30)
    ids = [2**60 + 1] * 30 + [2**60 + 2] * 20 + [None] * 10
    found = sliced(tmp_path, model, pa.array(ids, type=pa.int64()))
    assert {group.value: (group.rows, group.metrics["accuracy"]) for group in found.groups} == {
        str(2**60 + 1): (30, 1.0),
        str(2**60 + 2): (20, 0.0),
        None: (10, 0.0),
    }


def test_many_identifiers_are_split_by_exact_quartiles(tmp_path: Path) -> None:
    model = rows.labelled([1] * 101, [1] * 26 + [0] * 75)
    ids = np.array([2**62 + number for number in range(101)])
    found = sliced(tmp_path, model, pa.array(ids[np.random.default_rng(0).permutation(101)]))
    edges = [2**62 + number for number in (0, 25, 50, 75, 100)]
    assert {group.value: group.rows for group in found.groups} == {
        f"[{edges[0]}, {edges[1]}]": 26,
        f"({edges[1]}, {edges[2]}]": 25,
        f"({edges[2]}, {edges[3]}]": 25,
        f"({edges[3]}, {edges[4]}]": 25,
    }


def test_groups_count_their_rows_by_weight_and_those_that_count_nothing_have_no_metric(tmp_path: Path) -> None:
    model = rows.labelled([1] * 20 + [0] * 20, [1] * 10 + [0] * 10 + [0] * 5 + [1] * 15)
    weights = np.array([3.0] * 10 + [1.0] * 10 + [0.0] * 20)
    weighted = dataclasses.replace(model, weights=weights)
    values = pa.array(["a"] * 20 + ["b"] * 20)
    found = sliced(tmp_path, weighted, values)
    assert {group.value: (group.rows, group.metrics.get("accuracy")) for group in found.groups} == {
        "a": (20, 0.75),
        "b": (20, None),
    }
    assert found.gap is None
    assert found.fairness is not None
    assert found.fairness.demographic_parity_difference == 0
    both = sliced(tmp_path, dataclasses.replace(model, weights=np.where(weights == 0, 2.0, weights)), values)
    assert both.fairness is not None
    assert both.fairness.demographic_parity_difference == pytest.approx(0)
    assert both.fairness.true_positive_rate_difference is None
