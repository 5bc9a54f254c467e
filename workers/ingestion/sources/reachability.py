"""Says why a database can't be reached, in our own words: a driver's may show a login, a path or a secret."""

import sqlalchemy as sa

from shared import errors
from shared.outbound import causes

DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
_REFUSALS = (
    (
        r"password|access denied|no pg_hba\.conf entry|authentication|role .* does not exist|not permitted to log in",
        "refuses the operator's login: the user or the password is wrong, or they may not connect from here",
    ),
    (r"unknown database|database .* does not exist", "has no database of the name that the operator gave"),
)


def database_error(error: BaseException | None, *, url: sa.URL, name: str) -> errors.MillraceError:
    """Build the error for a database to which no connection could be made; only refusals are final."""
    if url.get_backend_name() == "sqlite":
        if "unable to open" not in f"{error}":
            return errors.RetryableError(f"The database {name!r} can't be opened at the moment.")
        return errors.PermanentError(
            f"The database {name!r} can't be opened: its file isn't there, or the worker may not read it."
        )
    place = f"The database {name!r}{_describe_place(url)}"
    if refusal := causes.find(_REFUSALS, f"{error}"):
        return errors.PermanentError(f"{place} {refusal}.")
    cause = causes.explain(error)
    return errors.RetryableError(f"{place} can't be reached at the moment{cause and ': '}{cause}.")


def _describe_place(url: sa.URL) -> str:
    """Return a server's host and port, for a sentence; nothing where the URL has a socket or several hosts instead."""
    if not url.host:
        return ""
    port = url.port or DEFAULT_PORTS[url.get_backend_name()]
    return f" at {url.host}:{port}"
