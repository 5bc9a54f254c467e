"""The examples of docs/lookups.md are documents that the routes take."""

import json
import pathlib
import re
from typing import Any

import pydantic
import pytest

from api.processing.publications import PublishRequest
from api.processing.routes import FitRequest
from shared.prediction.deployments import Deployment
from shared.processing.pushes import PushRows

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "lookups.md"
ROUTES: dict[str, type[pydantic.BaseModel]] = {
    "/v1/features/churn-features": FitRequest,
    "/v1/features/churn-features/publish": PublishRequest,
    "/v1/deployments/churn": Deployment,
    "/v1/features/churn-features/rows": PushRows,
}
EXAMPLES = re.findall(r'```json (?:post|put)="([^"]+)"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.S)


def test_all_routes_are_shown() -> None:
    assert [route for route, _ in EXAMPLES] == list(ROUTES)


@pytest.mark.parametrize(("route", "example"), EXAMPLES)
def test_an_example_is_taken(route: str, example: str) -> None:
    document: dict[str, Any] = json.loads(example)
    made = ROUTES[route].model_validate_json(example).model_dump(exclude_unset=True, mode="json")
    assert made == document
