"""Finding this host's own address, with real sockets that send nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import ip_address

import pytest

from overlay.errors import LocalError
from overlay.ring.addresses import (
    address_towards,
    interface_addresses,
    ipv6_interface_addresses,
    is_loopback,
    is_own_address,
    lan_address,
)
from overlay.ring.ids import RingId, is_link_local
from tests.support.members import TestOverlay

_IN_EMPTY_NETWORK = (
    "from overlay.ring.addresses import lan_address\nfound = lan_address()\nprint(found.host, '|', found.warning)"
)
_ONE_INTERFACE = """
ip link add one type veth peer name two
ip addr add 10.77.0.1/24 dev one
ip link set one up
ip link set two up
"""
_ONE_OF_IPV6 = """
ip link add one type veth peer name two
ip addr add fd00:77::1/64 dev one nodad
ip link set one up
ip link set two up
"""
_ONE_LINK = """
ip link add one type veth peer name two
sysctl -q -w net.ipv6.conf.one.accept_dad=0
ip link set one address 02:00:00:00:00:01
ip link set two down
ip link set one up
ip link set two up
"""


def test_lan_address_is_an_own_address():
    found = lan_address()
    assert is_own_address(found.host)
    assert is_loopback(found.host) == (found.host == "127.0.0.1")


def test_towards_loopback_is_loopback():
    assert address_towards("127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize("host", ["", "no.such.name.invalid", "300.1.1.1", "127.0.0.1:5"])
def test_towards_no_literal_is_none(host):
    assert address_towards(host) is None


def test_interfaces_leave_the_loopback_out():
    for name, host in interface_addresses():
        assert name
        assert not ip_address(host).is_loopback
        assert is_own_address(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9"])
def test_loopback_addresses_are_own(host):
    assert is_own_address(host)


def test_addresses_of_a_link_come_with_their_scope_and_last():
    hosts = [host for _, host in ipv6_interface_addresses()]
    for name, host in ipv6_interface_addresses():
        literal, _, scope = host.partition("%")
        assert (scope == name) is is_link_local(literal)
        assert is_own_address(host)
        assert address_towards(host) == host
        assert not scope or address_towards(literal) is None, "nobody knows which link is meant"
    assert hosts == sorted(hosts, key=lambda host: "%" in host)


async def test_a_node_of_one_link_keeps_the_scope_to_itself():
    hosts = [host for _, host in ipv6_interface_addresses() if "%" in host]
    if not hosts:
        pytest.skip("this host has no link-local address")
    async with TestOverlay().running(3, host=hosts[0]) as rings:
        assert {peer.host for ring in rings for peer in (ring.me, *ring.peers())} == {hosts[0].partition("%")[0]}
        ids = sorted(ring.me.id for ring in rings)
        assert (await rings[2].find_successor(RingId(ids[1]))).id == ids[1]


@pytest.mark.parametrize("host", ["fe80::1", "2001:db8::1%lo", "127.0.0.1%lo", "::", "0.0.0.0", "fe80::1%", "host"])
async def test_a_node_needs_an_address_that_says_where_it_is(host):
    with pytest.raises(LocalError):
        await TestOverlay().ring().open(host)


@pytest.mark.parametrize("host", ["203.0.113.77", "0.0.0.0", "255.255.255.255", "224.0.0.1", "nonsense", ""])
def test_other_addresses_are_not_own(host):
    assert not is_own_address(host)


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        ("true", "127.0.0.1 | there is no network"),
        (_ONE_INTERFACE, "10.77.0.1 | there is no default route"),
        (_ONE_OF_IPV6, "fd00:77::1 | there is no default route"),
        (_ONE_LINK, "fe80::ff:fe00:1%one | there is no default route"),
    ],
)
def test_without_default_route(setup, expected):
    made = subprocess.run(
        ["unshare", "--net", "sh", "-c", f'{setup}\nexec "$0" -c "$1"', sys.executable, _IN_EMPTY_NETWORK],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    if made.returncode != 0 and "unshare" in made.stderr:
        pytest.skip("this kernel gives no network namespaces")
    assert made.stdout.startswith(expected), made
