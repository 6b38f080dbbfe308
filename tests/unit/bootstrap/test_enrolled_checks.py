"""What an adapter believes of a REGISTERED: every lie of a bootstrap server is found before anything is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapter.enrolled import check_registered
from overlay.errors import RemoteError
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.pieces import KeyPiece, deal
from overlay.trust.records import DealingCertificate, NodeCredential, ShareList
from overlay.wire.messages import Challenge, NodeAt, Register, Registered

NOW = 1_800_000_000
OVERLAY, ALICE, MALLORY = PrivateBundle.generate(), PrivateBundle.generate(), PrivateBundle.generate()
DEALING, NODE = SigningKey.generate(), SigningKey.generate()
NONCE, SEED, SALT = bytes(16), bytes(32), bytes(32)
DAY = 86_400
CERTIFICATE = DealingCertificate.issue(
    OVERLAY, overlay="lan", dealing_public=DEALING.public, k=3, n=7, expires_at=NOW + 100 * DAY
)
ABOUT = bytes(range(16))
CHALLENGE = Challenge(
    overlay="lan", bundle=OVERLAY.public.encode(), dealing=CERTIFICATE.encode(), nonce=NONCE, time=NOW
)
REQUEST = Register.issue(
    NODE,
    aor="alice",
    bundle=ALICE.public.encode(),
    record=b"checked elsewhere",
    nonce=NONCE,
    bootstrap=OVERLAY.public.thumbprint(),
    overlay="lan",
)


def dealt(bundle=ALICE.public, *, dealing=DEALING, seed=SEED, **changes):
    fields = {"aor": "alice", "generation": 1, "k": 3, "n": 7, "issued_at": NOW, "expires_at": NOW + 30 * DAY}
    return tuple(piece.encode() for piece in deal(bundle, dealing=dealing, seed=seed, **fields | changes))


def credential(signer=OVERLAY, **changes):
    fields = {"overlay": "lan", "node_public": NODE.public, "salt": SALT, "expires_at": NOW + 30 * DAY}
    return NodeCredential.issue(signer, **fields | changes).encode()


def share_list(signer=OVERLAY, overlay="lan", pieces=None):
    pieces = dealt() if pieces is None else pieces
    return ShareList.issue(signer, overlay=overlay, pieces=[KeyPiece.decode(piece) for piece in pieces]).encode()


TRUE = Registered(
    aor="alice",
    generation=1,
    about=ABOUT,
    credential=credential(),
    dealing=CERTIFICATE.encode(),
    pieces=dealt(),
    share_list=share_list(),
    nodes=(NodeAt(id=bytes(range(20)), host="192.0.2.1", port=5480),),
    overlay="lan",
    time=NOW,
)


def check(registered):
    return check_registered(
        registered, about=ABOUT, challenge=CHALLENGE, request=REQUEST, certificate=CERTIFICATE, now=NOW
    )


def test_true_answer_is_taken():
    enrolment = check(TRUE)
    assert [piece.index for piece in enrolment.pieces] == list(range(1, 8))
    assert enrolment.credential.node_public == NODE.public
    assert enrolment.nodes[0].address == ("192.0.2.1", 5480)


def test_pieces_may_come_in_any_order():
    assert check(replace(TRUE, pieces=TRUE.pieces[::-1])) == check(TRUE)


def test_our_own_node_is_no_node_to_join_through():
    own = NodeCredential.decode(TRUE.credential).node_id
    assert check(replace(TRUE, nodes=(NodeAt(id=own, host="192.0.2.7", port=1),))).nodes == ()


@pytest.mark.parametrize(
    ("lie", "named"),
    [
        ({"about": NONCE}, "another request"),
        ({"aor": "bob"}, "name"),
        ({"overlay": "other"}, "overlay"),
        ({"dealing": b"other"}, "dealing key"),
        ({"generation": 2}, "not of our key"),
        ({"credential": b"nonsense"}, "msgpack"),
        ({"credential": credential(MALLORY)}, "overlay key"),
        ({"credential": credential(node_public=DEALING.public)}, "another node key"),
        ({"credential": credential(overlay="other")}, "another overlay"),
        ({"credential": credential(expires_at=NOW - 1)}, "expired"),
        ({"pieces": TRUE.pieces[:6]}, "7 pieces"),
        ({"pieces": (*TRUE.pieces, TRUE.pieces[0])}, "7 pieces"),
        ({"pieces": (*TRUE.pieces[:6], TRUE.pieces[0])}, "7 pieces"),
        ({"pieces": (*TRUE.pieces[:6], b"nonsense")}, "msgpack"),
        ({"pieces": dealt(dealing=SigningKey.generate())}, "dealing key"),
        ({"pieces": dealt(MALLORY.public)}, "not of our key"),
        ({"pieces": dealt(aor="bob")}, "not of our key"),
        ({"pieces": dealt(k=2)}, "not of our key"),
        ({"pieces": dealt(generation=2)}, "not of our key"),
        ({"pieces": dealt(issued_at=NOW - 31 * DAY, expires_at=NOW - DAY)}, "expired"),
        ({"pieces": (*TRUE.pieces[:6], dealt(seed=bytes(range(32)))[6])}, "do not rebuild"),
        ({"share_list": b"nonsense"}, "msgpack"),
        ({"share_list": credential()}, "no share list"),
        ({"share_list": share_list(MALLORY)}, "overlay key"),
        ({"share_list": share_list(overlay="other")}, "another overlay"),
        ({"share_list": share_list(pieces=dealt(aor="bob"))}, "not of our pieces"),
        ({"share_list": share_list(pieces=dealt(generation=2))}, "not of our pieces"),
        ({"share_list": share_list(pieces=dealt(seed=bytes(range(32))))}, "not of our pieces"),
        ({"share_list": share_list(pieces=dealt(MALLORY.public))}, "not of our pieces"),
        ({"share_list": share_list(pieces=dealt(expires_at=NOW + 29 * DAY))}, "not of our pieces"),
        ({"share_list": share_list(pieces=dealt(issued_at=NOW - 31 * DAY, expires_at=NOW - DAY))}, "expired"),
    ],
)
def test_lie_is_found(lie, named):
    with pytest.raises(RemoteError, match=named):
        check(replace(TRUE, **lie))


def test_well_signed_pieces_of_another_key_under_our_thumbprint_are_found():
    forged = []
    for piece in map(KeyPiece.decode, dealt(MALLORY.public)):
        blank = replace(piece, thumbprint=ALICE.public.thumbprint())
        forged.append(replace(blank, signature=DEALING.sign(KeyPiece.domain(), blank.signed_bytes())).encode())
    with pytest.raises(RemoteError, match="do not rebuild"):
        check(replace(TRUE, pieces=tuple(forged)))
