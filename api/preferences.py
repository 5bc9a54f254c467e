"""Reads what the client prefers (RFC 7240): how long to wait for a job, and that one without success is an error."""

import dataclasses
import re

import flask

_MAX_WAIT_SECONDS = 60.0
_MAX_LENGTH = 2000
"""A header that is longer is ignored, as any preference may be."""
_SECONDS = re.compile(r"\d{1,6}(?:\.\d{1,3})?", re.ASCII)
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PART = re.compile(rf'[ \t]*+({_WORD})?(?:[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|{_WORD})?)?[ \t]*+([,;]|$)')
_OURS = ("wait", "fail")


@dataclasses.dataclass(frozen=True)
class Preferences:
    """What the client of this request prefers."""

    wait_seconds: float
    """How long to wait for the job's end, at most 60 s."""
    fails: bool = False
    """Whether a job that ended without success is to be answered as an error."""

    @property
    def applied(self) -> str:
        """The value of Preference-Applied where all of it was applied."""
        return f"wait={self.wait_seconds:g}" + (", fail=true" if self.fails else "")


def read(*, default_wait_seconds: float = 0.0) -> Preferences:
    """Read the preferences of the current request; unknown ones, and values that are none, are ignored."""
    headers = flask.request.headers.getlist("Prefer")
    if not headers:
        return Preferences(default_wait_seconds)
    found = _parse(",".join(headers))
    seconds = _SECONDS.fullmatch(found.get("wait", ""))
    return Preferences(
        min(_MAX_WAIT_SECONDS, float(seconds.group())) if seconds else default_wait_seconds,
        fails=found.get("fail", "false").lower() in {"true", ""},
    )


def _parse(header: str) -> dict[str, str]:
    """Parse the values of our preferences, of each the first; one may also be written as a parameter of the other."""
    found: dict[str, str] = {}
    preference, separator, position = "", ",", 0
    while position < len(header) <= _MAX_LENGTH:
        part = _PART.match(header, position)
        if part is None:
            preference, separator, position = "", ",", header.find(",", position) + 1 or len(header)
            continue
        name, value = (part.group(1) or "").lower(), part.group(2) or ""
        preference = name if separator == "," else preference
        if name in _OURS and preference in _OURS:
            found.setdefault(name, re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value)
        separator, position = part.group(3), part.end()
    return found
