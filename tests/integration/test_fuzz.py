"""Schemathesis over the OpenAPI document: no 500, and no answer that the document does not describe."""

import contextlib
from collections.abc import Callable
from typing import Any

import flask
import flask.testing
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
EXAMPLES = 8


def known_of(client: flask.testing.FlaskClient, path: str) -> dict[str, Any]:
    """Give parameters for a path at which something is, so that not all answers are 404."""
    name = {"datasets": "things", "features": "shape", "models": "greatness"}.get(path.split("/")[2], "")
    [job] = client.get("/v1/jobs?role=training").get_json()["jobs"]
    [evaluation] = client.get("/v1/evaluations").get_json()["evaluations"]
    known = {"name": name, "version": 1, "alias": "best", "job_id": job["id"], "evaluation_id": evaluation["id"]}
    return {part: value for part, value in known.items() if f"{{{part}}}" in path}


def fuzz(strategy: Any, call: Callable[[Any], None]) -> None:
    """Call with a bounded number of generated cases, the same each time."""

    @hypothesis.seed(7)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=strategy)
    def run(case: Any) -> None:
        call(case)

    # What takes nothing can be given nothing wrong.
    with contextlib.suppress(hypothesis.errors.Unsatisfiable):
        run()


# Schemathesis does not close the answers of an application that it calls in this process.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_answers_as_the_document_says(
    furnished_app: flask.Flask,
    furnished: flask.testing.FlaskClient,
    keyring: dict[str, str],
    mode: GenerationMode,
) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", furnished_app)
    # Schemathesis does not close its downloads either, so none of them gives its place back.
    furnished_app.extensions["door"].arrivals._most = 10_000
    statuses: set[int] = set()

    def call(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {keyring['admin']}"})
        statuses.add(response.status_code)
        is_stream = "text/event-stream" in str(response.headers.get("content-type"))
        # Schemathesis reads a stream's schema as that of each event, which is how OpenAPI 3.2 has it, not 3.1.
        case.validate_response(response, checks=CHECKS[:-1] if is_stream else CHECKS)

    count = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]  # A document with an error fails here, as it should.
        # What deletes comes with a path of its own making only: the others need what is there.
        known = {} if operation.method == "delete" else known_of(furnished, f"{operation.path}//")
        fuzz(operation.as_strategy(generation_mode=mode), call)
        if known:
            fuzz(operation.as_strategy(generation_mode=mode, path_parameters=known), call)
        count += 1
    assert count == len(list(schema.get_all_operations())) >= 34
    assert {200, 422} <= statuses
    assert not {500, 503} & statuses
