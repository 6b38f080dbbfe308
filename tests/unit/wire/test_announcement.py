"""What a bootstrap server says of itself in multicast DNS, and what of a stranger's records is let in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.wire.announcement import Announcement

KEY = bytes(range(16))
GOOD = Announcement(overlay="office", key=KEY, host="192.168.1.10", port=5480)


def on_the_wire(**changes):
    txt = {key.encode(): value.encode() for key, value in GOOD.properties().items()}
    return txt | {key.encode(): value for key, value in changes.items()}


def test_what_is_announced_is_what_is_read():
    assert Announcement.decode(["192.168.1.10"], 5480, on_the_wire()) == GOOD


def test_the_name_of_the_service_fits_a_label_and_follows_the_key():
    assert GOOD.label == "secp2psip-0001020304050607"
    assert len(GOOD.label) < 64


def test_more_than_we_know_is_no_flaw():
    assert Announcement.decode(["192.168.1.10"], 5480, on_the_wire(more=b"x", flag=None)) == GOOD


def test_the_first_address_that_one_host_can_have_counts():
    addresses = ["fe80::1", "0.0.0.0", "224.0.0.251", "255.255.255.255", "10.0.0.5", "10.0.0.6"]
    assert Announcement.decode(addresses, 5480, on_the_wire()).host == "10.0.0.5"


@pytest.mark.parametrize(
    "changes",
    [
        {"v": b"2"},
        {"v": None},
        {"key": b""},
        {"key": None},
        {"key": b"00" * 15},
        {"key": KEY.hex().upper().encode()},
        {"key": b"\xff" * 32},
        {"overlay": b""},
        {"overlay": None},
        {"overlay": b"\x1b[2Jx"},
        {"overlay": "büro".encode()},
        {"overlay": b"x" * 33},
    ],
)
def test_other_records_are_refused(changes):
    with pytest.raises(RemoteError):
        Announcement.decode(["192.168.1.10"], 5480, on_the_wire(**changes))


@pytest.mark.parametrize(
    ("addresses", "port"),
    [
        ([], 5480),
        (["::"], 5480),
        (["ff02::fb"], 5480),
        (["::ffff:192.168.1.10"], 5480),
        (["fe80::1"], 5480),
        (["2001:db8::1%eth0"], 5480),
        (["FE80::1%eth0"], 5480),
        (["224.0.0.251"], 5480),
        (["240.0.0.1"], 5480),
        (["0.0.0.0"] * 8 + ["10.0.0.1"], 5480),
        (["10.0.0.1"], 0),
        (["10.0.0.1"], None),
        (["10.0.0.1"], 65536),
    ],
)
def test_other_addresses_are_refused(addresses, port):
    with pytest.raises(RemoteError):
        Announcement.decode(addresses, port, on_the_wire())


@given(
    st.lists(st.text(max_size=20), max_size=10),
    st.one_of(st.none(), st.integers()),
    st.dictionaries(st.sampled_from([b"v", b"key", b"overlay", b"x"]), st.one_of(st.none(), st.binary(max_size=64))),
)
def test_whatever_comes_is_an_announcement_or_refused(addresses, port, properties):
    try:
        read = Announcement.decode(addresses, port, properties)
    except RemoteError:
        return
    assert Announcement.decode([read.host], read.port, {k.encode(): v.encode() for k, v in read.properties().items()})


@pytest.mark.parametrize("host", ["::1", "2001:db8::1", "fd00::7", "fe80::1%eth0", "fe80::1%3"])
def test_an_ipv6_address_counts_one_of_a_link_where_it_was_heard(host):
    assert Announcement.decode([host], 5480, on_the_wire()).host == host


def test_our_own_server_announces_an_address_that_others_can_reach():
    for host in ("0.0.0.0", "::", "fe80::1", "somewhere"):
        with pytest.raises(LocalError):
            Announcement(overlay="office", key=KEY, host=host, port=5480)
