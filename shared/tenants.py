"""The rule for the names of tenants, by which one tenant's objects are never below another one's.

docs/decisions/storage.md, "A tenant's name is one part of a key".
"""

import re

from shared import errors

RULE = "lower-case letters, digits, '.', '_' and '-', at most 63, beginning with a letter or a digit, and no '..'"
_NAME = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9._-]{0,62}")


def require_name(name: str) -> str:
    """Return a name that a tenant may have; InvalidRequestError for any other."""
    if not _NAME.fullmatch(name):
        raise errors.InvalidRequestError(f"{name[:100]!r} is no name for a tenant; take {RULE}.")
    return name
