"""Contributions are told to who asks for them, add up, and never cost anybody a prediction."""

import importlib.util
import json
import struct
from typing import Any

import numpy as np
import orjson
import pytest

from shared import errors
from shared.ml.contributions.explainer import Explainer
from tests.unit.prediction.online.conftest import Stage
from tests.unit.prediction.online.test_documents import fetch
from tests.unit.prediction.online.test_forms import ask
from workers.prediction.online import contributions
from workers.prediction.online.faces import outputs
from workers.prediction.online.versions import Version

ROWS: list[dict[str, Any]] = [
    {"a": 0.5, "b": 0.1, "word": "red"},
    {"a": -2.0, "b": None, "word": "blue"},
    {"a": 1.5, "b": 0.7, "word": "unseen"},
]
INPUTS = [
    {"name": "a", "datatype": "FP64", "shape": [3], "data": [row["a"] for row in ROWS]},
    {"name": "b", "datatype": "FP64", "shape": [3], "data": [row["b"] for row in ROWS]},
    {"name": "word", "datatype": "BYTES", "shape": [3], "data": [row["word"] for row in ROWS]},
]
NAMES = ["contributions", "contributions_columns", "contributions_bias", "contributions_output", "contributions_class"]


def predict(stage: Stage, wanted: Any, rows: list[dict[str, Any]] = ROWS) -> Any:
    body = orjson.dumps({"instances": rows, "contributions": wanted})
    return orjson.loads(ask(stage, "/v1/deployments/mixed/predictions", body).body)


def infer(stage: Stage, outputs: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    body = orjson.dumps({"inputs": INPUTS, "outputs": outputs, **options})
    document = orjson.loads(ask(stage, "/v2/models/mixed/infer", body).body)
    return {output["name"]: output for output in document["outputs"]}


def test_nothing_is_computed_unless_it_is_asked_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    monkeypatch.setattr(Version, "explain", lambda *_: pytest.fail("nobody asked"))
    plain = predict(stage, False)
    assert plain.keys() == {"predictions", "versions", "deployment", "prediction_ids"}
    assert infer(stage, [{"name": "predict"}]).keys() == {"predict"}
    body = orjson.dumps({"inputs": INPUTS})
    names = [each["name"] for each in orjson.loads(ask(stage, "/v2/models/mixed/infer", body).body)["outputs"]]
    assert names == ["prediction", "probability_no", "probability_yes"]


def test_contributions_add_up_to_the_log_odds_of_the_predicted_class(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    answer = predict(stage, True)
    assert answer["predictions"] == predict(stage, None)["predictions"]
    assert {row["prediction"] for row in answer["predictions"]} == {"yes", "no"}
    for row, found in zip(answer["predictions"], answer["contributions"], strict=True):
        assert found.keys() == {"bias", "output", "scale", "class", "values"}
        assert (found["class"], found["scale"]) == (row["prediction"], "decision")
        assert list(found["values"]) == ["a", "b", "word"]
        assert found["bias"] + sum(found["values"].values()) == pytest.approx(found["output"], rel=1e-9)
        probability = row[f"probability_{row['prediction']}"]
        assert found["output"] == pytest.approx(np.log(probability / (1 - probability)), rel=1e-4)


def test_those_that_add_most_are_first_and_the_others_are_one_sum(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    whole, cut = (predict(stage, wanted)["contributions"] for wanted in (True, {"top": 2}))
    for row, found in zip(whole, cut, strict=True):
        order = sorted(row["values"], key=lambda name: -abs(row["values"][name]))
        assert list(found["values"].items()) == [(name, row["values"][name]) for name in order[:2]]
        assert found["others"] == pytest.approx(row["values"][order[2]], abs=1e-12)
        assert (found["bias"], found["output"]) == (row["bias"], row["output"])
    assert predict(stage, {"top": 99})["contributions"][0]["values"].keys() == {"a", "b", "word"}


def test_a_class_can_be_chosen_for_all_rows(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    yes, no = (predict(stage, {"class": label})["contributions"] for label in ("yes", "no"))
    assert [row["class"] for row in yes] == ["yes"] * 3
    assert [row["output"] for row in yes] == [-row["output"] for row in no]


def test_the_tensors_say_the_same(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    native = predict(stage, True)["contributions"]
    found = infer(stage, [{"name": name} for name in NAMES])
    assert list(found) == NAMES
    assert found["contributions"]["shape"] == [3, 3]
    assert json.loads(found["contributions"]["parameters"]["columns"]) == ["a", "b", "word"]
    assert found["contributions"]["parameters"]["scale"] == "decision"
    assert found["contributions"]["data"] == [value for row in native for value in row["values"].values()]
    assert found["contributions_columns"]["data"] == ["a", "b", "word"] * 3
    for part in ("bias", "output", "class"):
        assert found[f"contributions_{part}"]["data"] == [row[part] for row in native]
        assert found[f"contributions_{part}"]["shape"] == [3]


def test_the_first_columns_of_each_row_are_named_beside_it(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    native = predict(stage, {"top": 2, "class": "yes"})["contributions"]
    wanted: list[dict[str, Any]] = [{"name": name} for name in NAMES[:2]]
    wanted[0]["parameters"] = {"top": 2, "class": "yes"}
    found = infer(stage, wanted)
    assert [each["shape"] for each in found.values()] == [[3, 2], [3, 2]]
    assert found["contributions"]["data"] == [value for row in native for value in row["values"].values()]
    assert found["contributions_columns"]["data"] == [name for row in native for name in row["values"]]
    assert "columns" not in found["contributions"]["parameters"]


def test_contributions_are_binary_where_that_is_wanted(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    wanted = [{"name": "contributions", "parameters": {"binary_data": True}}]
    expected = infer(stage, [{"name": "contributions"}])["contributions"]["data"]
    response = ask(stage, "/v2/models/mixed/infer", orjson.dumps({"inputs": INPUTS, "outputs": wanted}))
    length = int(dict(response.headers)["Inference-Header-Content-Length"])
    [head] = orjson.loads(response.body[:length])["outputs"]
    assert (head["shape"], head["parameters"]["binary_data_size"]) == ([3, 3], 72)
    assert list(struct.unpack("<9d", response.body[length:])) == expected


def test_metadata_lists_them_only_where_there_are_some(forest: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    forest.deploy(("greatness@1", 1), name="mixed")
    for document, key in (("v2/models/mixed", "outputs"), ("v2/models/mixed/config", "output")):
        assert [each["name"] for each in fetch(forest, document)[key]][3:] == NAMES
    assert fetch(forest, "v2/models/mixed")["outputs"][3]["shape"] == [-1, -1]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    forest.deploy(("woods@1", 1), name="mixed")
    assert [each["name"] for each in fetch(forest, "v2/models/mixed")["outputs"]] == [
        "prediction", "probability_no", "probability_yes",
    ]  # fmt: skip


def test_a_model_without_is_refused_before_it_predicts(forest: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    forest.deploy(("woods@1", 1), name="mixed")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = "no contributions here. woods@1: SHAP, .* isn't installed here: install the extra `shap`"
    with pytest.raises(errors.InvalidRequestError, match=told):
        predict(forest, True)
    with pytest.raises(errors.InvalidRequestError, match=told):
        infer(forest, [{"name": "contributions_bias"}])
    assert len(predict(forest, None)["predictions"]) == 3


def test_a_forest_is_taken_apart_by_the_extra(forest: Stage) -> None:
    pytest.importorskip("shap", reason="trees of scikit-learn are taken apart by the extra `shap`")
    forest.deploy(("woods@1", 1), name="mixed")
    answer = predict(forest, True)
    for row, found in zip(answer["predictions"], answer["contributions"], strict=True):
        assert found["scale"] == "probability"
        assert found["bias"] + sum(found["values"].values()) == pytest.approx(found["output"])
        assert found["output"] == pytest.approx(row[f"probability_{found['class']}"], rel=1e-6)


def test_each_row_is_explained_by_the_version_that_answered_it(forest: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    forest.deploy(("greatness@1", 50), ("woods@1", 50), name="mixed", sticky_key="id")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    rows = [{**ROWS[0], "id": number} for number in range(20)]
    answer = predict(forest, True, rows)
    assert set(answer["versions"]) == {"greatness@1", "woods@1"}
    for version, found in zip(answer["versions"], answer["contributions"], strict=True):
        assert (found is None) == (version == "woods@1")
    assert answer["unexplained"].keys() == {"woods@1"}
    assert "extra `shap`" in answer["unexplained"]["woods@1"]


def test_versions_of_other_columns_share_a_table() -> None:
    first = contributions.RowContributions(["a", "b"], [1.0, 2.0], None, 0.5, 3.5, "yes", "decision")
    second = contributions.RowContributions(["c", "a"], [4.0, 5.0], None, 0.5, 9.5, "no", "raw")
    explained = contributions.Explained([first, None, second], {"m@2": "no reason"})
    made = outputs._make_table("contributions", explained, is_binary=False)
    assert made.shape == [3, 3]
    assert made.values == [1.0, 2.0, 0.0, None, None, None, 5.0, 0.0, 4.0]
    assert json.loads(made.parameters["columns"]) == ["a", "b", "c"]
    assert json.loads(made.parameters["unexplained"]) == {"m@2": "no reason"}
    assert made.parameters["scale"] == "decision,raw"


def test_a_failure_leaves_the_prediction_as_it_is(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    expected = predict(stage, None)["predictions"]

    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Explainer, "explain", fail)
    answer = predict(stage, True)
    assert answer["predictions"] == expected
    assert answer["contributions"] == [None] * 3
    assert answer["unexplained"] == {"greatness@1": "this has failed (RuntimeError)"}
    assert infer(stage, [{"name": "contributions"}])["contributions"]["data"] == []


@pytest.mark.parametrize(
    "wanted", ["yes", 1, [], {"top": 0}, {"top": True}, {"top": 1.5}, {"bottom": 1}, {"class": []}, {"class": "maybe"}]
)
def test_what_is_no_wish_is_refused(stage: Stage, wanted: Any) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    with pytest.raises(errors.InvalidRequestError, match=r"contributions|top|class"):
        predict(stage, wanted)


def test_too_many_rows_are_refused(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    with pytest.raises(errors.InvalidRequestError, match=r"at most 1,000 rows a request; these are 1,001"):
        predict(stage, True, [ROWS[0]] * 1001)
