"""A peer's address is checked before anything is ever sent to it."""

from ipaddress import ip_address

import pytest

from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import RING_SIZE, Peer, RingId, id_to_bytes, is_link_local, is_sendable

ID = id_to_bytes(RingId(5))


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.20", "10.0.0.1", "::1", "fe80::1", "2001:db8::7"])
def test_peer_round_trip(host):
    peer = Peer(id=RingId(5), host=host, port=65535)
    assert Peer.decode(peer.encode()) == peer
    assert Peer.decode(tuple(peer.encode())) == peer


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "example.org",
        "256.1.1.1",
        "127.1",
        "0127.0.0.1",
        " 127.0.0.1",
        "127.0.0.1\n",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "fe80::1%eth0",
        "0:0:0:0:0:0:0:1",
        "FE80::1",
        "1" * 5000,
        None,
        2130706433,
        b"127.0.0.1",
    ],
)
def test_host_that_is_no_canonical_unicast_literal_is_refused(host):
    with pytest.raises(RemoteError):
        Peer.decode([ID, host, 80])
    with pytest.raises(LocalError):
        Peer(id=RingId(5), host=host, port=80)


@pytest.mark.parametrize("port", [0, -1, 65536, 70000, True, "80", 80.0, None])
def test_port_that_would_close_a_socket_is_refused(port):
    with pytest.raises(RemoteError):
        Peer.decode([ID, "127.0.0.1", port])
    with pytest.raises(LocalError):
        Peer(id=RingId(5), host="127.0.0.1", port=port)


@pytest.mark.parametrize("ring_id", [-1, RING_SIZE, True, "5", None])
def test_id_off_the_circle_is_our_own_mistake(ring_id):
    with pytest.raises(LocalError):
        Peer(id=ring_id, host="127.0.0.1", port=80)


@pytest.mark.parametrize(
    "value", [None, 5, [], [ID], [ID, "127.0.0.1"], [ID, "127.0.0.1", 80, 1], {}, "abc", [b"\0" + ID, "127.0.0.1", 80]]
)
def test_contact_of_another_shape_is_refused(value):
    with pytest.raises(RemoteError):
        Peer.decode(value)


def test_text_of_a_peer_is_short_and_brackets_ipv6():
    assert str(Peer(id=RingId(0xAB << 152), host="::1", port=80)) == "ab000000@[::1]:80"


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        *((host, True) for host in ("fe80::1", "fea0::1", "febf::1")),
        *((host, False) for host in ("fec0::1", "fe7f::1", "::fe80", "2001:db8::1", "169.254.1.1", "::1")),
    ],
)
def test_addresses_of_one_link(host, is_one):
    assert is_link_local(host) is is_one is (":" in host and ip_address(host).is_link_local)


@pytest.mark.parametrize(
    "address", [("127.0.0.1", 0), ("localhost", 80), None, ("127.0.0.1",), ("127.0.0.1", 70000), "127.0.0.1:80"]
)
def test_unsendable_addresses(address):
    assert not is_sendable(address)


def test_sendable_address():
    assert is_sendable(("127.0.0.1", 80))
