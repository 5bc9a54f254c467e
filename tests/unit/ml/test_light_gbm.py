"""LightGBM through our estimators is LightGBM to the bit, is stored as checked text, and forged text is refused."""

import hashlib
import io
import json
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn import base, datasets, model_selection

from shared import digests, errors
from shared.ml import artifacts, booster_text, light_gbm

SMALL: dict[str, Any] = {"n_estimators": 6, "num_leaves": 5, "random_state": 3}
SETTLED: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "verbosity": -1, "n_jobs": 1}


def rows(*, classes: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Generate features with missing values, labels and weights."""
    features, codes = datasets.make_classification(
        300, 6, n_informative=4, n_classes=classes, flip_y=0.1, random_state=0
    )
    features[::7, 0] = np.nan
    labels = np.array(["no", "perhaps", "yes"], dtype=object)[codes]
    return features, labels, np.random.default_rng(0).integers(1, 4, size=300).astype(float)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"class_weight": "balanced", "subsample": 0.7, "subsample_freq": 1, "colsample_bytree": 0.6},
        {"boosting_type": "dart", "class_weight": {"no": 1.0, "perhaps": 3.0, "yes": 1.0}},
        {"boosting_type": "rf", "subsample": 0.7, "subsample_freq": 1},
    ],
    ids=str,
)
def test_a_classifier_says_what_lightgbm_says(classes: int, params: dict[str, Any]) -> None:
    features, labels, weights = rows(classes=classes)
    if isinstance(params.get("class_weight"), dict):
        params = params | {"class_weight": {label: params["class_weight"][label] for label in np.unique(labels)}}
    ours = light_gbm.LGBMClassifier(**SMALL, **params).fit(features, labels, sample_weight=weights)
    direct = lightgbm.LGBMClassifier(**SMALL, **SETTLED, **params).fit(features, labels, sample_weight=weights)
    np.testing.assert_array_equal(ours.predict_proba(features), direct.predict_proba(features))
    np.testing.assert_array_equal(ours.predict(features), direct.predict(features))
    assert ours.classes_.tolist() == direct.classes_.tolist()


@pytest.mark.parametrize("objective", [None, "regression_l1", "poisson", "quantile", "huber"])
def test_a_regressor_says_what_lightgbm_says(objective: str | None) -> None:
    features, _, weights = rows()
    truth = np.abs(np.nan_to_num(features[:, 0]) * 2 + features[:, 1])
    params: dict[str, Any] = {"objective": objective, "alpha": 0.3}
    ours = light_gbm.LGBMRegressor(**SMALL, **params).fit(features, truth, sample_weight=weights)
    direct = lightgbm.LGBMRegressor(**SMALL, **SETTLED, **params).fit(features, truth, sample_weight=weights)
    np.testing.assert_array_equal(ours.predict(features), direct.predict(features))


def test_it_stops_early_as_lightgbm_does_on_the_same_held_out_rows() -> None:
    features, labels, _ = rows()
    params: dict[str, Any] = {"n_estimators": 200, "num_leaves": 5, "random_state": 3}
    ours = light_gbm.LGBMClassifier(**params, early_stopping=True, n_iter_no_change=4, validation_fraction=0.2)
    ours.fit(features, labels)
    train, held_out = model_selection.train_test_split(np.arange(300), test_size=0.2, stratify=labels, random_state=3)
    codes = np.unique(labels, return_inverse=True)[1]
    direct = lightgbm.LGBMClassifier(**params, **SETTLED).fit(
        features[train],
        codes[train],
        eval_X=features[held_out],
        eval_y=codes[held_out],
        callbacks=[lightgbm.early_stopping(4, verbose=False)],
    )
    assert ours.n_iter_ == direct.best_iteration_ < 200
    np.testing.assert_array_equal(ours.predict_proba(features), direct.predict_proba(features))


def test_any_number_of_threads_gives_the_same_trees() -> None:
    features, labels, _ = rows()
    texts = {light_gbm.LGBMClassifier(**SMALL, n_jobs=jobs).fit(features, labels).model_text_ for jobs in (1, 2)}
    assert len(texts) == 1
    assert "parameters:" not in texts.pop()


def test_a_copy_has_the_parameters_and_is_unfitted() -> None:
    copy = base.clone(light_gbm.LGBMClassifier(**SMALL).fit(*rows()[:2]))
    assert copy.get_params()["num_leaves"] == 5
    assert not hasattr(copy, "model_text_")


def test_a_wrong_number_of_columns_is_an_error() -> None:
    features, labels, _ = rows()
    model = light_gbm.LGBMClassifier(**SMALL).fit(features, labels)
    with pytest.raises(ValueError, match="X has 5 features, but the model was fitted on 6"):
        model.predict(features[:, :5])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"num_leaves": 1}, "num_leaves"),
        ({"boosting_type": "goss"}, "boosting_type"),
        ({"boosting_type": "rf"}, "bagging"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_a_value_error(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        light_gbm.LGBMClassifier(**params).fit(*rows()[:2])


def test_where_it_is_not_installed_the_job_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(errors.BadModelError, match="LightGBM isn't installed in this worker"):
        light_gbm.LGBMClassifier()._validate_params()


def stored(folder: Path, *, classes: int = 2) -> tuple[Path, Any, np.ndarray]:
    """Store a small model."""
    features, labels, _ = rows(classes=classes)
    model = light_gbm.LGBMClassifier(**SMALL).fit(features, labels)
    artifacts.save(model, folder / "m.skops")
    return folder / "m.skops", model, features


@pytest.mark.parametrize("classes", [2, 3])
def test_a_stored_model_says_the_same_and_equal_ones_have_equal_bytes(tmp_path: Path, classes: int) -> None:
    path, model, features = stored(tmp_path, classes=classes)
    loaded = artifacts.load(path, sha256=digests.of_file(path))
    np.testing.assert_array_equal(loaded.predict_proba(features), model.predict_proba(features))
    loaded.predict(features)
    artifacts.save(loaded, tmp_path / "again")
    assert digests.of_file(tmp_path / "again") == digests.of_file(path)


def test_a_leaf_alone_is_a_sound_tree(tmp_path: Path) -> None:
    features = np.zeros((50, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = light_gbm.LGBMRegressor(n_estimators=2).fit(features, np.arange(50.0))
    artifacts.save(model, tmp_path / "m")
    loaded = artifacts.load(tmp_path / "m", sha256=digests.of_file(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict(features), model.predict(features))


def line(name: str, text: str) -> str:
    """Find the first line of a text that begins with a name."""
    return next(line for line in text.split("\n") if line.startswith(f"{name}="))


def changed(text: str, name: str, values: str) -> str:
    """Replace the value of a name in a text, and correct the length of its tree."""
    old, new = line(name, text), f"{name}={values}"
    sizes = line("tree_sizes", text)
    first, *others = sizes.removeprefix("tree_sizes=").split()
    if text.index(old) < text.index("\nTree=0"):
        return text.replace(old, new, 1)
    longer = " ".join([str(int(first) + len(new) - len(old)), *others])
    return text.replace(old, new, 1).replace(sizes, f"tree_sizes={longer}", 1)


FORGERIES: dict[str, Callable[[str], object]] = {
    "features": lambda text: changed(text, "max_feature_idx", "900"),
    "outputs": lambda text: changed(text, "num_tree_per_iteration", "2"),
    "version": lambda text: changed(text, "version", "v3"),
    "lengths": lambda text: changed(text, "tree_sizes", "1 2 3 4 5 6"),
    "negative length": lambda text: changed(text, "tree_sizes", "-1 2 3 4 5 6"),
    "feature of a node": lambda text: changed(text, "split_feature", "99 0 0 0"),
    "feature below 0": lambda text: changed(text, "split_feature", "-1 0 0 0"),
    "loop": lambda text: changed(text, "left_child", "0 0 0 0"),
    "child beyond": lambda text: changed(text, "left_child", "9999 1 2 3"),
    "leaf beyond": lambda text: changed(text, "right_child", "-9999 -2 -3 -4"),
    "leaves missing": lambda text: changed(text, "leaf_value", "0.1"),
    "more leaves said": lambda text: changed(text, "num_leaves", "500"),
    "categories": lambda text: changed(text, "num_cat", "1"),
    "decision by category": lambda text: changed(text, "decision_type", "1 2 2 2"),
    "linear": lambda text: changed(text, "is_linear", "1"),
    "no number": lambda text: changed(text, "leaf_value", "nan 1 1 1 1"),
    "words": lambda text: changed(text, "threshold", "a b c d"),
    "twice": lambda text: text.replace("num_class=1\n", "num_class=1\nnum_class=1\n", 1),
    "cut off": lambda text: text[:500],
    "parameters": lambda text: f"{text}\nparameters:\n[forcedsplits_filename: /etc/passwd]\n",
    "empty": lambda text: "",
    "binary": lambda text: text.replace("Tree=0", "Tree=\u0660", 1),
    "no text": lambda text: 7,
}


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_a_forged_text_is_refused_though_the_hash_is_right(tmp_path: Path, name: str) -> None:
    path, model, _ = stored(tmp_path)
    forged = FORGERIES[name](model.model_text_)
    assert forged != model.model_text_
    content = _with_text(path, forged)
    (tmp_path / "forged").write_bytes(content)
    with pytest.raises(errors.UnsafeArtifactError, match="LightGBM model can't be read"):
        artifacts.load(tmp_path / "forged", sha256=hashlib.sha256(content).hexdigest())


def test_the_unforged_copy_is_read_so_that_the_refusals_above_mean_something(tmp_path: Path) -> None:
    path, model, features = stored(tmp_path)
    text = changed(model.model_text_, "leaf_value", line("leaf_value", model.model_text_).removeprefix("leaf_value="))
    content = _with_text(path, text)
    (tmp_path / "copy").write_bytes(content)
    loaded = artifacts.load(tmp_path / "copy", sha256=hashlib.sha256(content).hexdigest())
    np.testing.assert_array_equal(loaded.predict_proba(features), model.predict_proba(features))


def _with_text(path: Path, text: object) -> bytes:
    """Replace the text in a stored model's bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                tree = json.loads(content)
                tree["content"]["content"]["model_text_"]["content"] = json.dumps(text)
                content = json.dumps(tree).encode()
            target.writestr(name, content)
    return made.getvalue()


def test_many_trees_are_checked_in_little_time() -> None:
    features, labels, _ = rows()
    model = light_gbm.LGBMClassifier(n_estimators=300, num_leaves=15, random_state=0).fit(features, labels)
    booster_text.require_sound(model.model_text_, features=6, outputs=1)
