"""Models come back as they were; anything that we didn't write, or that holds a foreign type, does not come at all."""

import builtins
import hashlib
import importlib
import io
import json
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import decomposition, dummy, linear_model, neighbors, pipeline, preprocessing
from skops import io as skops_io

from shared import digests, errors
from shared.ml import artifact_types, artifacts, frames
from shared.ml.recipes import compiling
from shared.recipe.columns import Drop
from shared.recipe.language import Recipe
from shared.recipe.numbers import Impute, Scale
from shared.training.estimators import allow_list
from tests.unit.ml import tables
from tests.unit.training.tables import estimator
from workers.training import models

pytestmark = pytest.mark.slow

DEFAULTS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in sorted(allow_list.specs())]
# What makes an estimator keep other types inside than its defaults do.
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("GradientBoostingClassifier", {"loss": "exponential"}),
    *(("GradientBoostingRegressor", {"loss": loss}) for loss in ("absolute_error", "huber", "quantile")),
    *(("HistGradientBoostingRegressor", {"loss": loss}) for loss in ("absolute_error", "gamma", "poisson")),
    ("HistGradientBoostingRegressor", {"loss": "quantile", "quantile": 0.5}),
    *(("SGDClassifier", {"loss": loss}) for loss in ("log_loss", "modified_huber", "perceptron", "squared_error")),
    *(("SGDRegressor", {"loss": loss}) for loss in ("huber", "epsilon_insensitive")),
    ("MLPClassifier", {"solver": "sgd", "hidden_layer_sizes": [4]}),
    *(("TweedieRegressor", {"power": power, "link": "log"}) for power in (0, 1, 1.5)),
    *(
        ("KNeighborsClassifier", {"algorithm": algorithm, "metric": metric})
        for algorithm in ("ball_tree", "kd_tree")
        for metric in ("chebyshev", "euclidean", "manhattan", "minkowski")
    ),
    ("SVC", {"kernel": "poly"}),
    ("LogisticRegression", {"class_weight": "balanced"}),
]
EVERY_STEP = Recipe.model_validate_json(
    json.dumps(
        {
            "steps": [
                {"op": "drop", "columns": ["spent"]},
                {"op": "impute", "columns": ["age"], "indicator": True},
                {"op": "impute", "columns": ["weight", "member"], "strategy": "most_frequent"},
                {"op": "log1p", "columns": ["weight"]},
                {"op": "scale", "columns": ["weight"], "method": "robust"},
                {"op": "scale", "columns": ["age"], "method": "min_max"},
                {"op": "impute", "columns": ["town"], "strategy": "constant", "value": "?"},
                {"op": "one_hot", "columns": ["town"], "max_categories": 3},
                {"op": "ordinal", "columns": ["bought"], "categories": ["no", "yes"]},
                {"op": "date_parts", "columns": "temporal"},
                {"op": "impute", "columns": ["joined", "seen"]},
                {"op": "scale", "columns": ["joined", "seen"]},
            ]
        }
    )
)


# Naive Bayes of counts takes no negative numbers.
COUNTS = Recipe(
    steps=[
        Drop(op="drop", columns=["spent", "bought", "joined", "seen", "member", "town", "age"]),
        Impute(op="impute", columns=["weight"]),
        Scale(op="scale", columns=["weight"], method="min_max"),
    ]
)


@pytest.fixture(autouse=True)
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a file that dangerous artifacts in this module try to create."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "canary"


def make(name: str, params: dict[str, Any]) -> Any:
    """Make an estimator of the allow-list, small."""
    spec = allow_list.specs()[name]
    small: dict[str, Any] = {"n_estimators": 5, "random_state": 0, "max_iter": 20}
    if name == "QuadraticDiscriminantAnalysis":
        small["reg_param"] = 0.1  # One-hot columns are collinear.
    if name == "EllipticEnvelope":
        small["support_fraction"] = 1.0  # So does a part of the rows.
    chosen = {key: value for key, value in small.items() if key in spec.parameters}
    return models.make_estimator(estimator(name, chosen | params), seed=0)


def fit(name: str, dataset: Path) -> pipeline.Pipeline:
    """Fit a pipeline with every sort of step."""
    frame = frames.read_frame(dataset)
    recipe = compiling.compile_recipe(EVERY_STEP, columns=frames.read_columns(dataset), numbers_only=True)
    return pipeline.Pipeline([("recipe", recipe), ("estimator", make(name, {}))]).fit(frame, frame["bought"].to_numpy())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what recipes make of a table, and targets, by problem."""
    dataset = tables.mixed(tmp_path_factory.mktemp("made") / "d.parquet")
    frame, columns = frames.read_frame(dataset), frames.read_columns(dataset)
    recipes = {
        name: compiling.compile_recipe(wanted, columns=columns, numbers_only=True).fit_transform(frame)
        for name, wanted in (("every step", EVERY_STEP), ("counts", COUNTS))
    }
    return {**recipes, "classification": frame["bought"].to_numpy(), "regression": frame["spent"].to_numpy()}


@pytest.mark.parametrize(("name", "params"), DEFAULTS + VARIANTS, ids=lambda value: f"{value}")
def test_every_allowed_estimator_predicts_the_same_when_loaded(
    tmp_path: Path, made: dict[str, Any], name: str, params: dict[str, Any]
) -> None:
    frame = made["counts" if name in ("ComplementNB", "MultinomialNB") else "every step"]
    with warnings.catch_warnings():
        # A few rounds are enough for a test, if not for the estimator.
        warnings.simplefilter("ignore")
        model = make(name, params).fit(frame, made.get(allow_list.specs()[name].problems[0]))
    artifacts.save(model, tmp_path / "m.skops")
    loaded = artifacts.load(tmp_path / "m.skops", sha256=digests.of_file(tmp_path / "m.skops"))
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    for method in ("predict_proba", "decision_function"):
        if hasattr(model, method):
            np.testing.assert_array_equal(getattr(loaded, method)(frame), getattr(model, method)(frame))


@pytest.mark.parametrize("labels", [[0, 1], np.unique([0, 1]), ["a", "b"]], ids=repr)
def test_weights_keep_the_labels_that_they_are_for(tmp_path: Path, labels: Any) -> None:
    model = linear_model.LogisticRegression(class_weight={labels[0]: 1, labels[1]: 2.5})
    artifacts.save(model.fit([[0.0], [1.0], [2.0]], [labels[0], labels[1], labels[1]]), tmp_path / "m")
    loaded = artifacts.load(tmp_path / "m", sha256=digests.of_file(tmp_path / "m"))
    assert loaded.class_weight == model.class_weight
    assert loaded.predict([[-9.0], [9.0]]).tolist() == list(labels)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_distances_keep_their_power(tmp_path: Path, power: int) -> None:
    model = neighbors.KNeighborsRegressor(2, algorithm="ball_tree", p=power).fit([[0.0], [1.0], [5.0]], [0.0, 1.0, 2.0])
    artifacts.save(model, tmp_path / "m")
    loaded = artifacts.load(tmp_path / "m", sha256=digests.of_file(tmp_path / "m"))
    assert loaded.predict([[4.0]]) == model.predict([[4.0]]) == [1.5]


def test_equal_models_give_equal_bytes_loaded_ones_too(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    paths = [tmp_path / name for name in ("a", "b", "c")]
    artifacts.save(fit("RandomForestClassifier", dataset), paths[0])
    artifacts.save(fit("RandomForestClassifier", dataset), paths[1])
    artifacts.save(artifacts.load(paths[0], sha256=digests.of_file(paths[0])), paths[2])
    assert len({digests.of_file(path) for path in paths}) == 1


def test_no_listed_type_is_a_function_and_every_one_exists() -> None:
    for name in artifact_types.list_names():
        module, _, attribute = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), attribute), type), name


def test_no_loader_that_calls_what_a_file_names_is_listed() -> None:
    calling = {"FunctionNode", "MethodNode", "PartialNode", "OperatorFuncNode", "ConstructorFromReduceNode"}
    assert not calling & artifact_types.list_by_loader().keys()


class Foreign:
    """A type that nobody listed."""


def touch() -> None:
    """Do what no artifact may make us do."""
    Path("canary").touch()


def name_of(value: object) -> str:
    """Name a test by its value, without the address in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize(
    "foreign",
    [
        Foreign(),
        {"deep": [Foreign()]},
        preprocessing.FunctionTransformer(os.system),
        preprocessing.FunctionTransformer(touch),
        preprocessing.FunctionTransformer(np.log1p),
        {"f": builtins.eval},
        {"m": Path("canary").touch},
        decomposition.FastICA(),
        linear_model.RANSACRegressor(),
    ],
    ids=name_of,
)
def test_a_type_that_is_not_listed_can_not_be_saved(tmp_path: Path, foreign: Any) -> None:
    with pytest.raises(errors.UnsafeArtifactError):
        artifacts.save(foreign, tmp_path / "m.skops")
    assert not (tmp_path / "m.skops").exists()


@pytest.mark.parametrize(
    "foreign",
    [
        preprocessing.FunctionTransformer(os.system),
        preprocessing.FunctionTransformer(touch),
        preprocessing.FunctionTransformer(np.log1p),
        {"f": builtins.eval},
        decomposition.FastICA(),
    ],
    ids=name_of,
)
def test_a_type_that_is_not_listed_can_not_be_loaded_though_its_hash_is_right(
    tmp_path: Path, canary: Path, foreign: Any
) -> None:
    refuse(tmp_path, skops_io.dumps(foreign), "not on our list of types")
    assert not canary.exists()


def refuse(folder: Path, content: bytes, message: str) -> None:
    """Check that these bytes are refused even though they are the ones that were recorded."""
    path = folder / "bad.skops"
    path.write_bytes(content)
    with pytest.raises(errors.UnsafeArtifactError, match=message):
        artifacts.load(path, sha256=hashlib.sha256(content).hexdigest())


def save_small(folder: Path) -> Path:
    """Store a model of a few bytes."""
    artifacts.save(dummy.DummyClassifier().fit([[0.0], [1.0]], ["a", "b"]), folder / "m.skops")
    return folder / "m.skops"


def forge(path: Path, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Change the tree in a stored model's bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                tree = json.loads(content)
                change(tree)
                content = json.dumps(tree).encode()
            target.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize(
    "node",
    [
        {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"},
        {"__class__": "system", "__module__": "posix", "__loader__": "TypeNode"},
        {"__class__": "eval", "__module__": "builtins", "__loader__": "TypeNode"},
        {"__class__": "Popen", "__module__": "subprocess", "__loader__": "ObjectNode", "content": None},
        {"__class__": "Popen", "__module__": "subprocess", "__loader__": "ListNode", "content": []},
        {"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode", "attrs": {}},
        {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": {}},
        {"__class__": "Path", "__module__": "pathlib", "__loader__": "ConstructorFromReduceNode", "content": {}},
        {"__class__": "str", "__module__": "builtins", "__loader__": ["JsonNode"]},
        {"__class__": "str", "__module__": "builtins"},
        {"__module__": "os"},
    ],
)
def test_a_forged_node_is_refused(tmp_path: Path, canary: Path, node: dict[str, Any]) -> None:
    forged = forge(save_small(tmp_path), lambda tree: tree["content"]["content"].update(strategy=node))
    refuse(tmp_path, forged, "not on our list of types")
    assert not canary.exists()


def test_a_class_named_in_place_of_a_loss_is_refused(tmp_path: Path) -> None:
    node = {"__class__": "Popen", "__module__": "subprocess", "__loader__": "LossNode", "__reduce__": {"args": {}}}
    refuse(tmp_path, forge(save_small(tmp_path), lambda tree: tree.update(extra=node)), "subprocess.Popen")


@pytest.mark.parametrize("protocol", [0, 1, 3, None, True])
def test_an_older_or_newer_protocol_is_refused(tmp_path: Path, protocol: object) -> None:
    refuse(tmp_path, forge(save_small(tmp_path), lambda tree: tree.update(protocol=protocol)), "protocol")


def test_the_unforged_copy_is_accepted_so_that_the_refusals_above_mean_something(tmp_path: Path) -> None:
    content = forge(save_small(tmp_path), lambda _: None)
    (tmp_path / "copy").write_bytes(content)
    loaded = artifacts.load(tmp_path / "copy", sha256=hashlib.sha256(content).hexdigest())
    assert loaded.classes_.tolist() == ["a", "b"]


class Bomb:
    """A pickle that makes the canary when it is read."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Name what pickle would call."""
        return os.system, ("touch canary",)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path, canary: Path) -> None:
    refuse(tmp_path, pickle.dumps(Bomb()), "not an artifact of Millrace")
    assert not canary.exists()


def test_a_pickle_inside_an_array_is_refused_and_not_run(tmp_path: Path, canary: Path) -> None:
    model = linear_model.LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    artifacts.save(model, tmp_path / "m.skops")
    array = io.BytesIO()
    np.save(array, np.array([Bomb()], dtype=object), allow_pickle=True)
    made = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "m.skops") as source, zipfile.ZipFile(made, "w") as target:
        assert any(name.endswith(".npy") for name in source.namelist())
        for name in source.namelist():
            target.writestr(name, array.getvalue() if name.endswith(".npy") else source.read(name))
    refuse(tmp_path, made.getvalue(), "can't be read")
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"not a model at all", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_artifact_is_refused(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path, content, "not an artifact of Millrace")


def test_another_zip_with_our_name_is_refused(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        target.writestr("word/document.xml", "<w/>")
    refuse(tmp_path, made.getvalue(), "not an artifact of Millrace")


def test_a_zip_bomb_is_refused_before_anything_grows(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("schema.json", b" " * 50_000_000)
    assert len(made.getvalue()) < 100_000
    refuse(tmp_path, made.getvalue(), "'schema.json' is compressed")


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        target.writestr("schema.json", b" " * 1000)
        [entry] = target.infolist()
        for number in range(9):
            copy = zipfile.ZipInfo(f"{number}.npy")
            copy.header_offset, copy.CRC = entry.header_offset, entry.CRC
            copy.compress_size = copy.file_size = entry.file_size
            target.filelist.append(copy)
            target.NameToInfo[copy.filename] = copy
    refuse(tmp_path, made.getvalue(), "claim more bytes than the file has")


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        target.writestr("schema.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            target.writestr("schema.json", "{}")
    refuse(tmp_path, made.getvalue(), "two of the same name")


def test_a_tree_nested_too_deep_is_refused(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        target.writestr("schema.json", "[" * 200_000)
    refuse(tmp_path, made.getvalue(), "can't be read: RecursionError")


def test_every_tampered_byte_is_noticed_before_the_file_is_parsed(tmp_path: Path) -> None:
    path = save_small(tmp_path)
    recorded, content = digests.of_file(path), path.read_bytes()
    for place in range(0, len(content), 97):
        tampered = bytearray(content)
        tampered[place] ^= 1
        path.write_bytes(tampered)
        with pytest.raises(errors.UnsafeArtifactError, match=f"but {recorded} was recorded"):
            artifacts.load(path, sha256=recorded)
