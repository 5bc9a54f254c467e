"""The table of event types: complete, and told in the documentation."""

import ast
import pathlib

import pytest

from shared.events import book, types

ROOT = pathlib.Path(__file__).parents[4]


def emitted() -> set[str]:
    """List the types that the code's events have; a type that is put together is a pattern with `*`."""
    found = set()
    for folder in ("api", "shared", "sweeper", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in {"outbox.Event", "Event"}:
                    named = {keyword.arg: keyword.value for keyword in node.keywords}
                    found.add(_text(node.args[0] if node.args else named["type"]))
    return found


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
    assert isinstance(node, ast.Constant), ast.unparse(node)
    return str(node.value)


def test_every_event_that_the_code_tells_has_a_type() -> None:
    told = emitted()
    assert len(told) >= 8
    for name in told:
        assert [known for known in types.TYPES if pathlib.PurePath(known).match(name)], name


def test_the_documentation_has_the_present_table() -> None:
    assert book.PATH.read_text() == book.render(), "run: python -m shared.events.book"


@pytest.mark.parametrize("name", types.TYPES)
def test_every_field_of_an_event_is_described(name: str) -> None:
    fields = types.TYPES[name].data.model_fields
    assert fields
    assert all(field.description for field in fields.values())
