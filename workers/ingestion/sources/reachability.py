"""Says why a source can't be reached, in our own words: a driver's may show a login, a path or a secret."""

import re

import sqlalchemy as sa

from shared import errors

DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
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
_REFUSALS = (
    (
        r"password|access denied|no pg_hba\.conf entry|authentication|role .* does not exist|not permitted to log in",
        "refuses the operator's login: the user or the password is wrong, or they may not connect from here",
    ),
    (r"unknown database|database .* does not exist", "has no database of the name that the operator gave"),
)


def explain(error: BaseException | str | None) -> str:
    """Return why a connection failed, for the end of a sentence; empty when the cause is none that is known."""
    return _find(_CAUSES, f"{error}") or ""


def database_error(error: BaseException | None, *, url: sa.URL, name: str) -> errors.MillraceError:
    """Build the error for a database to which no connection could be made; only refusals are final."""
    if url.get_backend_name() == "sqlite":
        if "unable to open" not in f"{error}":
            return errors.RetryableError(f"The database {name!r} can't be opened at the moment.")
        return errors.PermanentError(
            f"The database {name!r} can't be opened: its file isn't there, or the worker may not read it."
        )
    place = f"The database {name!r}{_describe_place(url)}"
    if refusal := _find(_REFUSALS, f"{error}"):
        return errors.PermanentError(f"{place} {refusal}.")
    cause = explain(error)
    return errors.RetryableError(f"{place} can't be reached at the moment{cause and ': '}{cause}.")


def _find(rows: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((sentence for pattern, sentence in rows if re.search(pattern, text, re.I)), None)


def _describe_place(url: sa.URL) -> str:
    """Return a server's host and port, for a sentence; nothing where the URL has a socket or several hosts instead."""
    if not url.host:
        return ""
    port = url.port or DEFAULT_PORTS[url.get_backend_name()]
    return f" at {url.host}:{port}"
