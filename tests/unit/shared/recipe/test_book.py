"""The handbook of recipes is the language's own schema, in words."""

import json
import re
import typing

from shared.recipe import book
from shared.recipe.language import STEPS, Recipe


def test_the_page_is_what_the_schema_gives_now() -> None:
    assert book.PATH.read_text(encoding="utf-8") == book.render(), "run python -m shared.recipe.book"


def test_the_page_has_every_step_once_with_an_example_that_is_valid() -> None:
    found = re.findall(r"```json\n(.*?)\n```", book.render(), flags=re.DOTALL)
    # What stands before the steps shows a whole command.
    blocks = [block for block in found if "op" in json.loads(block)]
    ops = [json.loads(block)["op"] for block in blocks]
    assert sorted(ops) == sorted(typing.get_args(step.model_fields["op"].annotation)[0] for step in STEPS)
    for block in blocks:
        read = Recipe.model_validate_json(f'{{"steps": [{block}]}}')
        assert read.steps[0].op == json.loads(block)["op"]
