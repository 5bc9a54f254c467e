"""Reads JSON with the line of each value, as strictly as the API reads other bodies."""

import json
import re
from typing import NoReturn

from shared.orchestration.language import located

_TOKEN = re.compile(
    r'(?P<mark>[\[\]{},:])|(?P<text>"(?:[^"\\\x00-\x1f]|\\.)*+")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(?![0-9A-Za-z.])|(?P<word>true|false|null)\b"
)
_SPACE = re.compile(r"[ \t\r\n]*")
_WORDS = {"true": True, "false": False, "null": None}
_CLOSING = {"{": "}", "[": "]"}


def read(text: str) -> located.Located:
    """Read a JSON document; MalformedRequestError, with the line, for what isn't one."""
    return _Reader(text).read()


class _Reader:
    """Goes through the text token by token, without recursion."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._builder = located.Builder()
        self._open: list[str] = []
        self._is_first = False
        """Whether the object or array that is open has no member yet."""

    def read(self) -> located.Located:
        self._skip_space()
        self._read_value()
        while self._open:
            self._read_member()
        if self._at < len(self._text):
            self._refuse("the end of the document")
        return self._builder.finish()

    def _read_member(self) -> None:
        """Read what comes next inside the object or array that is open: a member, or its end."""
        closing = _CLOSING[self._open[-1]]
        is_first, self._is_first = self._is_first, False
        if self._peek(closing):
            self._take_mark(closing)
            self._open.pop()
            self._builder.close()
            return
        if not is_first:
            self._take_mark(",", otherwise=f"',' or {closing!r}")
        if closing == "}":
            self._read_name()
        self._read_value()

    def _read_name(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        if match is None or match["text"] is None:
            self._refuse("a name in double quotes")
        self._builder.name(self._to_text(match["text"]), line=self._line)
        self._advance(match.end())
        self._take_mark(":")

    def _read_value(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        if match is None or (match["mark"] or "[") not in _CLOSING:
            self._refuse("a value")
        if match["mark"]:
            self._open.append(match["mark"])
            self._builder.open({} if match["mark"] == "{" else [], line=self._line)
            self._advance(match.end())
            self._is_first = True
            return
        if match["text"]:
            value: str | int | float | bool | None = self._to_text(match["text"])
        elif match["number"]:
            value = located.read_number(match["number"], line=self._line)
        else:
            value = _WORDS[match["word"]]
        self._builder.put(value, line=self._line)
        self._advance(match.end())

    def _to_text(self, quoted: str) -> str:
        try:
            return str(json.loads(quoted))
        except ValueError:
            return located.refuse(f"{quoted[:40]} has an unknown escape", line=self._line, path=self._builder.path)

    def _peek(self, mark: str) -> bool:
        return self._text.startswith(mark, self._at)

    def _take_mark(self, mark: str, *, otherwise: str = "") -> None:
        if not self._peek(mark):
            self._refuse(otherwise or repr(mark))
        self._advance(self._at + 1)

    def _advance(self, to: int) -> None:
        self._at = to
        self._skip_space()

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        if match is not None:
            self._line += self._text.count("\n", self._at, match.end())
            self._at = match.end()

    def _refuse(self, wanted: str) -> NoReturn:
        seen = self._text[self._at : self._at + 20]
        found = f"{seen!r} stands there" if seen else "the text ends there"
        located.refuse(f"{wanted} is needed, and {found}", line=self._line, path=self._builder.path)
