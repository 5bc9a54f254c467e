"""Refuses the URLs to which nothing will ever be posted, as far as that is certain without looking up the host."""

import ipaddress
import socket
import urllib.parse

from shared import errors
from shared.outbound import addresses

_POINTER = "#/url"


def require_allowed(url: str, *, allowlist: addresses.Allowlist) -> None:
    """Raise InvalidRequestError for http to what the operator doesn't allow, and for addresses that aren't public.

    A host's addresses are checked at each connection, since they may be others by then.
    """
    parts = urllib.parse.urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    address = _parse_address(host)
    if address is not None:
        is_allowed = allowlist.names_address(address, host=host)
    else:
        # Which of the operator's networks a name leads to is only known when it is looked up.
        is_allowed = allowlist.names_host(host) or bool(allowlist.networks)
    if parts.scheme.lower() == "http" and not is_allowed:
        raise _refuse(f"events are posted by https; the operator can allow http to a host with {allowlist.setting}")
    is_local = host.lower() == "localhost" or host.lower().endswith(".localhost")
    if not is_allowed and (is_local or (address is not None and not addresses.is_public(address))):
        raise _refuse(
            f"the host {host[:100]!r} is not on the public internet; the operator can allow it with {allowlist.setting}"
        )


def _parse_address(host: str) -> addresses.Address | None:
    """Parse an address in any of the forms that the system takes, such as 127.1; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _refuse(reason: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(
        f"The webhook's URL can't be used: {reason}.", problems=[errors.Problem(reason, _POINTER)]
    )
