"""Fixed keys, names and records for tests that need some but do not care which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.pieces import deal
from overlay.trust.records import DealingCertificate, LookupRecord, NodeCredential, Release, ShareList, Succession
from overlay.trust.seals import Seals
from overlay.trust.tombstone import Tombstone
from overlay.wire.messages import Challenge, Error, Invite, NodeAt, Party, Redirect, Register, Registered

if TYPE_CHECKING:
    from overlay.trust.pieces import KeyPiece

NOW = 1_700_000_000
DAY = 86_400
OVERLAY = "lab"


def private_bundle(label: int) -> PrivateBundle:
    """Return a user's keys made of one repeated byte each."""
    return PrivateBundle.from_bytes(bytes([label]) * 32 + bytes([label + 1]) * 32)


ALICE = private_bundle(0x10)
BOB = private_bundle(0x20)
EVE = private_bundle(0x30)
BOOTSTRAP = private_bundle(0x40)
DEALER = SigningKey.from_bytes(b"\x50" * 32)
NODE = SigningKey.from_bytes(b"\x60" * 32)
SEED = b"\x70" * 32


def party(aor: str, keys: PrivateBundle, generation: int = 1) -> Party:
    return Party(aor=aor, generation=generation, thumbprint=keys.public.thumbprint())


def pieces(keys: PrivateBundle = ALICE, *, aor: str = "alice", k: int = 3, n: int = 7) -> tuple[KeyPiece, ...]:
    return deal(
        keys.public,
        aor=aor,
        generation=1,
        k=k,
        n=n,
        dealing=DEALER,
        seed=SEED,
        issued_at=NOW,
        expires_at=NOW + 30 * DAY,
    )


def share_list(keys: PrivateBundle = BOOTSTRAP, *, overlay: str = OVERLAY, **dealt: Any) -> ShareList:
    return ShareList.issue(keys, overlay=overlay, pieces=pieces(**dealt))


def seals(keys: PrivateBundle = ALICE, **dealt: Any) -> tuple[Seals, ...]:
    return Seals.issue(keys, pieces(keys, **dealt))


def lookup_record(keys: PrivateBundle = ALICE, **changes: Any) -> LookupRecord:
    given: dict[str, Any] = {
        "aor": "alice",
        "generation": 1,
        "node_id": b"\x01" * 20,
        "host": "192.0.2.10",
        "port": 5480,
        "sequence": 7,
        "issued_at": NOW,
        "expires_at": NOW + 600,
    }
    return LookupRecord.issue(keys, **(given | changes))


def credential(keys: PrivateBundle = BOOTSTRAP, **changes: Any) -> NodeCredential:
    given: dict[str, Any] = {
        "overlay": OVERLAY,
        "node_public": NODE.public,
        "salt": b"\x80" * 32,
        "expires_at": NOW + 30 * DAY,
    }
    return NodeCredential.issue(keys, **(given | changes))


def certificate(keys: PrivateBundle = BOOTSTRAP, **changes: Any) -> DealingCertificate:
    given: dict[str, Any] = {
        "overlay": OVERLAY,
        "dealing_public": DEALER.public,
        "k": 3,
        "n": 7,
        "expires_at": NOW + 365 * DAY,
    }
    return DealingCertificate.issue(keys, **(given | changes))


def release(keys: PrivateBundle = ALICE, **changes: Any) -> Release:
    given: dict[str, Any] = {
        "aor": "alice",
        "generation": 1,
        "node_id": b"\x01" * 20,
        "indices": (2, 5),
        "sequence": 3,
    }
    return Release.issue(keys, **(given | changes))


def succession(keys: PrivateBundle = ALICE, *, new: PrivateBundle = EVE, **changes: Any) -> Succession:
    given: dict[str, Any] = {"aor": "alice", "generation": 2, "new": new.public}
    return Succession.issue(keys, **(given | changes))


def tombstone(keys: PrivateBundle = ALICE, **changes: Any) -> Tombstone:
    given: dict[str, Any] = {
        "overlay": OVERLAY,
        "aor": "alice",
        "generation": 1,
        "bundle": ALICE.public,
        "issued_at": NOW,
    }
    return Tombstone.issue(keys, **(given | changes))


def challenge(**changes: Any) -> Challenge:
    given: dict[str, Any] = {
        "overlay": OVERLAY,
        "bundle": BOOTSTRAP.public.encode(),
        "dealing": certificate().encode(),
        "nonce": b"\x90" * 16,
        "time": NOW,
    }
    return Challenge(**(given | changes))


def register(**changes: Any) -> Register:
    given: dict[str, Any] = {
        "aor": "alice",
        "bundle": ALICE.public.encode(),
        "record": lookup_record().encode(),
        "nonce": b"\x90" * 16,
        "bootstrap": BOOTSTRAP.public.thumbprint(),
        "overlay": OVERLAY,
        "code": "",
    }
    return Register.issue(NODE, **(given | changes))


def registered(**changes: Any) -> Registered:
    given: dict[str, Any] = {
        "aor": "alice",
        "generation": 1,
        "about": b"\xa0" * 16,
        "credential": credential().encode(),
        "dealing": certificate().encode(),
        "pieces": tuple(piece.encode() for piece in pieces()),
        "share_list": share_list().encode(),
        "nodes": (NodeAt(id=b"\x02" * 20, host="192.0.2.20", port=5480),),
        "overlay": OVERLAY,
        "time": NOW,
    }
    return Registered(**(given | changes))


def invite(**changes: Any) -> Invite:
    given: dict[str, Any] = {
        "issuer": party("alice", ALICE),
        "audience": party("bob", BOB),
        "id": b"\xa0" * 16,
        "issued_at": NOW,
        "expires_at": NOW + 30,
    }
    return Invite(**(given | changes))


def redirect(**changes: Any) -> Redirect:
    given: dict[str, Any] = {
        "issuer": party("bob", BOB),
        "audience": party("alice", ALICE),
        "invite_hash": b"\xb0" * 32,
        "issued_at": NOW + 1,
        "expires_at": NOW + 31,
        "contacts": ("192.0.2.30:5062;udp",),
        "token": b"\xc0" * 16,
    }
    return Redirect(**(given | changes))


def error(**changes: Any) -> Error:
    given: dict[str, Any] = {
        "code": "again",
        "reason": "send it again with this cookie",
        "about": b"\xa0" * 16,
        "cookie": b"\xd0" * 32,
        "time": NOW,
    }
    return Error(**(given | changes))
