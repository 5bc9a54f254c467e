"""What a parameter takes by its name covers all that any allowed estimator of scikit-learn takes."""

import importlib
import numbers
from typing import Any

import pytest
from sklearn.utils import _param_validation as rules

from shared.training import parameters
from shared.training.estimators import allow_list

OURS = sorted(name for name, spec in allow_list.specs().items() if spec.path.startswith("sklearn."))
EXAMPLES: list[tuple[Any, Any]] = [
    ("boolean", True),
    ("array-like", [1.0]),
    ("random_state", 7),
    ("cv_object", 3),
    (None, None),
    (dict, {"a": 1.0}),
    (list, [1]),
    (tuple, [1]),
]


def accepted(rule: Any) -> list[Any]:
    """List values that one of scikit-learn's rules accepts, as JSON has them."""
    if isinstance(rule, rules.StrOptions):
        return sorted(rule.options - rule.deprecated - {"precomputed", "prefit"})
    if isinstance(rule, rules.Interval):
        return [1] if rule.type is numbers.Integral else [1, 0.5]
    return [value for known, value in EXAMPLES if type(rule) is type(known) and rule == known]


@pytest.mark.parametrize("name", OURS)
def test_nothing_that_scikit_learn_takes_is_refused_by_its_type(name: str) -> None:
    spec = allow_list.specs()[name]
    known = getattr(importlib.import_module(spec.path), name)._parameter_constraints
    # Those that have choices of their own take fewer words than scikit-learn.
    pairs = [
        (parameter, value)
        for parameter in (spec.parameters & known.keys()) - spec.choices.keys()
        for rule in known[parameter]
        for value in accepted(rule)
    ]
    for parameter, value in pairs:
        parameters.check(parameter, value)
    assert pairs or not spec.parameters


def test_every_parameter_that_is_listed_is_one_of_an_estimator() -> None:
    taken = {parameter for name in OURS for parameter in allow_list.specs()[name].parameters}
    assert set(parameters.TYPES_OF) <= taken
    assert set(parameters.TEXT_VALUES_OF) <= set(parameters.TYPES_OF)
    assert taken <= set(parameters.TYPES_OF)


@pytest.mark.parametrize(
    ("parameter", "value", "told"),
    [
        ("max_iter", "many", "`max_iter` is 'many'; use a whole number or null"),
        ("max_iter", 10.5, "`max_iter` is 10.5; use a whole number"),
        ("max_iter", True, "`max_iter` is true; use a whole number"),
        ("C", None, "`C` is null; use a number"),
        ("C", [1.0], r"`C` is \[1.0\]; use a number"),
        ("fit_intercept", 1, "`fit_intercept` is 1; use true or false"),
        ("class_weight", 3, "`class_weight` is 3; use a text or a list or an object or null"),
        ("penalty", "l3", "`penalty` is 'l3'; use one of elasticnet, l1, l2"),
        ("n_estimators", {"a": 10**5000}, "`n_estimators` is an object; use a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_helps(parameter: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parameters.check(parameter, value)


def test_a_parameter_that_nobody_listed_takes_anything() -> None:
    parameters.check("of_a_plugin", object())
