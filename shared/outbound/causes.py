"""Says why a connection failed, in our own words: a library's may show a login, a path or a secret."""

import re

_NO_NAME = "no host has this name"
_TIMED_OUT = "it does not answer in time"

_CAUSES = (
    (r"temporary failure in name resolution|try again", "its name can't be looked up at the moment"),
    (r"not known|no address associated|nodename nor servname|resolve host|translate host name|dns error", _NO_NAME),
    (r"refused", "the connection is refused, as where nothing listens on this port"),
    (r"timed? ?out|timeout|not answered within", _TIMED_OUT),
    (r"unreachable|no route to host", "no route leads there"),
    (r"too many (connections|clients)|connection slots", "it has no connection left"),
    (
        r"\bssl\b|\btls\b|certificate|wrong version number",
        "TLS fails, or its certificate is not valid",
    ),
    (r"reset|closed|lost connection|eof|broken pipe", "it ended the connection"),
)


def explain(error: BaseException | str | None) -> str:
    """Return why a connection failed, for the end of a sentence; empty when the cause is none that is known."""
    return find(_CAUSES, f"{error}") or ""


def find(rows: tuple[tuple[str, str], ...], text: str) -> str | None:
    """Find the sentence beside the first pattern that a text has."""
    return next((sentence for pattern, sentence in rows if re.search(pattern, text, re.I)), None)
