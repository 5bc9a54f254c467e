"""Requests that wait are predicted together, and nobody can tell by an answer, a refusal or an id."""

import asyncio
import concurrent.futures
import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import decomposition, ensemble, linear_model, pipeline, preprocessing

from shared import contract, errors
from shared.ml import light_gbm, predictions
from shared.recipe.language import Recipe
from tests.unit.ml import tables
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online import batching
from workers.prediction.online.batching import Batcher
from workers.prediction.online.plane import Plane
from workers.prediction.online.versions import Version

DESCRIBED = [{"name": "a", "type": "number"}, {"name": "word", "type": "string"}]


class Doubling:
    """Doubles numbers; refuses negative ones, and predicts nothing while it is held."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._may_go = threading.Event()
        self._may_go.set()

    def predict(self, given: Any, rows_count: int) -> predictions.Predictions:
        values = list(given["a"])
        self.sizes.append(rows_count)
        assert self._may_go.wait(20)
        if any(value < 0 for value in values):
            raise errors.BadDataError(f"{min(values)} is negative")
        return predictions.Predictions(np.array(values) * 2.0)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self._may_go.clear()
        try:
            yield
        finally:
            self._may_go.set()


@pytest.fixture
def pool() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        yield threads


def columns(*values: Any) -> dict[str, list[Any]]:
    return {"a": [*values], "word": ["red"] * len(values)}


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Queue:
    """Lets one request be predicted until others wait behind it."""

    def __init__(self, pool: concurrent.futures.ThreadPoolExecutor, model: Doubling, batcher: Batcher) -> None:
        self._pool, self._model, self._batcher = pool, model, batcher

    def ask(self, *requests: list[Any]) -> list[Any]:
        """Ask the first alone, the others while it is predicted; return values or what was raised."""
        with self._model.held():
            begun = len(self._model.sizes)
            futures = [self._submit(requests[0])]
            wait_for(lambda: len(self._model.sizes) > begun)
            for waiting, request in enumerate(requests[1:], start=1):
                futures.append(self._submit(request))
                wait_for(lambda waiting=waiting: len(self._batcher._waiting) == waiting)  # type: ignore[misc]
        return [future.exception() or future.result().prediction.tolist() for future in futures]

    def _submit(self, values: list[Any]) -> Any:
        return self._pool.submit(self._batcher.predict, self._model.predict, columns(*values), len(values))


@pytest.fixture
def model() -> Doubling:
    return Doubling()


@pytest.fixture
def batcher(monkeypatch: pytest.MonkeyPatch) -> Batcher:
    monkeypatch.setattr(batching, "CHECKED", 0)
    return Batcher(DESCRIBED)


@pytest.fixture
def queue(pool: concurrent.futures.ThreadPoolExecutor, model: Doubling, batcher: Batcher) -> Queue:
    return Queue(pool, model, batcher)


def test_who_comes_first_waits_for_nobody_and_those_behind_go_together(queue: Queue, model: Doubling) -> None:
    assert queue.ask([1], [2, 3], [4], [5]) == [[2], [4, 6], [8], [10]]
    assert model.sizes == [1, 4]


def test_the_rows_of_a_batch_are_counted(queue: Queue, model: Doubling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_ROWS", 4)
    assert queue.ask([1], [1, 2], [3, 4], [5]) == [[2], [2, 4], [6, 8], [10]]
    assert model.sizes == [1, 4, 1]


def test_a_large_request_goes_alone_and_at_once(model: Doubling, batcher: Batcher) -> None:
    batcher._is_busy = True
    many = columns(*range(batching.MAX_ROWS + 1))
    assert len(batcher.predict(model.predict, many, batching.MAX_ROWS + 1).prediction) == batching.MAX_ROWS + 1


def test_a_bad_row_is_refused_where_it_is_and_nowhere_else(queue: Queue, model: Doubling) -> None:
    first, good, bad, other = queue.ask([1], [2], [-3], [4])
    assert (first, good, other) == ([2], [4], [8])
    assert isinstance(bad, errors.BadDataError)
    assert bad.message == "-3 is negative"
    assert sorted(model.sizes) == [1, 1, 1, 1, 3]


def test_one_who_fails_alone_lets_the_next_one_lead(queue: Queue, model: Doubling) -> None:
    refused, good = queue.ask([-1], [2])
    assert isinstance(refused, errors.BadDataError)
    assert good == [4]
    assert model.sizes == [1, 1]


@pytest.mark.parametrize("value", [2**60, float("inf"), "5", np.float64(5), [5]])
def test_an_unusual_value_has_no_neighbours(model: Doubling, batcher: Batcher, value: Any) -> None:
    batcher._is_busy = True
    seen: list[Any] = []

    def note(given: Any, rows_count: int) -> predictions.Predictions:
        seen.append((given["a"], rows_count))
        return model.predict({"a": [1]}, 1)

    batcher.predict(note, columns(value), 1)
    assert seen == [([value], 1)]


def test_a_column_that_is_missing_is_told_to_who_left_it_out(model: Doubling, batcher: Batcher) -> None:
    batcher._is_busy = True
    assert batcher.predict(model.predict, {"a": [3]}, 1).prediction.tolist() == [6]


def test_answers_that_differ_end_it(
    queue: Queue, batcher: Batcher, model: Doubling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "CHECKED", 3)
    plain = model.predict

    def off_by_a_bit(given: Any, rows_count: int) -> predictions.Predictions:
        predicted = plain(given, rows_count)
        return predicted if rows_count == 1 else predictions.Predictions(np.nextafter(predicted.prediction, 99))

    assert queue.ask([1], [2], [3]) == [[2], [4], [6]]
    assert batcher.is_trusted
    model.predict = off_by_a_bit  # type: ignore[method-assign]
    assert queue.ask([1], [2], [3]) == [[2], [4], [6]]
    assert not batcher.is_trusted
    with model.held():
        assert model.sizes[-2:] == [1, 1]


def test_missing_numbers_are_equal_to_themselves(
    queue: Queue, batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "CHECKED", 9)
    queue.ask([1], [float("nan")], [2])
    assert batcher.is_trusted


def test_one_that_hangs_does_not_hold_the_others_for_ever(
    pool: concurrent.futures.ThreadPoolExecutor, model: Doubling, batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "PATIENCE_SECONDS", 0.05)
    hanging = Doubling()
    with hanging.held():
        stuck = pool.submit(batcher.predict, hanging.predict, columns(1), 1)
        wait_for(lambda: hanging.sizes == [1])
        assert batcher.predict(model.predict, columns(2), 1).prediction.tolist() == [4]
        assert not stuck.done()
    assert stuck.result().prediction.tolist() == [2]
    assert not batcher._is_busy


def fit(*steps: Any, learner: Any) -> pipeline.Pipeline:
    made = pipeline.make_pipeline(*steps, learner)
    return made.fit(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2)


def test_products_of_matrices_are_never_predicted_together() -> None:
    trees = ensemble.RandomForestClassifier(2)
    assert batching.may_batch(fit(preprocessing.StandardScaler(), learner=trees))
    assert batching.may_batch(fit("passthrough", learner=light_gbm.LGBMClassifier(n_estimators=2)))
    assert not batching.may_batch(fit(preprocessing.StandardScaler(), learner=linear_model.LogisticRegression()))
    assert not batching.may_batch(fit(decomposition.PCA(2), learner=trees))
    assert not batching.may_batch(fit(preprocessing.FunctionTransformer(np.negative), learner=trees))


RECIPE = Recipe.model_validate(
    {
        "steps": [
            {"op": "date_parts", "columns": ["joined", "seen"]},
            {"op": "impute", "columns": ["age"], "strategy": "median"},
            {"op": "scale", "columns": ["age"]},
            {"op": "one_hot", "columns": ["town"]},
            {"op": "impute", "columns": "all", "strategy": "constant", "value": 0},
        ]
    }
)
LEARNERS: dict[str, Any] = {
    "forest": ensemble.RandomForestClassifier(5, random_state=0),
    "three classes": ensemble.HistGradientBoostingClassifier(max_iter=3, random_state=0),
    "LightGBM": light_gbm.LGBMClassifier(n_estimators=5, random_state=0),
    "a number": ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0),
}
INTERLEAVINGS = 10_000


def load(folder: Path, name: str) -> Version:
    target = {"three classes": "town", "a number": "spent"}.get(name, "bought")
    problem: Any = "regression" if name == "a number" else "classification"
    steps = [step for step in RECIPE.model_dump(mode="json")["steps"] if target != "town" or step["op"] != "one_hot"]
    stored = tables.fit(
        tables.mixed(folder / "table.parquet", rows=120),
        folder,
        LEARNERS[name],
        target=target,
        problem=problem,
        wanted=Recipe.model_validate({"steps": steps}),
        without=tuple({"bought", "spent"} - {target}),
    )
    pin = contract.ModelPin.model_construct(
        name=name,
        version=1,
        key="k",
        sha256=stored.sha256,
        signature=stored.signature,
        problem=problem,
        target=target,
    )
    return Version(pin, stored.path)


def make_row(dice: random.Random) -> dict[str, Any]:
    """Make a row as clients send them, some of it missing or never seen."""
    return {
        "age": dice.choice([dice.randrange(20, 70), 33.5, None]),
        "weight": dice.choice([dice.uniform(40, 90), dice.uniform(40, 90), 61, None]),
        "member": dice.choice([True, False, None]),
        "town": dice.choice(["Oslo", "Bergen", "Bodø", "Vardø", "", None]),
        "joined": f"2026-0{dice.randrange(1, 10)}-1{dice.randrange(10)}",
        "seen": f"2026-05-01T{dice.randrange(10, 24)}:30:00Z",
    }


UNUSUAL: list[dict[str, Any]] = [{"age": 2**60}, {"age": "41"}, {"member": "true"}, {"weight": "61.5"}]
BAD: list[dict[str, Any]] = [{"seen": "yesterday"}, {"weight": float("inf")}, {"town": False}]
Predict = Callable[..., Any]


def predictor(version: Version) -> Predict:
    """Return what predicts rows by a version: the values of each, or why one of them is refused."""

    def predict(rows: list[dict[str, Any]], **options: Any) -> Any:
        given = {column: [row[column] for row in rows] for column in version.column_names}
        try:
            answer = version.predict(given, rows_count=len(rows), **options)
        except errors.BadDataError as error:
            return error.message
        # The text of a float has all of its bits.
        return [[*map(repr, row)] for row in zip(*answer.values, strict=True)]

    return predict


def draw(dice: random.Random, pool: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Draw the rows of a request: few, mostly usual ones."""
    chance = dice.random()
    rare = BAD if chance < 0.003 else UNUSUAL if chance < 0.02 else [{}]
    rows = dice.sample(pool, dice.choice([1, 1, 1, 2, 5]))
    return [*rows[1:], {**rows[0], **dice.choice(rare)}]


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_no_interleaving_changes_an_answer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is trusted from the start hides nothing.
    monkeypatch.setattr(batching, "CHECKED", 0)
    version, dice = load(tmp_path, name), random.Random(11)
    assert version.may_batch
    predict, plain, sizes = predictor(version), version._predict_by_library, list[int]()
    pool = [make_row(dice) for _ in range(100)]

    def count(given: Any, rows_count: int) -> predictions.Predictions:
        sizes.append(rows_count)
        return plain(given, rows_count)

    monkeypatch.setattr(version, "_predict_by_library", count)
    asked = [draw(dice, pool) for _ in range(INTERLEAVINGS // len(LEARNERS))]
    with concurrent.futures.ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda rows: predict(rows, asker="mixed"), asked))
    assert max(sizes) > 24
    assert len(sizes) < len(asked) / 2
    monkeypatch.setattr(version, "_predict_by_library", plain)
    known = {repr(row): predict([row]) for row in {repr(row): row for rows in asked for row in rows}.values()}
    for rows, answer in zip(asked, answers, strict=True):
        each = [known[repr(row)] for row in rows]
        if any(isinstance(one, str) for one in each):
            assert answer == predict(rows)
        else:
            assert answer == [values for [values] in each]


def test_each_request_keeps_its_id_and_its_answer(forest: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    forest.deploy(("woods@1", 1), name="mixed", max_concurrency=8)
    target = forest.copy(by_library=True)[0].find("default", "mixed")
    assert target is not None
    [version] = target.versions
    plain, sizes = version._predict_by_library, []

    def slowly(given: Any, rows_count: int) -> Any:
        sizes.append(rows_count)
        time.sleep(0.05)
        return plain(given, rows_count)

    monkeypatch.setattr(version, "_predict_by_library", slowly)
    rows: list[dict[str, list[Any]]] = [{"a": [number / 10 - 1], "b": [0.1], "word": ["red"]} for number in range(16)]

    async def ask_all() -> list[Any]:
        plane = Plane()
        asked = [
            plane.within(target, lambda row=row: plane.predict(target, row, rows_count=1))  # type: ignore[misc]
            for row in rows
        ]
        try:
            return await asyncio.gather(*asked)
        finally:
            plane.close()

    monkeypatch.setattr(batching, "CHECKED", 0)
    answers = asyncio.run(ask_all())
    assert sum(sizes) == 16
    assert len(sizes) < 8
    monkeypatch.setattr(version, "_predict_by_library", plain)
    for row, answer in zip(rows, answers, strict=True):
        assert answer.values == version.predict(row, rows_count=1).values
        assert answer.versions == ["woods@1"]


def test_deployments_of_one_version_do_not_wait_for_one_another(forest: Stage) -> None:
    forest.deploy(("woods@1", 1), name="one")
    forest.deploy(("woods@1", 1), name="other")
    serving, _ = forest.copy(by_library=True)
    one, other = serving.find("default", "one"), serving.find("default", "other")
    assert one is not None
    assert other is not None
    assert one.versions == other.versions
    [version] = one.versions
    row: dict[str, list[Any]] = {"a": [0.5], "b": [0.1], "word": ["red"]}
    version.predict(row, rows_count=1, asker="one")
    version._batchers["one"]._is_busy = True
    began = time.monotonic()
    version.predict(row, rows_count=1, asker="other")
    assert time.monotonic() - began < batching.PATIENCE_SECONDS / 2
