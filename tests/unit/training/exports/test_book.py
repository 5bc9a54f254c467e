"""docs/onnx.md says of every estimator and step what an export of it says now."""

from pathlib import Path

import pytest

from shared.recipe.functions import FUNCTIONS
from shared.recipe.language import STEPS
from shared.training import exports
from workers.training.exports import book, trials

pytestmark = pytest.mark.slow

HINT = "run python -m workers.training.exports.book"
PAGE = book.PATH.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "problem"), list(book.list_estimators()))
def test_the_page_says_of_an_estimator_what_its_export_says(name: str, problem: str) -> None:
    if name.startswith("LGBM"):
        pytest.importorskip("lightgbm")
    assert book.render_estimator(name, problem) in PAGE, HINT  # type: ignore[arg-type]


@pytest.mark.parametrize("label", trials.STEPS)
def test_the_page_says_of_a_step_what_its_export_says(label: str) -> None:
    assert book.render_step(label) in PAGE, HINT


def test_the_page_has_a_row_for_each_estimator_and_step_and_no_other() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and " | " in line]
    cells = [tuple(cell.strip() for cell in row.strip("|").split(" | ")) for row in rows]
    estimators = [(f"`{name}`", problem) for name, problem in book.list_estimators()]
    assert [cell[:2] for cell in cells if len(cell) == 3] == [("estimator", "problem"), *estimators], HINT
    assert [cell[0] for cell in cells if len(cell) == 2] == ["step", *trials.STEPS], HINT
    assert PAGE.startswith(book.HEAD), HINT


def test_every_step_and_function_is_tried() -> None:
    tried = {step["op"] for steps in trials.STEPS.values() for step in steps}
    assert tried | set(trials.list_table_wise()) == {trials.name_of(step) for step in STEPS}
    assert {f"`derive` with `{name}`" for name in FUNCTIONS} <= set(trials.STEPS)


def test_a_model_serves_by_onnx_only_where_its_numbers_are_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = book.try_out("LogisticRegression", "classification", book.PREPARED, tmp_path)
    assert (close.serves, close.reason) == (True, None)
    monkeypatch.setattr(exports, "MAX_SERVING_DIFFERENCE", -1.0)
    far = book.try_out("LogisticRegression", "classification", book.PREPARED, tmp_path)
    assert far.details is not None
    assert (far.serves, far.differs) == (False, True)
    assert "allowed in serving" in (far.reason or "")
    refused = book.try_out("DummyClassifier", "classification", book.PREPARED, tmp_path)
    assert (refused.serves, refused.details) == (False, None)
    assert "DummyClassifier can't be exported to ONNX" in (refused.reason or "")
