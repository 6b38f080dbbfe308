"""Headers, algorithms and spellings that a peer might try, made with an independent JOSE so that they are well made."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.errors import RemoteError
from overlay.trust import points
from overlay.wire import envelope, jose
from overlay.wire.payload import decode_base64
from tests.support import people
from tests.support.people import ALICE, BOB, BOOTSTRAP
from tests.support.plain_jose import b64, jwe, jws

EPHEMERAL, IV = b"\x01" * 32, b"\x02" * 12
SEED = ALICE.to_bytes()[:32]
INNER = jose.sign("INVITE", people.invite().encode(), ALICE)
GOOD = jwe(INNER.encode(), BOB.public.x25519, ephemeral=EPHEMERAL, iv=IV)
X = json.loads(decode_base64(GOOD.split(".")[0]))["epk"]["x"]


def _line(token: str) -> bytes:
    return f"SECP2PSIP/1.0 INVITE {token}\r\n".encode()


def _with_header(header: str, plaintext: bytes = INNER.encode()) -> bytes:
    return _line(jwe(plaintext, BOB.public.x25519, ephemeral=EPHEMERAL, iv=IV, header=header.encode()))


def _header(**changes: object) -> str:
    members = {"alg": "ECDH-ES", "enc": "A256GCM", "epk": {"crv": "X25519", "x": X, "kty": "OKP"}} | changes
    return json.dumps({name: value for name, value in members.items() if value is not None}, separators=(",", ":"))


def test_what_the_second_implementation_seals_opens():
    assert envelope.unseal(_line(GOOD), BOB).verify_invite(ALICE.public) == people.invite()
    assert _with_header(_header()) == _line(GOOD)


@pytest.mark.parametrize(
    "header",
    [
        _header(zip="DEF"),
        _header(kid="bob"),
        _header(typ="JOSE"),
        _header(cty="JWT"),
        _header(apu="AA"),
        _header(apv="AA"),
        _header(jku="https://192.0.2.1/keys"),
        _header(jwk={"kty": "OKP"}),
        _header(x5u="https://192.0.2.1/cert"),
        _header(x5c=["AA"]),
        _header(x5t="AA"),
        _header(crit=["exp"], exp=1),
        _header(b64=False),
        _header(alg="dir"),
        _header(alg="ECDH-ES+A256KW"),
        _header(alg="none"),
        _header(alg=None),
        _header(alg=["ECDH-ES"]),
        _header(enc="A128GCM"),
        _header(enc="A256CBC-HS512"),
        _header(enc=None),
        _header(epk=None),
        _header(epk="text"),
        _header(epk=[1]),
        _header(epk={"crv": "X448", "x": X, "kty": "OKP"}),
        _header(epk={"crv": "P-256", "x": X, "y": X, "kty": "EC"}),
        _header(epk={"crv": "X25519", "x": X, "kty": "EC"}),
        _header(epk={"crv": "X25519", "x": X, "kty": "OKP", "d": X}),
        _header(epk={"crv": "X25519", "x": X, "kty": "OKP", "kid": "a"}),
        _header(epk={"crv": "X25519", "x": X}),
        _header(epk={"crv": "X25519", "x": X[:-2], "kty": "OKP"}),
        _header(epk={"crv": "X25519", "x": X + "AA", "kty": "OKP"}),
        _header(epk={"crv": "X25519", "x": 7, "kty": "OKP"}),
        _header().replace(":", ": "),
        _header().replace("}}", '},"alg":"ECDH-ES"}'),
        _header().replace("ECDH", "\\u0045CDH"),
        "[]",
        "null",
        "{",
    ],
)
def test_any_other_header_of_an_encrypted_token_is_refused(header):
    with pytest.raises(RemoteError):
        envelope.unseal(_with_header(header), BOB)


def test_compressed_content_is_refused_even_where_it_says_so():
    squeezer = zlib.compressobj(wbits=-15)
    squeezed = squeezer.compress(INNER.encode()) + squeezer.flush()
    with pytest.raises(RemoteError, match="another header"):
        envelope.unseal(_with_header(_header(zip="DEF"), squeezed), BOB)


@pytest.mark.parametrize("u", sorted(points._X25519_SMALL))
def test_an_ephemeral_key_of_small_order_is_refused(u):
    epk = {"crv": "X25519", "x": b64(u.to_bytes(32, "little")), "kty": "OKP"}
    with pytest.raises(RemoteError, match="ephemeral key"):
        envelope.unseal(_with_header(_header(epk=epk)), BOB)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "INVITE"},
        {"alg": "EdDSA", "typ": "INVITE"},
        {"alg": "HS256", "typ": "INVITE"},
        {"alg": "Ed448", "typ": "INVITE"},
        {"alg": "Ed25519"},
        {"alg": "Ed25519", "typ": "REDIRECT"},
        {"typ": "INVITE", "alg": "Ed25519"},
        {"alg": "Ed25519", "typ": "INVITE", "kid": ""},
        {"alg": "Ed25519", "typ": "INVITE", "kid": "AA"},
        {"alg": "Ed25519", "typ": "INVITE", "kid": 7},
        {"alg": "Ed25519", "typ": "INVITE", "jwk": {}},
        {"alg": "Ed25519", "typ": "INVITE", "jku": "https://192.0.2.1"},
        {"alg": "Ed25519", "typ": "INVITE", "x5c": []},
        {"alg": "Ed25519", "typ": "INVITE", "crit": ["b64"], "b64": False},
        {"alg": "Ed25519", "typ": "INVITE", "zip": "DEF"},
        {"alg": None, "typ": None},
        {},
    ],
)
def test_any_other_header_of_a_signed_token_is_refused(header):
    compact = jws(json.dumps(header, separators=(",", ":")).encode(), people.invite().encode(), SEED)
    token = jwe(compact.encode(), BOB.public.x25519, ephemeral=EPHEMERAL, iv=IV)
    with pytest.raises(RemoteError):
        envelope.unseal(_line(token), BOB).verify_invite(ALICE.public)


def test_a_signed_token_without_a_signature_is_refused():
    head, body, _signature = INNER.split(".")
    for compact in (f"{head}.{body}.", f"{head}.{body}", f"{head}..{_signature}", f"{head}.{body}.{_signature[:-2]}"):
        token = jwe(compact.encode(), BOB.public.x25519, ephemeral=EPHEMERAL, iv=IV)
        with pytest.raises(RemoteError):
            envelope.unseal(_line(token), BOB).verify_invite(ALICE.public)


@pytest.mark.parametrize("part", [0, 2, 3, 4])
def test_a_loose_bit_in_a_part_of_the_token_is_refused(part):
    parts = GOOD.split(".")
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    loose = digits[digits.index(parts[part][-1]) ^ 1]
    parts[part] = parts[part][:-1] + loose
    with pytest.raises(RemoteError):
        envelope.unseal(_line(".".join(parts)), BOB)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: [p[0], "AAAA", *p[2:]],
        lambda p: [p[0], "", p[2][:-4], *p[3:]],
        lambda p: [p[0], "", "", *p[3:]],
        lambda p: [*p[:3], "", p[4]],
        lambda p: [*p[:4], ""],
        lambda p: [*p[:4], b64(bytes(12))],
        lambda p: [*p[:4], b64(bytes(17))],
        lambda p: p[:4],
        lambda p: p[:3],
        lambda p: ["", *p[1:]],
    ],
)
def test_an_encrypted_token_with_odd_parts_is_refused(change):
    with pytest.raises(RemoteError):
        envelope.unseal(_line(".".join(change(GOOD.split(".")))), BOB)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_content_of_a_well_made_jwe_gives_a_remote_error(content):
    token = jwe(content, BOB.public.x25519, ephemeral=EPHEMERAL, iv=IV)
    with pytest.raises(RemoteError):
        envelope.unseal(_line(token), BOB)


@given(
    st.binary(max_size=200) | st.dictionaries(st.text(max_size=4), st.integers()).map(lambda d: json.dumps(d).encode())
)
@settings(deadline=None)
def test_any_payload_of_a_well_made_jws_gives_a_remote_error(payload):
    compact = jws(b'{"alg":"Ed25519","typ":"INVITE"}', payload, SEED)
    token = jwe(compact.encode(), BOB.public.x25519, ephemeral=EPHEMERAL, iv=IV)
    with pytest.raises(RemoteError):
        envelope.unseal(_line(token), BOB)


tokens = st.one_of(
    st.text("ABCabc012-_.", max_size=60),
    st.lists(st.binary(max_size=40).map(b64), min_size=1, max_size=5).map(".".join),
    st.binary(max_size=40).map(lambda tail: f"{GOOD.split('.')[0]}..{b64(IV)}.{b64(tail)}.{b64(bytes(16))}"),
)


@given(tokens)
@settings(deadline=None)
def test_any_token_gives_a_remote_error(token):
    for method, opener in (
        ("INVITE", lambda line: envelope.unseal(line, BOB)),
        ("REDIRECT", lambda line: envelope.unseal(line, BOB)),
        ("REGISTER", lambda line: envelope.open_register(line, BOOTSTRAP)),
        ("REGISTERED", lambda line: envelope.open_registered(line, BOB, BOOTSTRAP.public)),
        ("CHALLENGE", envelope.open_challenge),
        ("ERROR", envelope.open_error),
        ("ERROR", lambda line: envelope.verify_error(line, BOB.public)),
    ):
        with pytest.raises(RemoteError):
            opener(f"SECP2PSIP/1.0 {method} {token}\r\n".encode())
