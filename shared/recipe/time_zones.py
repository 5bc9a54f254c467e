"""The time zones that requests may name: those of the IANA database."""

import functools
import zoneinfo


@functools.cache
def list_names() -> frozenset[str]:
    """List the names of all zones, without the one that each machine has its own meaning of."""
    return frozenset(zoneinfo.available_timezones()) - {"localtime"}
