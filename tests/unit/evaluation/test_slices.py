"""Each group of rows is scored by itself, and the worst is named."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors
from shared.evaluation import contract
from tests.unit.evaluation import rows
from workers.evaluation import scored, slices


def sliced(
    folder: Path, model: scored.Scored, values: pa.Array, *, known: np.ndarray | None = None, least_rows: int = 10
) -> contract.Slice:
    """Slice a model by one column."""
    path = folder / "d.parquet"
    parquet.write_table(pa.table({"c": values}), path)
    [found] = slices.slice_rows(
        model,
        path,
        known=np.ones(len(values), dtype=bool) if known is None else known,
        columns=["c"],
        metric="accuracy",
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
    assert (found.worst, found.gap) == ("None", 1.0)


def test_small_groups_are_shown_and_not_judged(tmp_path: Path) -> None:
    model = rows.labelled([1] * 30, [1] * 25 + [0] * 5)
    found = sliced(tmp_path, model, pa.array(["a"] * 25 + ["b"] * 5))
    assert [group.value for group in found.groups] == ["a", "b"]
    assert (found.worst, found.gap, found.fairness) == ("a", 0.0, None)


def test_only_rows_with_a_truth_are_in_a_group(tmp_path: Path) -> None:
    known = np.array([True, False] * 20)
    found = sliced(tmp_path, rows.labelled([1] * 20, [1] * 20), pa.array(["a"] * 40), known=known)
    assert [(group.value, group.rows) for group in found.groups] == [("a", 20)]


def test_many_numbers_are_cut_at_their_quartiles_and_few_are_not(tmp_path: Path) -> None:
    model = rows.labelled([0, 1] * 50, [0, 1] * 50)
    assert [group.rows for group in sliced(tmp_path, model, pa.array(np.arange(100.0))).groups] == [25] * 4
    few = sliced(tmp_path, model, pa.array([1, 2] * 50))
    assert sorted(str(group.value) for group in few.groups) == ["1", "2"]


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
            known=np.ones(1, dtype=bool),
            columns=["regoin"],
            metric="accuracy",
            greater_is_better=True,
            least_rows=1,
        )
