from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import DealingCertificate, LookupRecord, NodeCredential, Release, ShareList, Succession
from overlay.trust.signed import CLOCK_SKEW_S, MAX_RECORD_BYTES, Signed
from overlay.trust.tombstone import Tombstone
from tests.support.people import (
    ALICE,
    BOB,
    BOOTSTRAP,
    DAY,
    DEALER,
    EVE,
    NOW,
    OVERLAY,
    certificate,
    credential,
    lookup_record,
    pieces,
    release,
    share_list,
    succession,
    tombstone,
)

Check = Callable[[Any], None]
OVERLAY_KEY = BOOTSTRAP.public.ed25519

RECORDS: list[tuple[Signed, Check]] = [
    (pieces()[2], lambda r: r.verify(DEALER.public, now=NOW)),
    (lookup_record(), lambda r: r.verify(now=NOW)),
    (credential(), lambda r: r.verify(OVERLAY_KEY, overlay=OVERLAY, now=NOW)),
    (certificate(), lambda r: r.verify(OVERLAY_KEY, overlay=OVERLAY, now=NOW)),
    (release(), lambda r: r.verify(ALICE.public)),
    (share_list(), lambda r: r.verify(OVERLAY_KEY, overlay=OVERLAY, now=NOW)),
    (succession(), lambda r: r.verify()),
    (tombstone(), lambda r: r.verify(overlay=OVERLAY, overlay_public=OVERLAY_KEY)),
]
KINDS = [KeyPiece, LookupRecord, NodeCredential, DealingCertificate, Release, ShareList, Succession, Tombstone]
each_record = pytest.mark.parametrize(("record", "check"), RECORDS, ids=[type(r).__name__ for r, _ in RECORDS])


@each_record
def test_a_record_comes_back_from_its_bytes_and_verifies(record, check):
    again = type(record).decode(record.encode())
    assert again == record
    check(again)


@each_record
@given(mask=st.integers(1, 255))
@settings(max_examples=6, deadline=None)
def test_any_changed_byte_in_a_record_is_refused(record, check, mask):
    data = record.encode()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= mask
        with pytest.raises(RemoteError):
            check(type(record).decode(bytes(changed)))


@each_record
@given(data=st.data())
@settings(deadline=None)
def test_a_shortened_or_lengthened_record_is_refused(record, check, data):
    encoded = record.encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    tail = data.draw(st.binary(min_size=1, max_size=20))
    for other in (encoded[:cut], encoded[:cut] + encoded[cut + 1 :], encoded + tail, tail + encoded):
        with pytest.raises(RemoteError):
            check(type(record).decode(other))


@each_record
def test_a_record_is_no_record_of_another_kind(record, check):
    for kind in KINDS:
        if kind is not type(record):
            with pytest.raises(RemoteError, match="hold no"):
                kind.decode(record.encode())


@each_record
def test_a_signature_does_not_move_to_another_kind(record, check):
    domains = {kind.domain() for kind in KINDS}
    assert len(domains) == len(KINDS)
    assert record.domain().startswith(b"secp2psip ")


@each_record
def test_another_version_is_refused(record, check):
    values = msgpack.unpackb(record.encode())
    values[1] = 2
    with pytest.raises(RemoteError):
        type(record).decode(msgpack.packb(values))


@each_record
def test_another_spelling_of_the_same_values_is_refused(record, check):
    values = msgpack.unpackb(record.encode())
    body = b"".join(msgpack.packb(value) for value in values)
    assert bytes([0x90 | len(values)]) + body == record.encode()
    with pytest.raises(RemoteError, match="one spelling"):
        type(record).decode(b"\xdc" + len(values).to_bytes(2, "big") + body)
    # the same kind number as a two-byte integer
    with pytest.raises(RemoteError, match="one spelling"):
        type(record).decode(bytes([0x90 | len(values)]) + b"\xcc" + body)


@each_record
@given(data=st.data())
@settings(deadline=None)
def test_a_field_of_another_type_is_refused(record, check, data):
    values = msgpack.unpackb(record.encode())
    position = data.draw(st.integers(2, len(values) - 1))
    old = values[position]
    values[position] = data.draw(
        st.one_of(
            st.none(),
            st.booleans(),
            st.floats(),
            st.integers(-(2**63), -1),
            st.text(max_size=3),
            st.binary(max_size=5),
            st.lists(st.integers(0, 3), max_size=3),
            st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=2),
        ).filter(lambda new: type(new) is not type(old) or (isinstance(new, list) and new != sorted(set(new) - {0})))
    )
    with pytest.raises(RemoteError):
        check(type(record).decode(msgpack.packb(values)))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=2 * MAX_RECORD_BYTES))
def test_any_bytes_give_a_record_or_a_remote_error(kind, data):
    try:
        kind.decode(data)
    except RemoteError:
        return
    assert kind.decode(data).encode() == data


@pytest.mark.parametrize("data", [None, 7, "text", ["list"], b"", b"\xc1", b"\x91" * 1000, bytes(1025)])
def test_what_is_no_record_at_all_is_refused(data):
    for kind in KINDS:
        with pytest.raises(RemoteError):
            kind.decode(data)


def test_every_record_at_its_longest_stays_within_400_bytes():
    address = "2001:db8:1111:1111:1111:1111:1111:1111"
    longest: list[Signed] = [
        lookup_record(aor="a" * 32, generation=2**32 - 1, host=address, port=65535, sequence=2**53 - 1),
        credential(overlay="o" * 32),
        certificate(overlay="o" * 32, k=8, n=22),
        release(aor="a" * 32, generation=2**32 - 1, indices=tuple(range(1, 23)), sequence=2**53 - 1),
    ]
    assert max(len(record.encode()) for record in longest) <= 400


def test_the_longest_share_list_stays_within_600_bytes():
    keys, blank = BOOTSTRAP, share_list(overlay="o" * 32, k=8, n=22)
    longest = replace(blank, aor="a" * 32, generation=2**32 - 1, signature=keys.sign(b"x", b""))
    assert len(longest.encode()) == 527


@each_record
def test_the_array_holds_kind_version_and_every_field(record, check):
    assert len(msgpack.unpackb(record.encode())) == len(fields(record)) + 2


def test_a_lookup_record_counts_until_it_expires_by_a_clock_that_is_ahead():
    record = lookup_record()
    record.verify(now=NOW + 599.9 + CLOCK_SKEW_S)
    with pytest.raises(RemoteError, match="expired"):
        record.verify(now=NOW + 600 + CLOCK_SKEW_S)


def test_a_lookup_record_lives_an_hour_at_most():
    lookup_record(expires_at=NOW + 3600).verify(now=NOW)
    with pytest.raises(RemoteError, match="lives too long"):
        lookup_record(expires_at=NOW + 3601).verify(now=NOW)


def test_a_lookup_record_from_a_clock_some_hours_ahead_counts_but_not_from_next_week():
    lookup_record(issued_at=NOW + 7200, expires_at=NOW + 7800).verify(now=NOW)
    with pytest.raises(RemoteError, match="future"):
        lookup_record(issued_at=NOW + 7 * DAY, expires_at=NOW + 7 * DAY + 600).verify(now=NOW)


def test_a_lookup_record_with_anothers_bundle_does_not_verify():
    swapped = replace(lookup_record(), bundle=BOB.public.encode())
    with pytest.raises(RemoteError, match="own key"):
        swapped.verify(now=NOW)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "192.0.2.010",
        "192.0.2",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::",
        "ff02::1",
        "fe80::1%eth0",
        "2001:DB8::1",
        "2001:db8:0::1",
        "192.0.2.1 ",
        "[2001:db8::1]",
    ],
)
def test_a_host_that_is_no_single_address_in_one_spelling_is_refused(host):
    with pytest.raises(LocalError):
        lookup_record(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "2001:db8::1", "::1", "::ffff:c000:20a"])
def test_addresses_of_one_host_are_taken(host):
    record = lookup_record(host=host)
    assert LookupRecord.decode(record.encode()) == record


@pytest.mark.parametrize(
    "change",
    [
        {"aor": "Alice"},
        {"aor": ""},
        {"generation": 0},
        {"generation": 2**32},
        {"generation": True},
        {"node_id": bytes(19)},
        {"port": 0},
        {"port": 65536},
        {"port": True},
        {"port": 5480.0},
        {"sequence": -1},
        {"sequence": 2**53},
        {"expires_at": NOW},
        {"expires_at": 2**40 + 1},
        {"issued_at": -1},
    ],
)
def test_a_lookup_record_out_of_bounds_is_our_own_mistake(change):
    with pytest.raises(LocalError):
        lookup_record(**change)


def test_a_node_id_hangs_on_key_and_salt():
    one = credential()
    assert len(one.node_id) == 20
    assert credential().node_id == one.node_id
    assert credential(salt=b"\x81" * 32).node_id != one.node_id
    assert credential(node_public=DEALER.public).node_id != one.node_id


@pytest.mark.parametrize("made", [credential, certificate])
def test_the_bootstraps_word_counts_for_its_overlay_key_and_time_only(made):
    record = made()
    with pytest.raises(RemoteError, match="another overlay"):
        record.verify(OVERLAY_KEY, overlay="other", now=NOW)
    with pytest.raises(RemoteError, match="not signed"):
        record.verify(EVE.public.ed25519, overlay=OVERLAY, now=NOW)
    with pytest.raises(RemoteError, match="expired"):
        record.verify(OVERLAY_KEY, overlay=OVERLAY, now=record.expires_at)
    with pytest.raises(RemoteError, match="not signed"):
        made(EVE).verify(OVERLAY_KEY, overlay=OVERLAY, now=NOW)
    with pytest.raises(LocalError):
        record.verify(b"short", overlay=OVERLAY, now=NOW)


def test_a_credential_that_lives_too_long_is_refused():
    with pytest.raises(RemoteError, match="lives too long"):
        credential(expires_at=NOW + 40 * DAY).verify(OVERLAY_KEY, overlay=OVERLAY, now=NOW)


@pytest.mark.parametrize("overlay", ["", "-", "o" * 33, "has space", "tab\t", "ö", "a/b", 7, None])
def test_an_overlay_name_out_of_bounds_is_our_own_mistake(overlay):
    with pytest.raises(LocalError):
        credential(overlay=overlay)


@pytest.mark.parametrize("overlay", ["lab", "Lab-1.home_x", "o" * 32, "7"])
def test_an_overlay_name_within_bounds_is_taken(overlay):
    credential(overlay=overlay).verify(OVERLAY_KEY, overlay=overlay, now=NOW)


def test_a_certificate_with_a_threshold_that_breaks_the_rule_cannot_be_made_or_read():
    with pytest.raises(LocalError, match="at least 7"):
        certificate(k=3, n=5)
    values = msgpack.unpackb(certificate().encode())
    values[5] = 5
    with pytest.raises(RemoteError, match="at least 7"):
        DealingCertificate.decode(msgpack.packb(values))


def test_a_release_is_the_owners_alone():
    release().verify(ALICE.public)
    with pytest.raises(RemoteError, match="owner"):
        release().verify(EVE.public)


def test_a_release_names_its_pieces_once_and_in_order():
    assert release(indices=(5, 2, 5)).indices == (2, 5)
    values = msgpack.unpackb(release().encode())
    for wrong in ([5, 2], [2, 2], [], [0], [26], list(range(1, 27)), ["2"]):
        values[5] = wrong
        with pytest.raises(RemoteError):
            Release.decode(msgpack.packb(values))


def test_no_repr_of_a_record_holds_more_than_the_record():
    assert "private" not in repr(lookup_record())
