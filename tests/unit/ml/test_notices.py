"""Warnings of libraries become sentences, each once."""

import warnings

from sklearn import exceptions

from shared.ml import notices


def test_warnings_that_differ_in_numbers_only_are_one_notice_with_a_count() -> None:
    with notices.collect() as noticed:
        warnings.warn("gap: 1.5e-3\n\nRead more.", exceptions.ConvergenceWarning, stacklevel=1)
        warnings.warn("gap: 27", exceptions.ConvergenceWarning, stacklevel=1)
    assert noticed == ["ConvergenceWarning: gap: 1.5e-3 (2 times)"]


def test_what_speaks_to_programmers_or_is_expected_is_no_notice() -> None:
    with notices.collect() as noticed:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        warnings.warn("soon", FutureWarning, stacklevel=1)
        warnings.warn("Found unknown categories in columns [0]", UserWarning, stacklevel=1)
    assert noticed == []
