"""Phones on other hosts: who gets in with which credentials, and who does not."""

from __future__ import annotations

import hashlib
import re

import pytest

from adapter.sip.digest import MAX_FAILURES, MAX_NONCES, NONCE_S, Digest
from adapter.sip.matching import Flow
from adapter.sip.message import parse_request
from adapter.sip.phone_secret import PhoneSecret
from adapter.sip.refusal import Refusal
from adapter.sip.validate import validate
from overlay.errors import LocalError, RemoteError
from tests.support.sip_phone import Answer, spell
from tests.unit.sip.servers import FLOW, ask, invite, make_server, register

FAR = Flow(host="198.51.100.9", port=5062)
KEY = bytes(range(32))
HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
URI = "sip:127.0.0.1:5070"
CONTACT = f"Contact: <sip:alice@{FAR.host}:{FAR.port}>"


def make_digest(**passwords: str) -> Digest:
    passwords = passwords or {"alice": "secret"}
    return Digest(phones={user: PhoneSecret.from_password(user, word) for user, word in passwords.items()}, key=KEY)


def challenges(answer: Answer) -> dict[str, str]:
    """Nonce by algorithm, in the order given."""
    values = answer.all("WWW-Authenticate")
    return {re.search("algorithm=([^,]+)", v).group(1): re.search('nonce="([^"]+)"', v).group(1) for v in values}


def credentials(
    nonce: str,
    *,
    user: str = "alice",
    password: str = "secret",
    algorithm: str = "SHA-256",
    method: str = "REGISTER",
    uri: str = URI,
    nc: str = "00000001",
    spelling: str = 'Digest username="{user}", realm="secp2psip", nonce="{nonce}", uri="{uri}", response="{response}", '
    'algorithm={algorithm}, cnonce="0a4f113b", qop=auth, nc={nc}',
) -> str:
    """Spell the header from RFC 7616 §3.4, independently of the code under test."""

    def h(text: str) -> str:
        return HASHES[algorithm](text.encode()).hexdigest()

    ha1, ha2 = h(f"{user}:secp2psip:{password}"), h(f"{method}:{uri}")
    response = h(f"{ha1}:{nonce}:{nc}:0a4f113b:auth:{ha2}")
    return "Authorization: " + spelling.format(
        user=user, nonce=nonce, uri=uri, response=response, algorithm=algorithm, nc=nc
    )


def signed(nonce: str, *, method: str = "REGISTER", **fields) -> bytes:
    return spell(method, headers=(CONTACT, credentials(nonce, method=method, **fields)), cseq=2)


def challenge(server, data: bytes | None = None, *, flow: Flow = FAR, now: float = 0.0) -> str:
    (answer,) = ask(server, data or spell(headers=(CONTACT,)), flow=flow, now=now)
    assert answer.status == 401, answer
    return challenges(answer)["SHA-256"]


def status(server, data: bytes, *, flow: Flow = FAR, now: float = 1.0) -> int:
    return ask(server, data, flow=flow, now=now)[-1].status


# ---- who gets in


def test_a_phone_of_this_host_needs_no_password():
    register(make_server(digest=make_digest()))


def test_a_phone_is_told_who_answers_and_a_stranger_is_not():
    server = make_server(digest=make_digest())
    (known,) = ask(server, spell("OPTIONS"), flow=FLOW)
    (stranger,) = ask(server, spell(headers=(CONTACT,)), flow=FAR)
    assert (known.all("Server"), stranger.all("Server")) == (["secp2psip"], [])


def test_a_stranger_gets_both_challenges_the_stronger_first_and_nothing_is_kept():
    server = make_server(digest=make_digest())
    (answer,) = ask(server, spell(headers=(CONTACT,)), flow=FAR)
    assert answer.status == 401
    assert list(challenges(answer)) == ["SHA-256", "MD5"]
    assert all('realm="secp2psip"' in v and 'qop="auth"' in v for v in answer.all("WWW-Authenticate"))
    assert server.live_transactions() == 0


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_the_right_password_registers(algorithm):
    server = make_server(digest=make_digest())
    assert status(server, signed(challenge(server), algorithm=algorithm)) == 200
    assert [binding.source for binding in server.contacts("alice", 1.0)] == [FAR.address]


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_a_user_with_one_hash_is_offered_and_held_to_that_algorithm_alone(algorithm):
    other = "MD5" if algorithm == "SHA-256" else "SHA-256"
    secret = PhoneSecret.from_password("alice", "secret", algorithms=[algorithm])
    server = make_server(digest=Digest(phones={"alice": secret}, key=KEY))
    (answer,) = ask(server, spell(headers=(CONTACT,)), flow=FAR)
    assert list(challenges(answer)) == [algorithm]
    nonce = challenges(answer)[algorithm]
    assert status(server, signed(nonce, algorithm=other)) == 401
    assert status(server, signed(nonce, algorithm=algorithm)) == 200


def test_a_retransmission_gets_the_same_answer_and_no_new_challenge():
    server = make_server(digest=make_digest())
    data = signed(challenge(server))
    assert [status(server, data), status(server, data)] == [200, 200]


def test_an_invite_needs_its_own_credentials_and_its_cancel_and_ack_none():
    server = make_server(digest=make_digest())
    nonce = challenge(server)
    assert status(server, signed(nonce)) == 200
    plain = invite(headers=())
    assert challenge(server, plain, flow=FAR, now=1.0)
    uri = "sip:bob@192.0.2.1:5070"
    header = credentials(nonce, method="INVITE", uri=uri, nc="00000002")
    call = invite(headers=(header,), cseq=2, branch=";branch=z9hG4bK-far")
    assert status(server, call) == 302
    server.receive(invite(method="ACK", cseq=2, branch=";branch=z9hG4bK-far"), FAR, 2.0)
    assert ask(server, invite(method="CANCEL", cseq=2, branch=";branch=z9hG4bK-far"), flow=FAR, now=2.0)[0].status in {
        200,
        481,
    }


def test_what_a_redirected_phone_of_another_host_sends_back_is_asked_for_credentials_too():
    server = make_server(digest=make_digest())
    nonce = challenge(server)
    assert status(server, signed(nonce)) == 200
    uri = "sip:bob@192.0.2.1:5070"
    call = invite(headers=(credentials(nonce, method="INVITE", uri=uri, nc="00000002"),), branch=";branch=z9hG4bK-far")
    assert status(server, call) == 302
    uri = "sip:bob@192.0.2.7:5062"
    again = spell("INVITE", uri=uri, branch=";branch=z9hG4bK-again", to=f"<{uri}>")
    assert challenge(server, again, now=1.0)
    header = credentials(nonce, method="INVITE", uri=uri, nc="00000003")
    again = spell("INVITE", uri=uri, branch=";branch=z9hG4bK-again2", to=f"<{uri}>", headers=(header,), cseq=2)
    for _ in range(2):  # a retransmission bears the same count and passes all the same
        server.receive(again, FAR, 2.0)
        ((_, target),) = server.datagrams_to_send()
        assert target.address == ("192.0.2.7", 5062)


def test_folded_credentials_and_those_of_other_realms_are_read_past():
    server = make_server(digest=make_digest())
    nonce = challenge(server)
    other = 'Authorization: Digest username="x", realm="other", nonce="1", uri="sip:x", response="2"'
    basic = "Authorization: Basic QWxhZGRpbg=="
    folded = credentials(nonce).replace(", nonce", ",\r\n nonce")
    assert status(server, spell(headers=(CONTACT, other, basic, folded), cseq=2)) == 200


# ---- who does not


def test_without_configuration_strangers_are_refused():
    assert status(make_server(), spell(headers=(CONTACT,))) == 403


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "wrong"},
        {"user": "carol"},
        {"user": "nobody"},
        {"user": "ALICE"},
        {"spelling": 'Digest username="{user}", realm="secp2psip", nonce="{nonce}", response="{response}"'},
    ],
)
def test_wrong_credentials_are_challenged_again(fields):
    server = make_server(digest=make_digest())
    assert status(server, signed(challenge(server), **fields)) == 401
    assert server.contacts("alice", 1.0) == ()


def test_an_unknown_name_and_a_wrong_password_look_alike():
    server = make_server(digest=make_digest())
    seen = []
    for fields in ({"password": "wrong"}, {"user": "nobody"}):
        (answer,) = ask(server, signed(challenge(server), **fields), flow=FAR, now=1.0)
        seen.append((answer.status, answer.reason, [v.partition("nonce")[0] for v in answer.all("WWW-Authenticate")]))
    assert seen[0] == seen[1]


def test_one_users_password_is_no_other_users():
    server = make_server(digest=make_digest(alice="secret", carol="other"))
    data = signed(challenge(server), user="carol", password="other")
    (answer,) = ask(server, data, flow=FAR, now=1.0)
    assert (answer.status, answer.reason) == (403, "From names another user")


@pytest.mark.parametrize("method", ["OPTIONS", "MESSAGE", "SUBSCRIBE", "BYE"])
def test_nothing_else_of_an_unregistered_stranger_is_served(method):
    assert status(make_server(digest=make_digest()), spell(method)) == 403


def test_a_registered_stranger_may_ask_for_options():
    server = make_server(digest=make_digest())
    assert status(server, signed(challenge(server))) == 200
    assert status(server, spell("OPTIONS")) == 200


def test_a_count_is_taken_once():
    server = make_server(digest=make_digest())
    nonce = challenge(server)
    assert status(server, signed(nonce, nc="00000002")) == 200
    for nc in ("00000002", "00000001"):
        (answer,) = ask(server, spell(headers=(CONTACT, credentials(nonce, nc=nc)), cseq=3), flow=FAR, now=1.0)
        assert answer.status == 401
        assert all("stale=true" in v for v in answer.all("WWW-Authenticate"))


def test_a_nonce_grows_stale_and_is_good_for_one_host():
    server = make_server(digest=make_digest())
    data = signed(challenge(server))
    (answer,) = ask(server, data, flow=FAR, now=NONCE_S)
    assert "stale=true" in answer.all("WWW-Authenticate")[0]
    other = Flow(host="198.51.100.10", port=5062)
    assert status(server, signed(challenge(server, now=NONCE_S)), flow=other, now=NONCE_S) == 401
    assert server.contacts("alice", NONCE_S) == ()


def test_a_nonce_of_our_own_making_only():
    server = make_server(digest=make_digest())
    nonce = challenge(server)
    forged = nonce[:-1] + ("0" if nonce[-1] != "0" else "1")
    assert status(server, signed(forged)) == 401
    assert status(server, signed("abc")) == 401


def test_credentials_for_another_method_or_address_are_worth_nothing():
    server = make_server(digest=make_digest())
    nonce = challenge(server)
    assert status(server, signed(nonce, uri="sip:192.0.2.66")) == 400
    data = spell(headers=(CONTACT, credentials(nonce, method="INVITE")), cseq=2)
    assert status(server, data) == 401


def test_a_host_that_guesses_is_not_listened_to():
    server = make_server(digest=make_digest())
    nonce = challenge(server)
    for number in range(MAX_FAILURES):
        assert status(server, signed(nonce, password=f"guess {number}")) == 401
    assert status(server, signed(nonce)) == 403
    assert status(server, signed(nonce), now=62.0) == 200


def test_challenges_are_rationed():
    """They are larger than what asks for them, and the asker's address may be forged."""
    server = make_server(digest=make_digest())
    results = [status(server, spell(headers=(CONTACT,)), now=0.0) for _ in range(100)]
    assert results.count(401) < 40
    assert set(results) == {401, 403}


def test_forgetting_a_nonce_never_lets_a_request_come_twice():
    digest = make_digest()

    def come(nonce: str, now: float) -> str:
        return digest.authenticate(validate(parse_request(signed(nonce)), transport="UDP"), FAR.host, now)

    def fresh(now: float) -> str:
        with pytest.raises(Refusal) as refused:
            digest.authenticate(validate(parse_request(spell()), transport="UDP"), FAR.host, now)
        return re.search('nonce="([^"]+)"', refused.value.headers[0][1]).group(1)

    now, first = 1.0, fresh(1.0)
    assert come(first, now) == "alice"
    for number in range(MAX_NONCES):
        now = 1.0 + 0.2 * (number + 1)
        assert come(fresh(now), now) == "alice"
    with pytest.raises(Refusal):
        come(first, now)


@pytest.mark.parametrize(
    "value",
    [
        "Digest username=",
        'Digest realm="secp2psip", realm="secp2psip"',
        'Digest realm="secp2psip',
        "Digest " + "a=b," * 1000,
    ],
)
def test_malformed_credentials_are_refused(value):
    server = make_server(digest=make_digest())
    assert status(server, spell(headers=(CONTACT, f"Authorization: {value}"))) == 400


def test_a_secret_says_nothing_of_itself_and_is_checked():
    assert "ha1" not in repr(PhoneSecret.from_password("alice", "secret"))
    for ha1 in ({}, {"MD5": "00"}, {"SHA-256": "g" * 64}):
        with pytest.raises(LocalError):
            PhoneSecret(ha1=ha1)
    with pytest.raises(LocalError):
        Digest(phones={}, key=b"")


def test_a_count_that_is_none_is_malformed():
    digest = make_digest()
    header = credentials("0" * 52, nc="xyz")
    with pytest.raises(RemoteError):
        digest.authenticate(validate(parse_request(spell(headers=(header,))), transport="UDP"), FAR.host, 0.0)


def test_own_hosts_phones_keep_their_rules():
    server = make_server(digest=make_digest())
    (answer,) = ask(server, invite(), flow=FLOW)
    assert answer.status == 403
