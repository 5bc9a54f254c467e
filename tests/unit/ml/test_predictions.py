"""What a fitted classifier says of rows is what scikit-learn says, whichever way it was come by."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import calibration, ensemble, linear_model, pipeline, preprocessing

from shared.ml import light_gbm, predictions

random = np.random.default_rng(0)
ROWS = 300
LEARNERS = [
    calibration.CalibratedClassifierCV(ensemble.RandomForestClassifier(5, random_state=0), cv=2),
    ensemble.ExtraTreesClassifier(4, max_depth=2, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=0),
    ensemble.RandomForestClassifier(4, max_depth=2, random_state=0),
    light_gbm.LGBMClassifier(n_estimators=5, random_state=0),
]


def fitted(learner: Any, *, classes: int) -> tuple[pipeline.Pipeline, pd.DataFrame]:
    """Fit a pipeline on numbers of which the labels, texts, follow in part."""
    frame = pd.DataFrame(random.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
    places = np.clip(np.round(frame["a"] + random.normal(size=ROWS)), 0, classes - 1).astype(int)
    labels = np.array(["no", "yes", "perhaps"], dtype=object)[places]
    made = pipeline.Pipeline([("recipe", preprocessing.StandardScaler()), ("estimator", learner)])
    return made.fit(frame, labels), frame


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: type(learner).__name__)
def test_labels_follow_from_probabilities(learner: Any, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(learner, light_gbm.LGBMClassifier):
        pytest.importorskip("lightgbm")
    model, frame = fitted(learner, classes=classes)
    wanted = model.predict(frame)
    with monkeypatch.context() as patch:
        patch.setattr(type(learner), "predict", lambda *_: pytest.fail("the trees were run twice"))
        made = predictions.predict(model, frame, problem="classification")
    assert made.prediction.dtype == wanted.dtype
    assert made.prediction.tolist() == wanted.tolist()
    assert np.array_equal(np.asarray(made.probability), model.predict_proba(frame))


@pytest.mark.parametrize("name", ["GradientBoostingClassifier", "HistGradientBoostingClassifier"])
def test_classes_that_are_equally_likely_are_left_to_the_estimator(name: str) -> None:
    # Nothing can be learned here, so every sum is 0; gradient boosting then takes the last class, the other the first.
    frame, labels = pd.DataFrame({"a": np.zeros(ROWS)}), np.array(["no", "yes"] * (ROWS // 2), dtype=object)
    model = pipeline.Pipeline([("recipe", preprocessing.StandardScaler()), ("estimator", getattr(ensemble, name)())])
    made = predictions.predict(model.fit(frame, labels), frame, problem="classification")
    assert made.probability is not None
    assert np.ptp(made.probability) < predictions.MIN_MARGIN
    assert made.prediction.tolist() == model.predict(frame).tolist()


def test_classes_of_which_nothing_is_known_are_left_to_the_estimator() -> None:
    model, frame = fitted(linear_model.LogisticRegression(), classes=3)
    model[-1].coef_ *= 100  # Now the sums of these rows are beyond all numbers.
    frame.loc[[0, 3], ["a", "b"]] = 1e308
    frame.loc[5, "b"] = -1e308
    with np.errstate(all="ignore"):
        made, wanted = predictions.predict(model, frame, problem="classification"), model.predict(frame)
    assert made.probability is not None
    assert np.flatnonzero(np.isnan(made.probability).any(axis=1)).tolist() == [0, 3, 5]
    assert "no" not in wanted[[0, 3, 5]], "what `argmax` takes for the greatest is the first, which must be wrong here"
    assert made.prediction.tolist() == wanted.tolist()
