"""The part of a path that names a version: its number, or `latest`."""

import werkzeug.routing

LATEST = "latest"
_MAX_DIGITS = 20


class VersionConverter(werkzeug.routing.BaseConverter):
    """Reads a version's number, or `latest`, in a path."""

    regex = rf"{LATEST}|[0-9]+"
    weight = 50

    def to_python(self, value: str) -> str | int:
        """Return the number, or `latest` as it is."""
        if value == LATEST:
            return value
        # Python refuses to read thousands of digits; no version has so many.
        return int(value) if len(value) <= _MAX_DIGITS else 10**_MAX_DIGITS
