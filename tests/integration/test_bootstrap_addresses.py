"""Finding this host's own address, with real sockets that send nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import ip_address

import pytest

from overlay.ring.addresses import (
    address_towards,
    interface_addresses,
    is_loopback,
    is_own_address,
    lan_address,
)

_IN_EMPTY_NETWORK = (
    "from overlay.ring.addresses import lan_address\nfound = lan_address()\nprint(found.host, '|', found.warning)"
)
_ONE_INTERFACE = """
ip link add one type veth peer name two
ip addr add 10.77.0.1/24 dev one
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


@pytest.mark.parametrize("host", ["203.0.113.77", "0.0.0.0", "255.255.255.255", "224.0.0.1", "nonsense", ""])
def test_other_addresses_are_not_own(host):
    assert not is_own_address(host)


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        ("true", "127.0.0.1 | there is no network"),
        (_ONE_INTERFACE, "10.77.0.1 | there is no default route"),
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
