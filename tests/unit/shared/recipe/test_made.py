"""The names that a polynomial step makes are those that scikit-learn gives."""

import itertools

import numpy as np
import pytest

from shared.ml.recipes import builders
from shared.recipe.numbers import Polynomial

CASES = [*itertools.product([1, 2, 3, 5], [2, 3, 4], [False, True])]


@pytest.mark.parametrize(("columns", "degree", "interaction_only"), CASES)
def test_products_are_named_as_scikit_learn_names_them(columns: int, degree: int, interaction_only: bool) -> None:
    names = ["b", "a", "a b", "x^2", "größe"][:columns]
    step = Polynomial(op="polynomial", columns=names, degree=degree, interaction_only=interaction_only)
    [transformer] = builders.build(step, [])
    fitted = transformer.fit(np.zeros((1, columns)))
    assert step.name_products(names) == [*fitted.get_feature_names_out(names)]
