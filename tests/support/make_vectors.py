"""Write tests/vectors/*.json: fixed keys and randomness in, exact bytes out.

    python -m tests.support.make_vectors

Values are hexadecimal, lines and tokens are text. tests/unit/wire/test_vectors.py makes them again and compares, so a
change of any byte on the wire shows up as a changed file.
"""

from __future__ import annotations

import hashlib
import json
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overlay.trust.pieces import deal
from overlay.trust.polynomial import PRIME
from overlay.trust.records import PENDING_NODE_ID, LookupRecord
from overlay.trust.shamir import decode, encode_share, split
from overlay.trust.succession import encode_chain
from tests.support import people
from tests.support.plain_jose import b64, jwe, jws

if TYPE_CHECKING:
    from collections.abc import Callable

    from overlay.trust.identity import PrivateBundle
    from overlay.wire.messages import Message

FOLDER = Path(__file__).parent.parent / "vectors"
EPHEMERAL = b"\xe0" * 32
IV = b"\xf0" * 12


def keys() -> dict[str, Any]:
    """Private bytes, public bundle and thumbprint of everybody who appears in the vectors."""
    owners = {"alice": people.ALICE, "bob": people.BOB, "bootstrap": people.BOOTSTRAP}
    users = {
        name: {
            "private": bundle.to_bytes().hex(),
            "bundle": bundle.public.encode().hex(),
            "thumbprint": bundle.public.thumbprint().hex(),
        }
        for name, bundle in owners.items()
    }
    signers = {
        name: {"private": key.to_bytes().hex(), "public": key.public.hex()}
        for name, key in {"dealer": people.DEALER, "node": people.NODE}.items()
    }
    signed = {
        "signer": "node",
        "domain": "secp2psip test 1",
        "message": b"message".hex(),
        "signature": people.NODE.sign(b"secp2psip test 1", b"message").hex(),
    }
    return {"users": users, "signing_keys": signers, "signature": signed}


def shamir() -> dict[str, Any]:
    """Splitting with counted-up coefficients, and a decode with two liars."""
    secret = people.ALICE.public.encode()
    dealt = {(k, n): split(secret, k=k, n=n, draw=_counted()) for k, n in ((3, 7), (4, 10), (5, 13))}
    points = dict(enumerate(dealt[3, 7], start=1))
    for index in (2, 5):
        points[index] = encode_share((int.from_bytes(points[index], "big") + index) % PRIME)
    decoded = decode(points, k=3)
    if decoded is None:
        raise RuntimeError("two liars of seven are corrected")
    return {
        "secret": secret.hex(),
        "coefficients": "coefficient j (from 1) is 2**521 - 1 - (999 + j)",
        "split": [{"k": k, "n": n, "shares": [share.hex() for share in shares]} for (k, n), shares in dealt.items()],
        "decode": {
            "k": 3,
            "shares": [points[index].hex() for index in sorted(points)],
            "secret": decoded.secret.hex(),
            "liars": sorted(decoded.liars),
        },
    }


def _counted() -> Callable[[int], int]:
    numbers = count(1000)
    return lambda bound: bound - next(numbers)


def records() -> dict[str, Any]:
    """One record of each kind, and the pieces of one dealing."""
    dealt = deal(
        people.ALICE.public,
        aor="alice",
        generation=1,
        k=3,
        n=7,
        dealing=people.DEALER,
        seed=people.SEED,
        issued_at=people.NOW,
        expires_at=people.NOW + 30 * people.DAY,
    )
    return {
        "dealing_seed": people.SEED.hex(),
        "key_piece": [piece.encode().hex() for piece in dealt],
        "lookup_record": people.lookup_record().encode().hex(),
        "lookup_record_ipv6_pending": pending().encode().hex(),
        "node_credential": people.credential().encode().hex(),
        "node_id": people.credential().node_id.hex(),
        "dealing_certificate": people.certificate().encode().hex(),
        "release": people.release().encode().hex(),
        "share_list": people.share_list().encode().hex(),
        "succession": people.succession().encode().hex(),
        "tombstone": people.tombstone().encode().hex(),
        "seals": [seals.encode().hex() for seals in people.seals()],
        "lookup_record_succeeding": succeeding().encode().hex(),
    }


def pending() -> LookupRecord:
    """Return the record of a first registration."""
    return people.lookup_record(host="2001:db8::10", node_id=PENDING_NODE_ID, sequence=0)


def succeeding() -> LookupRecord:
    """Return a record of the second generation, with the word of the first on it."""
    return people.lookup_record(people.EVE, generation=2, succession=encode_chain([people.succession()]))


def _signed(message: Message, signer: PrivateBundle, kid: bytes = b"") -> str:
    name = f',"kid":"{b64(kid)}"' if kid else ""
    header = f'{{"alg":"Ed25519","typ":"{message.METHOD}"{name}}}'.encode()
    return jws(header, message.encode(), signer.to_bytes()[:32])


def _sealed(message: Message, signer: PrivateBundle, recipient: PrivateBundle) -> dict[str, str]:
    compact = _signed(message, signer)
    token = jwe(compact.encode(), recipient.public.x25519, ephemeral=EPHEMERAL, iv=IV)
    return {
        "payload": message.encode().decode(),
        "jws": compact,
        "jws_sha256": hashlib.sha256(compact.encode()).hexdigest(),
        "line": f"SECP2PSIP/1.0 {message.METHOD} {token}\r\n",
    }


def messages() -> dict[str, Any]:
    """One line of each message."""
    challenge, register, registered = people.challenge(), people.register(), people.registered()
    invite = people.invite(cookie=b"\xd0" * 32, fingerprint=b"\x11" * 32)
    sealed_invite = _sealed(invite, people.ALICE, people.BOB)
    redirect = people.redirect(
        invite_hash=bytes.fromhex(sealed_invite["jws_sha256"]),
        contacts=("192.0.2.30:5062;udp", "[2001:db8::30]:5061;tls"),
        fingerprint=b"\x12" * 32,
    )
    error = people.error()
    signed_error = _signed(error, people.BOB, people.BOB.public.thumbprint())
    return {
        "ephemeral_private": EPHEMERAL.hex(),
        "iv": IV.hex(),
        "CHALLENGE": {
            "payload": challenge.encode().decode(),
            "line": f"SECP2PSIP/1.0 CHALLENGE {_signed(challenge, people.BOOTSTRAP)}\r\n",
        },
        "REGISTER": _sealed(register, people.ALICE, people.BOOTSTRAP),
        "REGISTERED": _sealed(registered, people.BOOTSTRAP, people.ALICE),
        "INVITE": sealed_invite,
        "REDIRECT": _sealed(redirect, people.BOB, people.ALICE),
        "ERROR": {
            "payload": error.encode().decode(),
            "line": f"SECP2PSIP/1.0 ERROR {signed_error}\r\n",
            "unsigned_line": f"SECP2PSIP/1.0 ERROR {b64(error.encode())}\r\n",
        },
    }


VECTORS = {"keys": keys, "shamir": shamir, "records": records, "messages": messages}


def text_of(name: str) -> str:
    """Return what the file of that name holds."""
    return json.dumps(VECTORS[name](), indent=2) + "\n"


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for name in VECTORS:
        (FOLDER / f"{name}.json").write_text(text_of(name), encoding="ascii")


if __name__ == "__main__":
    main()
