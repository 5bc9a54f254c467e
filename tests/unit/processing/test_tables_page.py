"""The examples of docs/tables.md are documents that the routes take."""

import json
import pathlib
import re
from typing import Any

import pytest

from api.processing.aggregates import AggregateRequest
from api.processing.joins import JoinRequest

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "tables.md"
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)]


@pytest.mark.parametrize("example", [each for each in EXAMPLES if {"right", "measures"} & each.keys()])
def test_an_example_is_taken(example: dict[str, Any]) -> None:
    request = JoinRequest if "right" in example else AggregateRequest
    assert request.model_validate(example).model_dump(exclude_unset=True, mode="json") == example
