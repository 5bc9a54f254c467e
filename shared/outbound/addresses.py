"""The network addresses that we connect to for users: public ones, and those that the operator allows.

docs/decisions/ingestion.md, "Addresses are checked, and connected to as checked"
"""

import dataclasses
import ipaddress
from collections.abc import Iterable
from typing import Self

from shared import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# From IANA's special-purpose registries, since Python's `is_global` counts NAT64, 6to4 and multicast as global; and the
# address by which Azure's hosts serve what only their own machines may read.
NOT_PUBLIC_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24",
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
        "0.0.0.0/8", "100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16", "192.0.0.192/32", "224.0.0.0/4",
        "240.0.0.0/4", "::/128", "64:ff9b::a9fe:0/112", "2002:a9fe::/32", "fd00:ec2::/32", "fd20:ce::/32", "fe80::/10",
        "ff00::/8",
    )
)  # fmt: skip
# IPv6 addresses that stand for an IPv4 address, which is then checked instead.
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


@dataclasses.dataclass(frozen=True)
class Allowlist:
    """The hosts and networks that the operator allows beyond the public addresses."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    setting: str = ""
    """The environment variable that the operator allows them by, for messages."""

    @classmethod
    def parse(cls, entries: Iterable[str], *, setting: str) -> Self:
        """Parse names and networks; an entry that begins like an address must be a network.

        `setting` is the environment variable that they are from.
        """
        names, networks = set(), []
        for entry in entries:
            if entry[0].isdigit() or ":" in entry:
                networks.append(_parse_network(entry, setting=setting))
            else:
                names.add(entry.lower().rstrip("."))
        return cls(frozenset(names), tuple(networks), setting)

    def check(self, address: Address, *, host: str) -> None:
        """Refuse an address that a host resolved to; PermanentError reveals neither the address nor if it answers."""
        if not (self.names_address(address, host=host) or is_public(address)):
            raise errors.PermanentError(
                f"The host {host[:100]!r} is not on the public internet, so nothing connects to it; the operator can "
                f"allow it with {self.setting}."
            )

    def names_address(self, address: Address, *, host: str) -> bool:
        """Check whether the operator allows an address that a host resolved to, be it public or not."""
        target = _unmap(address)
        if any(target in network or address in network for network in self.networks):
            return True
        return self.names_host(host) and not any(target in network for network in NEVER_ALLOWED_BY_NAME)

    def names_host(self, host: str) -> bool:
        """Check whether the operator allows a host by its name."""
        return host.lower().rstrip(".") in self.names


def is_public(address: Address) -> bool:
    """Check whether an address is on the public internet; mapped IPv4 addresses count as not public."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_IPV4)
    return address in PUBLIC_IPV6 and not any(address in network for network in NOT_PUBLIC_IPV6)


def _unmap(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address) and address in MAPPED and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _parse_network(entry: str, *, setting: str) -> Network:
    try:
        return ipaddress.ip_network(entry)
    except ValueError as error:
        raise errors.PermanentError(
            f"{setting} contains {entry!r}, which is not a network ({error}); "
            "use names, or networks such as 10.2.0.0/16."
        ) from error
