"""What a command for training refuses before it becomes a job, each with what helps."""

from typing import Any

import pydantic
import pytest

from shared.training.contract import TrainModel

BASE: dict[str, Any] = {
    "name": "m",
    "dataset": "d@1",
    "target": "y",
    "problem": "classification",
    "estimator": {"name": "LogisticRegression"},
}
RIDGE = {"problem": "regression", "estimator": {"name": "Ridge"}}
BOOSTING = {"name": "HistGradientBoostingRegressor"}
CROSS = {"method": "cross_validation"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"target": None}, "classification needs a `target`"),
        ({"targets": ["a", "b"]}, "`targets` and `separator` are for multilabel"),
        ({"separator": ","}, "`targets` and `separator` are for multilabel"),
        ({"problem": "multilabel", "targets": ["a", "b"]}, "either `targets`, 0/1 columns, or `target`"),
        ({"problem": "multilabel", "target": None}, "either `targets`, 0/1 columns, or `target`"),
        ({"problem": "multilabel", "target": None, "targets": ["a", "a"]}, "column 'a' is named twice"),
        (
            {"problem": "multilabel", "target": None, "targets": ["a", "b"], "separator": ","},
            "`separator` goes with `target`",
        ),
        ({"problem": "clustering", "estimator": {"name": "KMeans"}}, "clustering learns without a target"),
        ({"problem": "anomaly"}, "LogisticRegression doesn't support anomaly; these do: EllipticEnvelope"),
        ({"sample_weight": "y"}, "column 'y' is named twice"),
        ({"validation": CROSS | {"group": "y"}}, "column 'y' is named twice"),
        ({"validation": CROSS | {"group": "g", "repeats": 2}}, "`repeats` can't be combined with `group`"),
        ({"validation": CROSS | {"folds": 50, "repeats": 3}}, "150 fits; at most 100"),
        (
            {"validation": {"method": "hold_out", "group": "g", "stratified": True}},
            "`stratified` can't be combined with `group`",
        ),
        ({"validation": {"method": "time_series"}}, "time"),
        (RIDGE | {"validation": CROSS | {"stratified": True}}, "`stratified` needs classes"),
        (RIDGE | {"class_weight": "balanced"}, "`class_weight` is for classification"),
        (RIDGE | {"quantiles": [0.5]}, "`quantiles` is for quantile"),
        (RIDGE | {"threshold": {"value": 0.5}}, "`threshold` is for classification"),
        ({"conformal": {}}, "`conformal` is for regression or quantile"),
        ({"class_weight": {"yes": -1}}, "greater than or equal to 0"),
        (
            {"class_weight": "balanced", "estimator": {"name": "SVC", "params": {"class_weight": "balanced"}}},
            "SVC: `class_weight` follows from `class_weight`",
        ),
        ({"class_weight": "balanced", "estimator": {"name": "KNeighborsClassifier"}}, "takes no weights"),
        ({"sample_weight": "w", "estimator": {"name": "LinearDiscriminantAnalysis"}}, "takes no weights"),
        ({"early_stopping": {}}, "LogisticRegression can't stop early"),
        (
            {
                "early_stopping": {},
                "estimator": {"name": "SGDClassifier", "params": {"n_iter_no_change": 3}},
            },
            "SGDClassifier: `n_iter_no_change` follows from `early_stopping`",
        ),
        ({"problem": "quantile", "estimator": {"name": "Ridge"}}, "Ridge doesn't support quantile"),
        (
            {"problem": "quantile", "estimator": BOOSTING, "quantiles": [0.9, 0.1]},
            "the quantiles must be in increasing order",
        ),
        (
            {"problem": "quantile", "estimator": BOOSTING, "quantiles": [0.1], "conformal": {}},
            "with `conformal` the quantiles follow",
        ),
        (
            {"problem": "quantile", "estimator": BOOSTING, "conformal": {"method": "cross"}},
            "need the method `split`, not `cross`",
        ),
        (
            {"problem": "quantile", "estimator": BOOSTING | {"params": {"quantile": 0.3}}},
            "`quantile` follows from `quantiles`",
        ),
        ({"estimator": {"name": "VotingClassifier"}}, "combines other estimators; give `estimators`"),
        (
            {"estimator": {"name": "GaussianNB", "estimators": [{"name": "Ridge"}] * 2}},
            "doesn't combine other estimators",
        ),
        (
            {"estimator": {"name": "VotingClassifier", "estimators": [{"name": "Ridge"}, {"name": "GaussianNB"}]}},
            "its member Ridge doesn't support classification",
        ),
        (
            {"estimator": {"name": "StackingClassifier", "estimators": [{"name": "VotingClassifier"}] * 2}},
            "its members can't combine other estimators",
        ),
        (
            {
                "estimator": {
                    "name": "VotingClassifier",
                    "estimators": [{"name": "GaussianNB"}] * 2,
                    "final_estimator": {"name": "GaussianNB"},
                }
            },
            "has no `final_estimator`",
        ),
        ({"estimator": {"name": "StackingClassifier", "params": {"estimators": []}}}, "give them beside `params`"),
        ({"estimator": {"name": "GaussianNB", "params": {"priors": [0.5] * 1001}}}, "at most 1000"),
        ({"estimator": {"name": "SVC", "params": {"kernel": "x" * 1001}}}, "at most 1000"),
        ({"estimator": {"name": "SVC", "params": {"x" * 1001: 1}}}, "at most 1000"),
    ],
)
def test_what_can_not_be_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=told):
        TrainModel.model_validate(BASE | given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        RIDGE | {"conformal": {"method": "cross"}, "sample_weight": "w"},
        {"problem": "multilabel", "separator": "|"},
        {"problem": "quantile", "estimator": BOOSTING, "conformal": {"confidence": 0.8}},
        {"problem": "clustering", "estimator": {"name": "KMeans"}, "target": None},
        {"problem": "anomaly", "estimator": {"name": "IsolationForest"}, "target": None},
        {"class_weight": "balanced", "estimator": {"name": "GaussianNB"}},
        {"validation": {"method": "time_series", "time": "day", "gap": 3}},
    ],
)
def test_what_can_be_is_taken(given: dict[str, Any]) -> None:
    TrainModel.model_validate(BASE | given)
