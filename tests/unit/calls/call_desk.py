"""Two users with real keys, and what each of the call machines needs to hear of the other; no ring, no socket."""

import random
from dataclasses import dataclass, replace

from adapter.calls.answering import Answering, LocalUser
from adapter.calls.inviting import Inviting
from adapter.findings import Found
from overlay.ring.ids import Peer, RingId, id_to_bytes
from overlay.trust.identity import KeyBundle, PrivateBundle
from overlay.trust.records import LookupRecord
from overlay.wire.messages import Party
from tests.support.people import ALICE, BOB, EVE, NOW, party

ALICE_NODE = Peer(id=RingId(0xA11CE), host="127.0.0.1", port=7001)
BOB_NODE = Peer(id=RingId(0xB0B), host="127.0.0.1", port=7002)
EVE_NODE = Peer(id=RingId(0xE5E), host="127.0.0.1", port=7003)
NODES = {"alice": ALICE_NODE, "bob": BOB_NODE, "eve": EVE_NODE}
KEYS = {"alice": ALICE, "bob": BOB, "eve": EVE}
NOW = float(NOW)


@dataclass(frozen=True)
class Phone:
    host: str = "127.0.0.1"
    port: int = 5062
    transport: str = "udp"
    is_one_way: bool = False
    source: tuple[str, int] = ("127.0.0.1", 5062)
    tls_port: int = 0
    fingerprint: bytes = b""


def party_of(aor: str) -> Party:
    return party(aor, KEYS[aor])


def found(
    aor: str = "bob",
    *,
    keys: PrivateBundle | None = None,
    contact: Peer | None = None,
    sequence: int = 7,
    nowhere: bool = False,
) -> Found:
    """What a lookup of `aor` brings: by default the truth."""
    keys, contact = keys or KEYS[aor], contact or NODES[aor]
    record = LookupRecord.issue(
        keys,
        aor=aor,
        generation=1,
        node_id=id_to_bytes(contact.id),
        host=contact.host,
        port=contact.port,
        sequence=sequence,
        issued_at=int(NOW),
        expires_at=int(NOW) + 600,
    )
    return Found(
        aor=aor,
        bundle=keys.public,
        generation=1,
        record=record,
        contact=None if nowhere else contact,
        basis="polynomial",
        support=5,
        drawn=(1, 3, 4, 6, 7),
        holders={},
        verdicts=(),
        liars=(),
        conflicts=(),
        attackers_needed=3,
        asked_everyone=False,
        asked=(),
        silent=(),
        waves=1,
        ring_size_known=8,
        took_ms=1.0,
    )


def inviting(
    *, callee: str = "bob", seed: int = 1, now: float = NOW, fingerprint: bytes = b"", own: tuple = (), **options
) -> Inviting:
    return Inviting(
        caller=ALICE,
        party=party_of("alice"),
        callee=callee,
        random_bytes=random.Random(seed).randbytes,
        now=now,
        fingerprint=fingerprint,
        own=own,
        **options,
    )


def answering(
    *aors: str,
    phones: tuple[Phone, ...] = (Phone(),),
    started_at: float = NOW - 100,
    accepts=lambda caller, callee: True,
) -> Answering:
    users = {aor: LocalUser(private=KEYS[aor], party=party_of(aor)) for aor in aors or ("bob",)}
    return Answering(
        users=users,
        contacts=lambda aor: phones,
        random_bytes=random.Random(2).randbytes,
        now=started_at,
        accepts=accepts,
    )


def drain(machine) -> list:
    events = []
    while (event := machine.next_event()) is not None:
        events.append(event)
    return events


def only(machine, kind):
    """The one event of this kind among those that wait."""
    events = [event for event in drain(machine) if isinstance(event, kind)]
    assert len(events) == 1, events
    return events[0]


def replaced_key(what: Found, key: KeyBundle) -> Found:
    return replace(what, bundle=key)
