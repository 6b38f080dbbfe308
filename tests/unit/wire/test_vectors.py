"""The files in tests/vectors are what this code makes and reads, byte for byte."""

from __future__ import annotations

import json

import pytest

from overlay.trust.identity import KeyBundle, PrivateBundle, SigningKey, verify
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import DealingCertificate, LookupRecord, NodeCredential, Release
from overlay.trust.shamir import combine, decode
from overlay.wire import envelope, jose
from overlay.wire.codec import decode_line
from tests.support import make_vectors, people


def _load(name: str):
    return json.loads((make_vectors.FOLDER / f"{name}.json").read_text(encoding="ascii"))


KEYS, SHAMIR, RECORDS, MESSAGES = (_load(name) for name in ("keys", "shamir", "records", "messages"))


@pytest.mark.parametrize("name", make_vectors.VECTORS)
def test_the_file_is_what_the_script_writes(name):
    assert (make_vectors.FOLDER / f"{name}.json").read_text(encoding="ascii") == make_vectors.text_of(name)


@pytest.mark.parametrize("name", KEYS["users"])
def test_a_users_public_half_follows_from_the_private(name):
    user = KEYS["users"][name]
    public = PrivateBundle.from_bytes(bytes.fromhex(user["private"])).public
    assert public.encode().hex() == user["bundle"]
    assert public.thumbprint().hex() == user["thumbprint"]


def test_the_signature_verifies():
    signed = KEYS["signature"]
    signer = KEYS["signing_keys"][signed["signer"]]
    assert SigningKey.from_bytes(bytes.fromhex(signer["private"])).public.hex() == signer["public"]
    message, signature = bytes.fromhex(signed["message"]), bytes.fromhex(signed["signature"])
    assert verify(bytes.fromhex(signer["public"]), signed["domain"].encode(), message, signature)


@pytest.mark.parametrize("option", SHAMIR["split"], ids=lambda option: f"{option['k']}-{option['n']}")
def test_the_shares_rebuild_the_secret(option):
    points = {index: bytes.fromhex(share) for index, share in enumerate(option["shares"], start=1)}
    assert len(points) == option["n"]
    last = dict(list(points.items())[-option["k"] :])
    assert combine(last, k=option["k"]).hex() == SHAMIR["secret"]


def test_the_decode_names_its_liars():
    given = SHAMIR["decode"]
    decoded = decode(
        {index: bytes.fromhex(share) for index, share in enumerate(given["shares"], start=1)}, k=given["k"]
    )
    assert decoded is not None
    assert decoded.secret.hex() == given["secret"] == SHAMIR["secret"]
    assert sorted(decoded.liars) == given["liars"] == [2, 5]


def test_the_records_verify():
    dealer = bytes.fromhex(KEYS["signing_keys"]["dealer"]["public"])
    pieces = [KeyPiece.decode(bytes.fromhex(piece)) for piece in RECORDS["key_piece"]]
    for piece in pieces:
        piece.verify(dealer, now=people.NOW)
    assert combine({piece.index: piece.share for piece in pieces}, k=3).hex() == KEYS["users"]["alice"]["bundle"]
    for name in ("lookup_record", "lookup_record_ipv6_pending"):
        LookupRecord.decode(bytes.fromhex(RECORDS[name])).verify(now=people.NOW)
    overlay_key = KeyBundle.decode(bytes.fromhex(KEYS["users"]["bootstrap"]["bundle"])).ed25519
    credential = NodeCredential.decode(bytes.fromhex(RECORDS["node_credential"]))
    credential.verify(overlay_key, overlay=people.OVERLAY, now=people.NOW)
    assert credential.node_id.hex() == RECORDS["node_id"]
    certificate = DealingCertificate.decode(bytes.fromhex(RECORDS["dealing_certificate"]))
    certificate.verify(overlay_key, overlay=people.OVERLAY, now=people.NOW)
    Release.decode(bytes.fromhex(RECORDS["release"])).verify(people.ALICE.public)


def _line(name: str, key: str = "line") -> bytes:
    return MESSAGES[name][key].encode("ascii")


def test_the_lines_open_to_their_payloads():
    opened = {
        "CHALLENGE": envelope.open_challenge(_line("CHALLENGE")),
        "REGISTER": envelope.open_register(_line("REGISTER"), people.BOOTSTRAP),
        "REGISTERED": envelope.open_registered(_line("REGISTERED"), people.ALICE, people.BOOTSTRAP.public),
        "INVITE": envelope.unseal(_line("INVITE"), people.BOB).verify_invite(people.ALICE.public),
        "REDIRECT": envelope.unseal(_line("REDIRECT"), people.ALICE).verify_redirect(people.BOB.public),
        "ERROR": envelope.verify_error(_line("ERROR"), people.BOB.public),
    }
    for method, message in opened.items():
        assert method == message.METHOD
        assert message.encode().decode() == MESSAGES[method]["payload"]
    assert envelope.open_error(_line("ERROR", "unsigned_line")) == opened["ERROR"]


def test_the_redirect_of_the_vectors_answers_their_invite():
    invite = envelope.unseal(_line("INVITE"), people.BOB)
    redirect = envelope.unseal(_line("REDIRECT"), people.ALICE)
    assert invite.hash.hex() == MESSAGES["INVITE"]["jws_sha256"]
    assert redirect.invite_hash == invite.hash


def test_our_own_signatures_are_those_of_the_vectors():
    assert envelope.seal_challenge(people.challenge(), people.BOOTSTRAP) == _line("CHALLENGE")
    assert envelope.seal_error(people.error(), people.BOB) == _line("ERROR")
    assert envelope.seal_error(people.error(), None) == _line("ERROR", "unsigned_line")
    for method, signer in (
        ("REGISTER", people.ALICE),
        ("REGISTERED", people.BOOTSTRAP),
        ("INVITE", people.ALICE),
        ("REDIRECT", people.BOB),
    ):
        given = MESSAGES[method]
        assert jose.sign(method, given["payload"].encode(), signer) == given["jws"]


def test_our_own_encryption_has_the_header_and_size_of_the_vectors():
    given = MESSAGES["INVITE"]
    ours = jose.encrypt(given["jws"].encode(), people.BOB.public)
    theirs = decode_line(_line("INVITE")).token
    assert len(ours) == len(theirs)
    # the first 64 characters hold alg, enc and the start of epk: no randomness in them
    assert ours[:64] == theirs[:64]
    assert jose.decrypt(theirs, people.BOB) == jose.decrypt(ours, people.BOB) == given["jws"].encode()
