"""The language of `when`: what may be written, read into a small tree of our own, which is all that is ever evaluated.

    score.metrics.roc_auc.mean > 0.8 and params.region in ["eu", "us"]
    fit.state == "failed" or coalesce(load.dataset.rows, 0) == 0

Names are `params.x`, `step.field`, `step.state`, `step.error`, `item`, `run.id` and `run.at`; a step whose name has a
`-` is written as `${fit-eu.metrics}`. There are numbers, texts in quotes, `true`, `false`, `null`, lists, `and`, `or`,
`not`, `in`, `not in`, comparisons, `+ - * / // %`, `len` and `coalesce`. What they mean of null stands in
`condition_values`.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import NoReturn

from shared.orchestration.language import document, references

MAX_TOKENS = 300
MAX_DEPTH = 40
FUNCTIONS = {"len": (1, 1), "coalesce": (1, 20)}
"""The functions, with the least and the greatest count of their arguments."""
_TOKEN = re.compile(
    r"\s*+(?:(?P<reference>\$\{[^}]*\})|(?P<number>(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?)(?![\w.])"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<name>[A-Za-z_]\w*(?:\.\w+|\[\d{1,6}\]|\[\"[^\"\]]{1,200}\"\])*)"
    r"|(?P<mark>==|!=|<=|>=|//|[<>+*/%(),\[\]-])|(?P<other>\S))",
    re.ASCII,
)
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_COMPARISONS = ("==", "!=", "<=", ">=", "<", ">", "in", "not")
_HINTS = {
    "=": "write == to compare",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not` or !=",
    "^": "there are no powers",
    "{": "there are no objects; a reference is written ${step.field}",
    '"': "the text has no end",
    "'": "the text has no end",
}


@dataclasses.dataclass(frozen=True)
class Constant:
    """A number, a text, true, false or null."""

    value: str | int | float | bool | None


@dataclasses.dataclass(frozen=True)
class Name:
    """What a reference stands for."""

    reference: references.Reference


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operator, a function or a list (`[]`), with its operands."""

    operator: str
    operands: tuple["Node", ...]


Node = Constant | Name | Operation


@dataclasses.dataclass(frozen=True)
class _Token:
    type: str
    text: str
    at: int


def parse(text: str) -> Node:
    """Read a condition; ValueError, with what is wrong, where, and what to write instead."""
    if len(text) > document.MAX_CONDITION:
        raise ValueError(f"the condition has {len(text)} characters; at most {document.MAX_CONDITION} are read")
    return _Parser(_split(text)).parse()


def list_names(node: Node) -> Iterator[references.Reference]:
    """List the references of a condition."""
    pending = [node]
    while pending:
        found = pending.pop()
        if isinstance(found, Name):
            yield found.reference
        elif isinstance(found, Operation):
            pending += reversed(found.operands)


def _split(text: str) -> list[_Token]:
    tokens = []
    # Nothing matches blanks at the end, which would be looked through from each of them on.
    for match in _TOKEN.finditer(text.rstrip()):
        type_ = match.lastgroup or "other"
        token = _Token(type_, match[type_], match.start(type_) + 1)
        if type_ == "other":
            hint = _HINTS.get(token.text, "it is not part of the language of conditions")
            raise ValueError(f"{token.text!r} at character {token.at}: {hint}")
        tokens.append(token)
        if len(tokens) > MAX_TOKENS:
            raise ValueError(f"the condition is too large; at most {MAX_TOKENS} words and marks are read")
    return [*tokens, _Token("end", "", len(text) + 1)]


class _Parser:
    """Reads by descent; each level is a method, and how deep they may call one another is bounded."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._read_or()
        if self._token.type != "end":
            self._refuse("an operator such as `and` or ==")
        return node

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _refuse(self, wanted: str) -> NoReturn:
        seen = repr(self._token.text[:40]) if self._token.type != "end" else "the end"
        raise ValueError(f"{wanted} is needed at character {self._token.at}, where {seen} stands")

    def _take(self, *texts: str) -> str:
        """Go past the next token if it is one of these marks or words; else return an empty text."""
        token = self._token
        if token.type in ("mark", "name") and token.text in texts:
            self._at += 1
            return token.text
        return ""

    def _read_or(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"the condition is nested deeper than {MAX_DEPTH} levels")
        operands = [self._read_and()]
        while self._take("or"):
            operands.append(self._read_and())
        self._depth -= 1
        return operands[0] if len(operands) == 1 else Operation("or", tuple(operands))

    def _read_and(self) -> Node:
        operands = [self._read_not()]
        while self._take("and"):
            operands.append(self._read_not())
        return operands[0] if len(operands) == 1 else Operation("and", tuple(operands))

    def _read_not(self) -> Node:
        count = 0
        while self._take("not"):
            count += 1
        node = self._read_comparison()
        # Twice `not` is still true or false, so at most two are kept of however many.
        for _ in range(count if count < 2 else 2 - count % 2):
            node = Operation("not", (node,))
        return node

    def _read_comparison(self) -> Node:
        left = self._read_sum()
        operator = self._take(*_COMPARISONS)
        if operator == "not":
            if not self._take("in"):
                self._refuse("`in` after `not`")
            operator = "not in"
        if not operator:
            return left
        node = Operation(operator, (left, self._read_sum()))
        if self._token.text in _COMPARISONS and self._token.type in ("mark", "name"):
            raise ValueError(
                f"comparisons can't follow one another, as at character {self._token.at}; write a < b and b < c"
            )
        return node

    def _read_sum(self) -> Node:
        node = self._read_product()
        while operator := self._take("+", "-"):
            node = Operation(operator, (node, self._read_product()))
        return node

    def _read_product(self) -> Node:
        node = self._read_signed()
        while operator := self._take("*", "//", "/", "%"):
            node = Operation(operator, (node, self._read_signed()))
        return node

    def _read_signed(self) -> Node:
        negative = False
        while self._take("-"):
            negative = not negative
        node = self._read_operand()
        return Operation("negative", (node,)) if negative else node

    def _read_operand(self) -> Node:
        token = self._token
        if self._take("("):
            node = self._read_or()
            self._close(")")
            return node
        if self._take("["):
            return Operation("[]", tuple(self._read_operands("]")))
        if token.type == "number":
            self._at += 1
            return Constant(_read_number(token.text))
        if token.type == "text":
            self._at += 1
            return Constant(token.text[1:-1])
        if token.type == "reference":
            self._at += 1
            return Name(references.read(token.text[2:-1]))
        return self._read_name()

    def _read_name(self) -> Node:
        token = self._token
        if token.type != "name" or token.text in ("and", "or", "in", "not"):
            self._refuse("a value")
        self._at += 1
        if token.text in _CONSTANTS:
            return Constant(_CONSTANTS[token.text])
        if not self._take("("):
            return Name(references.read(token.text))
        if token.text not in FUNCTIONS:
            raise ValueError(f"there is no function {token.text[:60]!r}; these are: {', '.join(FUNCTIONS)}")
        operands = self._read_operands(")")
        least, most = FUNCTIONS[token.text]
        if not least <= len(operands) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            raise ValueError(f"{token.text} takes {count} values, not {len(operands)}")
        return Operation(token.text, tuple(operands))

    def _read_operands(self, closing: str) -> list[Node]:
        operands: list[Node] = []
        if self._take(closing):
            return operands
        operands.append(self._read_or())
        while self._take(","):
            operands.append(self._read_or())
        self._close(closing)
        return operands

    def _close(self, mark: str) -> None:
        if not self._take(mark):
            self._refuse(repr(mark))


def _read_number(text: str) -> int | float:
    number = int(text) if text.isdigit() and len(text) <= 18 else float(text)
    if number == float("inf"):
        raise ValueError(f"the number {text[:40]} is too large")
    return number
