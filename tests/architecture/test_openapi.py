"""The OpenAPI document is valid and complete."""

import openapi_spec_validator
import pytest

from api.app import create_app
from shared import settings


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> object:
    return create_app(settings.Settings(home=tmp_path_factory.mktemp("home")))


def test_the_openapi_document_is_valid_3_1(app: object) -> None:
    document = app.test_client().get("/openapi.json").json  # type: ignore[attr-defined]
    assert document["openapi"].startswith("3.1")
    openapi_spec_validator.validate(document)
