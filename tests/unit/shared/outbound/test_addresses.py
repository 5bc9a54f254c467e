"""Which addresses may be connected to."""

import ipaddress

import pytest

from shared import errors
from shared.outbound import addresses

SETTING = "MILLRACE_ALLOW_HOSTS"
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1", "100.63.255.255", "172.32.0.1"]
NOT_PUBLIC = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert addresses.is_public(ipaddress.ip_address(address))
    addresses.Allowlist().check(ipaddress.ip_address(address), host="example.org")


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_all_others_are_not(address: str) -> None:
    assert not addresses.is_public(ipaddress.ip_address(address))
    with pytest.raises(errors.PermanentError, match="not on the public internet"):
        addresses.Allowlist().check(ipaddress.ip_address(address), host="example.org")


def test_a_network_that_the_operator_names_is_allowed_and_no_other() -> None:
    allowed = addresses.Allowlist.parse(["10.2.0.0/16", "fd12::/16", "169.254.169.254"], setting=SETTING)
    for address in ("10.2.3.4", "fd12::1", "::ffff:10.2.3.4", "169.254.169.254"):
        allowed.check(ipaddress.ip_address(address), host="any")
    with pytest.raises(errors.PermanentError):
        allowed.check(ipaddress.ip_address("10.3.0.1"), host="any")


def test_a_name_that_the_operator_allows_may_lead_into_his_networks_but_not_to_metadata() -> None:
    allowed = addresses.Allowlist.parse(["Wiki.Intranet"], setting=SETTING)
    allowed.check(ipaddress.ip_address("10.3.0.1"), host="wiki.intranet.")
    for host, address in (("wiki.intranet", "169.254.169.254"), ("wiki.intranet", "::ffff:169.254.169.254"),
                          ("x.wiki.intranet", "10.3.0.1"), ("wiki.intranet", "fd00:ec2::254")):  # fmt: skip
        with pytest.raises(errors.PermanentError):
            allowed.check(ipaddress.ip_address(address), host=host)


def test_what_begins_like_an_address_must_be_one() -> None:
    with pytest.raises(errors.PermanentError, match=f"{SETTING} contains.*not a network"):
        addresses.Allowlist.parse(["10.2.0.1/16"], setting=SETTING)
