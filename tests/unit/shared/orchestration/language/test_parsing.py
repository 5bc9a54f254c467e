"""Pipelines as they are sent: what is read, and which mistakes are told with which line."""

import json
import pathlib
import re
import time
from typing import Any

import pytest

from shared import errors
from shared.orchestration.language import conditions, document, parsing

_YAML = """\
description: From a file to a model
params:
  region: no
  folds: {type: integer, default: 5}
  names: [a, b]
  spare: {type: integer, default: 7}
steps:
  - name: load
    kind: ingestion.load
    params:
      name: telco
      source: {type: url, url: "https://example.com/${params.region}.csv"}
    retries: {count: 2, wait_seconds: 60}
  - name: fit
    kind: training.fit
    params:
      name: churn-${item}
      dataset: ${load.dataset}
      target: Churn
      problem: classification
      estimator: {name: LogisticRegression, params: {max_iter: 1000}}
      validation:
        method: cross_validation
        folds: ${params.folds}
        seed: 7
    for_each: ${params.names}
  - name: score
    kind: evaluation.score
    params:
      model: ${fit[0].model}
      dataset: ${load.dataset}
    when: load.dataset.rows > 100
    on_failure: continue
"""


def _parse(text: str, *, content_type: str = "application/yaml") -> document.Pipeline:
    return parsing.parse(text.encode(), content_type=content_type)


def _refuse(text: str, *, content_type: str = "application/yaml") -> list[tuple[str, str]]:
    with pytest.raises(errors.InvalidRequestError) as refused:
        _parse(text, content_type=content_type)
    return [(problem["pointer"], problem["detail"]) for problem in refused.value.problems]


def test_yaml_and_json_are_read_alike_and_kept_as_they_were_sent() -> None:
    pipeline = _parse(_YAML)
    assert pipeline.params["region"] == "no"
    assert pipeline.steps[0].retry_policy == document.Retries(count=2, wait_seconds=60)
    stored = pipeline.to_stored()
    assert _parse(json.dumps(stored), content_type="application/json; charset=utf-8") == pipeline
    assert document.Pipeline.model_validate(stored) == pipeline


@pytest.mark.parametrize(
    ("before", "after", "line", "pointer", "detail"),
    [
        ("name: score", "name: fit", 27, "#/steps/2/name", "the step 2 is called 'fit' too"),
        ("name: score", "name: item", 27, "#/steps/2/name", "a step can't be called 'item'"),
        ("name: score", "name: Score", 27, "#/steps/2/name", "should match pattern"),
        ("kind: evaluation.score", "kind: evaluation.scor", 28, "#/steps/2/kind", "did you mean 'evaluation.score'"),
        ("kind: evaluation.score", "kind: training.trial", 28, "#/steps/2/kind", "is not a kind of job"),
        ("  - name: score\n", "  -\n", 28, "#/steps/2", "the field 'name' is needed"),
        ("on_failure: continue", "on_failur: continue", 33, "#/steps/2/on_failur", "did you mean 'on_failure'?"),
        ("on_failure: continue", "on_failure: laod", 33, "#/steps/2/on_failure", "did you mean 'load'?"),
        ("on_failure: continue", "needs: [load, laod]", 33, "#/steps/2/needs/1", "did you mean 'load'?"),
        ("on_failure: continue", "retries: 11", 33, "#/steps/2/retries", "less than or equal to 10; got 11"),
        ("on_failure: continue", "retries: {count: 1, wait: 2}", 33, "#/steps/2/retries/wait", "no field 'wait'"),
        ("on_failure: continue", "timeout_seconds: 0", 33, "#/steps/2/timeout_seconds", "greater than or equal to 1"),
        ("on_failure: continue", "for_each: 3", 33, "#/steps/2/for_each", "a valid list or a valid string; got 3"),
        ("on_failure: continue", "for_each: abc", 33, "#/steps/2/for_each", "a list, or a reference to one"),
        ("on_failure: continue", "for_each: ${params.region}", 33, "#/steps/2/for_each", "is of the type string"),
        ("on_failure: continue", "for_each: ${load.dataset}", 33, "#/steps/2/for_each", "${load.dataset} is an object"),
        ("on_failure: continue", "for_each: [\"${item}\"]", 33, "#/steps/2/for_each/0", "only in `params` and `when`"),
        ("rows > 100", "rows > > 100", 32, "#/steps/2/when", "a value is needed at character 21"),
        ("rows > 100", "rowz > 100", 32, "#/steps/2/when", "no field 'rowz'; did you mean 'rows'?"),
        ("load.dataset.rows > 100", "item == 1", 32, "#/steps/2/when", "only in `params` and `when` of a step with"),
        ("model: ${fit[0].model}", "model: ${fit[0].modl}", 30, "#/steps/2/params/model", "did you mean 'model'?"),
        ("model: ${fit[0].model}", "model: ${ft[0].model}", 30, "#/steps/2/params/model", "did you mean 'fit'?"),
        ("model: ${fit[0].model}", "model: ${fit[0].model", 30, "#/steps/2/params/model", "has no end"),
        ("model: ${fit[0].model}", "model: ${load.dataset}", 30, "#/steps/2/params/model", "is a dataset"),
        ("model: ${fit[0].model}", "model: ${fit.model}", 30, "#/steps/2/params/model", "${fit.model} is a list"),
        ("model: ${fit[0].model}", "model: ${fit[0].rows}", 30, "#/steps/2/params/model", "${fit[0].rows} is a number"),
        ("model: ${fit[0].model}", "model: ${params.mdl}", 30, "#/steps/2/params/model", "there is no parameter 'mdl'"),
        ("model: ${fit[0].model}", "model: ${params.region}", 30, "#/steps/2/params/model", "got 'no'"),
        ("model: ${fit[0].model}", "model: ${run.name}", 30, "#/steps/2/params/model", "a run has ${run.id}"),
        ("target: Churn", "target: 5", 19, "#/steps/1/params/target", "valid string; got 5"),
        ("      target: Churn\n", "", 17, "#/steps/1/params", "target"),
        ("folds: ${params.folds}", "folds: ${params.region}", 24, "#/steps/1/params/validation/folds", "got 'no'"),
        ("folds: ${params.folds}", "folds: ${load.dataset.name}", 24, "#/steps/1/params/validation/folds", "is a text"),
        ("folds: ${params.folds}", "fold: 5", 24, "#/steps/1/params/validation/fold", "did you mean 'folds'?"),
        ("[a, b]", "[a, B c]", 17, "#/steps/1/params/name", "got 'churn-B c'"),
        ("default: 7", "default: five", 6, "#/params/spare", "of the type integer, and is the text 'five'"),
        ("default: 7", "default: 7, min: 1", 6, "#/params/spare/min", "there is no field 'min'"),
        ("region: no", "region: yes\n  region: no", 4, "#", "the name 'region' stands on line 3 already"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(before: str, after: str, line: int, pointer: str, detail: str) -> None:
    assert _YAML.count(before) == 1 or before == "name: score"
    text = _YAML.replace(before, after)
    if pointer == "#":
        with pytest.raises(errors.MalformedRequestError) as refused:
            _parse(text)
        assert f"line {line}: {detail}" in refused.value.problems[0]["detail"]
        return
    problems = _refuse(text)
    assert [where for where, _ in problems] == [pointer]
    assert problems[0][1].startswith(f"line {line}: ")
    assert detail in problems[0][1]


def test_the_document_says_what_is_read() -> None:
    text = (pathlib.Path(__file__).parents[5] / "docs" / "pipelines.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert [step.name for step in _parse(example).steps] == ["load", "fit", "score"]
    (shown,) = re.findall(r"## Conditions\n\n```\n(.*?)```", text, re.DOTALL)
    assert [type(conditions.parse(line)) for line in shown.splitlines()] == [conditions.Operation] * 2


@pytest.mark.parametrize(
    ("unit", "content_type"),
    [
        ("[", "application/yaml"),
        ("- ", "application/yaml"),
        ("? ", "application/yaml"),
        ("{a: ", "application/yaml"),
        ("&a ", "application/yaml"),
        ("a:\n ", "application/yaml"),
        ('"', "application/yaml"),
        ("#", "application/yaml"),
        ('"\\', "application/json"),
        ('{"":', "application/json"),
        (" ", "application/json"),
    ],
)
def test_a_hostile_text_costs_little(unit: str, content_type: str) -> None:
    begun = time.thread_time()
    with pytest.raises(errors.RequestError):
        _parse(unit * (1024 * 1024 // len(unit)), content_type=content_type)
    assert time.thread_time() - begun < 2


@pytest.mark.parametrize(
    "text", ["${params.big}", "x ${item} ${params.big[0]}", "${params.small.x}", "${s.x}", "$" * 90]
)
def test_a_hostile_pipeline_costs_little(text: str) -> None:
    step = {"name": "s", "kind": "training.fit", "params": {"a": [text] * 9_000}, "for_each": ["x" * 9_000] * 9}
    params = {"big": [0] * 20_000, "small": 1}
    begun = time.thread_time()
    with pytest.raises(errors.InvalidRequestError) as refused:
        _parse(json.dumps({"steps": [step], "params": params}), content_type="application/json")
    assert len(refused.value.problems) <= 50
    assert time.thread_time() - begun < 5


def test_circles_are_named() -> None:
    steps = "".join(
        f"\n- {{name: {name}, kind: training.ping, needs: [{needed}]}}"
        for name, needed in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
    )
    ((pointer, detail),) = _refuse(f"steps:{steps}")
    assert pointer == "#/steps/0"
    assert detail == "line 2: the steps need one another in a circle, a → c → b → a; none of them could begin"
    ((_, detail),) = _refuse("steps:\n- {name: a, kind: training.ping, when: a.state == 'failed'}")
    assert "a → a; a step can't need itself" in detail
    # A step that handles the failure of what it needs... needs it; what needs the step that handles it doesn't work.
    handles = "{name: a, kind: training.ping, on_failure: b, needs: [b]}"
    ((_, detail),) = _refuse(f"steps:\n- {handles}\n- {{name: b, kind: training.ping}}")
    assert "in a circle" in detail


def test_all_mistakes_are_told_at_once_in_json_too() -> None:
    steps = [
        {"name": "a", "kind": "training.ping", "needs": ["x"]},
        {"name": "b", "kind": "training.png", "when": "1 +"},
    ]
    text = json.dumps({"steps": steps}, indent=1)
    lines = [
        number for number, line in enumerate(text.splitlines(), 1) if '"x"' in line or "png" in line or "1 +" in line
    ]
    told = [
        int(detail.split(":")[0].removeprefix("line ")) for _, detail in _refuse(text, content_type="application/json")
    ]
    assert sorted(told) == lines
    assert len(told) == 3


@pytest.mark.parametrize(
    ("text", "line", "detail"),
    [
        ("a: 1\nb: [1, 2\nc: 3", 3, "expected"),
        ("a: 1\n\tb: 2", 2, "found a tab character"),
        ("a: &x [1, *x]", 1, "*x names nothing that is complete above it"),
        ("a: *x", 1, "*x names nothing"),
        ("a: !!python/object:os.system ls", 1, "the tag 'tag:yaml.org,2002:python/object:os.system' is not read"),
        ("a: !!set {x}", 1, "is not read"),
        ("a: &x {b: 1}\nc:\n  <<: *x", 3, "merge keys"),
        ("a: 1\n---\na: 2", 2, "a second document begins"),
        ("? [1, 2]\n: 3", 1, "the name of a field must be a text"),
        ("", 1, "it is empty"),
        ("a: 99999999999999999999", 1, "integer of 64 bits"),
        ("a: 1e999", 1, "too large"),
        ("a: " + "9" * 400, 1, "400 characters"),
        ('a: "\\0"', 1, "NUL"),
        ("a:\n" + " [\n" * 100, 61, "nested deeper than 60"),
        ("[" * 100_000, 1, ""),
        ("".join(f"{' ' * depth}a:\n" for depth in range(100)), 61, "nested deeper than 60"),
        ("a: \x01", 1, ""),
    ],
)
def test_yaml_that_is_none_or_is_not_allowed_is_refused(text: str, line: int, detail: str) -> None:
    with pytest.raises(errors.MalformedRequestError) as refused:
        _parse(text)
    assert refused.value.problems[0]["detail"].startswith(f"line {line}: ")
    assert detail in refused.value.problems[0]["detail"]


@pytest.mark.parametrize(
    ("text", "line", "detail"),
    [
        ('{"a": 1,\n "a": 2}', 2, "the name 'a' stands on line 1 already"),
        ('{"a": 1,\n}', 2, "a name in double quotes is needed, and '}' stands there"),
        ("[1 2]", 1, "',' or ']' is needed"),
        ("{'a': 1}", 1, "a name in double quotes"),
        ('{"a": NaN}', 1, "a value is needed, and 'NaN}' stands there"),
        ('{"a": 01}', 1, "a value"),
        ('{"a": "\n"}', 1, "a value"),
        ('{"a": "\\x"}', 1, "unknown escape"),
        ('{"a": "\\ud800"}', 1, "surrogate"),
        ('{"a": "\\u0000"}', 1, "NUL"),
        ('{"a": 1}\n\n{}', 3, "the end of the document is needed, and '{}' stands there"),
        ("[" * 100_000, 1, "nested deeper"),
        ('{"a": ', 1, "the text ends there"),
        ("", 1, "the text ends there"),
    ],
)
def test_json_that_is_none_is_refused(text: str, line: int, detail: str) -> None:
    with pytest.raises(errors.MalformedRequestError) as refused:
        _parse(text, content_type="application/json")
    assert refused.value.problems[0]["detail"].startswith(f"line {line}: ")
    assert detail in refused.value.problems[0]["detail"]


def test_json_is_read_as_the_standard_library_does() -> None:
    value: Any = {
        "a": [1, -2.5, 1e3, True, False, None, 'ü " \\ \n', {}, [], [[1], {"b": {}}]],
        "": {"c": "\U0001f600"},
    }
    for indent in (None, 2):
        text = json.dumps(value, indent=indent)
        assert parsing.read(text.encode(), content_type="application/json").value == value


def test_what_is_not_quoted_is_text_unless_json_reads_it_otherwise() -> None:
    words: dict[str, Any] = {
        "no": "no", "on": "on", "2026-01-01": "2026-01-01", "0123": "0123", "1:30": "1:30", "0x1F": "0x1F", ".5": ".5",
        "1_000": "1_000", ".nan": ".nan", "1.0": 1.0, "-3": -3, "1e3": 1000.0, "True": True, "~": None, "": None,
        "'1'": "1", "!!str 1": "1",
    }  # fmt: skip
    text = "".join(f"- {word}\n" for word in words)
    assert parsing.read(text.encode(), content_type="text/yaml").value == list(words.values())
    named = parsing.read(b"no: 1\n1: &x [2]\nb: *x\n", content_type="text/yaml")
    assert named.value == {"no": 1, "1": [2], "b": [2]}


def test_labels_that_multiply_are_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    begun = time.thread_time()
    with pytest.raises(errors.TooLargeError, match="more than 50000 values"):
        _parse("\n".join(lines))
    assert time.thread_time() - begun < 1


@pytest.mark.parametrize("end", ["", "ü"])
def test_texts_that_labels_repeat_are_bounded_by_what_they_make(end: str) -> None:
    repeated = ", ".join(["*a"] * 20_000)
    begun = time.thread_time()
    with pytest.raises(errors.TooLargeError, match="more than 1048576 characters"):
        _parse(f'params: {{a: &a "{"x" * 400_000}{end}", b: [{repeated}]}}')
    assert time.thread_time() - begun < 1


def test_labels_do_not_nest_deeper_than_what_is_written_may() -> None:
    lines = [f"p1: &p1 {'[' * 40}{']' * 40}", f"p2: {'[' * 30}*p1{']' * 30}"]
    with pytest.raises(errors.MillraceError, match="nested deeper than 60 levels"):
        _parse("\n".join(lines))


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b"x" * (1024 * 1024 + 1), "application/yaml", errors.TooLargeError),
        (b"[" + b"1," * 60_000 + b"1]", "application/json", errors.TooLargeError),
        ("a: ü".encode("utf-16"), "application/yaml", errors.MalformedRequestError),
        (b"{}", "text/html", errors.UnsupportedMediaTypeError),
        (b"{}", "", errors.UnsupportedMediaTypeError),
        (b"null", "application/json", errors.InvalidRequestError),
        (b"[]", "application/json", errors.InvalidRequestError),
        (b'{"steps": []}', "application/json", errors.InvalidRequestError),
        (b'{"steps": [1, null, {"name": 5}]}', "application/json", errors.InvalidRequestError),
        (b'{"steps": {"a": 1}, "params": [], "concurrency": true}', "application/json", errors.InvalidRequestError),
    ],
)
def test_bodies_of_another_kind_are_refused(body: bytes, content_type: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parsing.parse(body, content_type=content_type)


def test_too_many_steps_are_refused_and_as_many_as_allowed_are_checked_fast() -> None:
    steps = [{"name": f"s{n}", "kind": "training.ping", "needs": [f"s{n - 1}"] if n else []} for n in range(1_001)]
    ((pointer, _),) = _refuse(json.dumps({"steps": steps}), content_type="application/json")
    assert pointer == "#/steps"
    begun = time.thread_time()
    _parse(json.dumps({"steps": steps[:-1]}), content_type="application/json")
    assert time.thread_time() - begun < 2
