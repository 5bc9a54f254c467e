"""Columns are shared out among threads, and nobody can tell from what comes back."""

import concurrent.futures
import itertools

import pytest

from workers.ingestion import column_threads


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("columns", [0, 1, 5, 12])
def test_results_come_in_the_order_of_the_columns(count: int, columns: int) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        made = column_threads.ColumnThreads(pool, count=count).map(
            lambda column, row: (column, row), range(columns), itertools.repeat(7)
        )
    assert made == [(column, 7) for column in range(columns)]


def test_the_error_of_the_first_column_is_raised() -> None:
    def refuse(column: int) -> None:
        if column in (2, 5):
            raise ValueError(f"column {column}")

    with concurrent.futures.ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="column 2"):
        column_threads.ColumnThreads(pool, count=2).map(refuse, range(6))
