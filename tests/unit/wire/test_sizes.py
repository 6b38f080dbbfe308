"""How long lines get when every field is at its longest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.ring.rpc import MAX_MESSAGE_BYTES, Request, encode_request
from overlay.trust.pieces import deal
from overlay.trust.share_list import ShareList
from overlay.wire import envelope
from overlay.wire.codec import MAX_DATAGRAM_LINE_BYTES, MAX_LINE_BYTES
from overlay.wire.messages import MAX_NODES, NodeAt
from tests.support import people
from tests.support.people import ALICE, BOB, BOOTSTRAP, NOW

LONGEST_ALICE = people.party("a" * 32, ALICE, generation=2**32 - 1)
LONGEST_BOB = people.party("b" * 32, BOB, generation=2**32 - 1)
LONGEST_HOST = "2001:db8:1111:1111:1111:1111:1111:1111"
LONGEST_CONTACT = f"[{LONGEST_HOST}]:65535;tls"


def _longest_redirect(**changes):
    given_ = {
        "issuer": LONGEST_BOB,
        "audience": LONGEST_ALICE,
        "contacts": (LONGEST_CONTACT, LONGEST_CONTACT.replace("tls", "udp")),
        "fingerprint": b"\x11" * 32,
    }
    return people.redirect(**(given_ | changes))


def test_the_longest_invite_fits_into_a_datagram():
    invite = people.invite(issuer=LONGEST_ALICE, audience=LONGEST_BOB, cookie=b"\xd0" * 32, fingerprint=b"\x11" * 32)
    assert len(envelope.seal_invite(invite, ALICE, BOB.public).line) <= MAX_DATAGRAM_LINE_BYTES


def test_the_longest_redirect_of_this_millennium_fits_with_both_contacts():
    redirect = _longest_redirect()
    line = envelope.seal_redirect(redirect, BOB, ALICE.public).line
    assert len(line) <= MAX_DATAGRAM_LINE_BYTES
    assert envelope.unseal(line, ALICE).verify_redirect(BOB.public) == redirect


def test_a_redirect_that_is_too_long_loses_its_last_contact():
    redirect = _longest_redirect(issued_at=2**40 - 60, expires_at=2**40)
    line = envelope.seal_redirect(redirect, BOB, ALICE.public).line
    assert len(line) <= MAX_DATAGRAM_LINE_BYTES
    opened = envelope.unseal(line, ALICE).verify_redirect(BOB.public)
    assert opened.contacts == (LONGEST_CONTACT,)


@given(st.integers(0, 40), st.integers(0, 32))
@settings(max_examples=20, deadline=None)
def test_the_length_of_a_line_is_known_before_it_is_sealed(letters, cookie):
    invite = people.invite(issuer=people.party("a" * max(1, min(letters, 32)), ALICE), cookie=bytes(cookie))
    assert envelope._line_bytes(invite) == len(envelope.seal_invite(invite, ALICE, BOB.public).line)


def test_the_longest_error_fits_into_a_datagram_and_is_shorter_than_what_it_answers():
    error = people.error(reason="r" * 200)
    shortest_invite = envelope.seal_invite(people.invite(), ALICE, BOB.public).line
    for signer in (BOB, None):
        assert len(envelope.seal_error(error, signer)) < len(shortest_invite)


@pytest.mark.parametrize(("k", "n"), [(3, 7), (5, 13), (8, 22)])
def test_the_longest_answer_to_a_registration_fits_into_a_line(k, n):
    dealt = deal(
        ALICE.public,
        aor="a" * 32,
        generation=2**32 - 1,
        k=k,
        n=n,
        dealing=people.DEALER,
        seed=people.SEED,
        issued_at=NOW,
        expires_at=NOW + 30 * people.DAY,
    )
    registered = people.registered(
        aor="a" * 32,
        generation=2**32 - 1,
        credential=people.credential(overlay="o" * 32).encode(),
        dealing=people.certificate(overlay="o" * 32).encode(),
        pieces=tuple(piece.encode() for piece in dealt),
        share_list=ShareList.issue(BOOTSTRAP, overlay="o" * 32, pieces=dealt).encode(),
        nodes=(NodeAt(id=b"\xff" * 20, host=LONGEST_HOST, port=65535),) * MAX_NODES,
        overlay="o" * 32,
    )
    line = envelope.seal_registered(registered, BOOTSTRAP, ALICE.public)
    assert len(line) <= MAX_LINE_BYTES
    assert envelope.open_registered(line, ALICE, BOOTSTRAP.public) == registered


@pytest.mark.parametrize(("k", "n"), [(3, 7), (5, 13), (8, 22)])
def test_the_longest_store_fits_into_a_request(k, n):
    dealt = deal(
        ALICE.public,
        aor="a" * 32,
        generation=2**32 - 1,
        k=k,
        n=n,
        dealing=people.DEALER,
        seed=people.SEED,
        issued_at=NOW,
        expires_at=NOW + 30 * people.DAY,
    )
    record = people.lookup_record(aor="a" * 32, generation=2**32 - 1, host=LONGEST_HOST, port=65535, sequence=2**53 - 1)
    share_list = ShareList.issue(BOOTSTRAP, overlay="o" * 32, pieces=dealt)
    store = Request(
        message_id=bytes(20), method="store", arguments=(dealt[-1].encode(), record.encode(), share_list.encode())
    )
    assert len(encode_request(store)) <= MAX_MESSAGE_BYTES
