"""What README shows is taken: every document that it sends is held against the contract of its kind."""

import json
import re
from typing import Any

import pytest

from shared import kinds
from tests.system_under_test import CHECKOUT

_REQUEST = re.compile(r"curl -sS -X POST \$API/v1/(\S+) (?:(?!curl).)*?-d '(\{.*?\})'", re.DOTALL)
# What moves a deployment is no job.
REQUESTS = [
    (path, json.loads(body))
    for path, body in _REQUEST.findall((CHECKOUT / "README.md").read_text())
    if not path.startswith("deployments/")
]


def order(path: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the kind and the parameters that a resource's route makes of a body."""
    collection, _, name = path.partition("/")
    named = {**body, "name": name}
    match collection:
        case "datasets" if name.endswith("/split"):
            return "processing.split", {**body, "dataset": f"{name.removesuffix('/split')}@latest"}
        case "datasets":
            return "ingestion.load", {"format": "csv", **named}
        case "features" if name.endswith("/apply"):
            return "processing.apply", {**body, "features": f"{name.removesuffix('/apply')}@latest"}
        case "features":
            return "processing.fit", named
        case "models":
            return ("training.search" if {"search", "estimators"} & set(body) else "training.fit"), named
        case "evaluations":
            return "evaluation.score", body
        case "pipelines":
            return "orchestration.run", {**body, "pipeline": name.partition("/")[0]}
        case "predictions":
            return "prediction.batch", body
        case _:
            return f"{collection}.{name}", body


@pytest.mark.parametrize(("path", "body"), REQUESTS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_document_in_readme_is_one_that_its_kind_takes(path: str, body: dict[str, Any]) -> None:
    kind, params = order(path, body)
    kinds.public_by_name()[kind].command.model_validate(params)


def test_readme_shows_every_role() -> None:
    shown = {order(path, body)[0].partition(".")[0] for path, body in REQUESTS}
    assert shown == {"ingestion", "processing", "training", "evaluation", "prediction", "storage", "orchestration"}


def test_readmes_features_leave_out_what_its_models_predict() -> None:
    orders = [order(path, body) for path, body in REQUESTS]
    targets = {params["target"] for kind, params in orders if kind.startswith("training.")}
    assert [{params.get("target")} for kind, params in orders if kind == "processing.fit"] == [targets]
