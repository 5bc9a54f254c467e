"""The network addresses that loads may connect to: public ones, and those that the operator allows.

docs/decisions/ingestion.md, "Addresses are checked, and connected to as checked"
"""

import dataclasses
import ipaddress
from collections.abc import Iterable
from typing import Self

from shared import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# From IANA's special-purpose registries, since Python's `is_global` counts NAT64, 6to4 and multicast as global.
NOT_PUBLIC_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
# Public IPv6 addresses lie within 2000::/3; mapped, NAT64, unique local, link-local and multicast addresses don't.
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
NOT_PUBLIC_IPV6 = tuple(
    ipaddress.IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
# A name that the operator allows may resolve to private networks, but not to these, where clouds serve credentials.
NEVER_ALLOWED_BY_NAME: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "100.100.100.200/32", "169.254.0.0/16", "192.0.0.192/32", "224.0.0.0/4", "240.0.0.0/4",
        "::/128", "fd00:ec2::/32", "fe80::/10", "ff00::/8",
    )
)  # fmt: skip
# IPv6 addresses that stand for an IPv4 address, which is then checked instead.
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


@dataclasses.dataclass(frozen=True)
class Allowlist:
    """The hosts and networks that the operator allows beyond the public addresses."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Parse names and networks; an entry that begins like an address must be a network."""
        names, networks = set(), []
        for entry in entries:
            if entry[0].isdigit() or ":" in entry:
                networks.append(_parse_network(entry))
            else:
                names.add(entry.lower().rstrip("."))
        return cls(frozenset(names), tuple(networks))

    def check(self, address: Address, *, host: str) -> None:
        """Refuse an address that a host resolved to; PermanentError reveals neither the address nor if it answers."""
        target = _unmap(address)
        if any(target in network or address in network for network in self.networks):
            return
        if host.lower().rstrip(".") in self.names and not any(target in network for network in NEVER_ALLOWED_BY_NAME):
            return
        if not is_public(address):
            raise errors.PermanentError(
                f"The host {host[:100]!r} is not on the public internet, so nothing is read from it; the operator can "
                "allow it with MILLRACE_INGESTION_ALLOW_HOSTS."
            )


def is_public(address: Address) -> bool:
    """Check whether an address is on the public internet; mapped IPv4 addresses count as not public."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_IPV4)
    return address in PUBLIC_IPV6 and not any(address in network for network in NOT_PUBLIC_IPV6)


def _unmap(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address) and address in MAPPED and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _parse_network(entry: str) -> Network:
    try:
        return ipaddress.ip_network(entry)
    except ValueError as error:
        raise errors.PermanentError(
            f"MILLRACE_INGESTION_ALLOW_HOSTS contains {entry!r}, which is not a network ({error}); "
            "use names, or networks such as 10.2.0.0/16."
        ) from error
