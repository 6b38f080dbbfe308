"""Whether a SECP2PSIP REGISTER is accepted: a request, what the books say, and the rules go in, a decision comes out.

I/O: none. First come, first served: a name belongs to the key that registered it first; the same key may come again as
often as it likes, from another node key too [paper §II.B]. It goes on to another key only by the old one's signature
(the next generation), and to a stranger only after the operator has released it (again the next generation, and nothing
leads to it). A revoked key gets nothing any more. The request proves that its sender holds both
private keys *now*: both signatures cover the nonce of this connection, the server's key and the overlay's name.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from bootstrap.admission import Applicant, Invite, Policy, needs_invite, why_not
from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import PUBLIC_BYTES, THUMBPRINT_BYTES, KeyBundle
from overlay.trust.records import PENDING_NODE_ID, LookupRecord
from overlay.trust.signed import kind_of
from overlay.trust.succession import Succession
from overlay.trust.tombstone import Tombstone

if TYPE_CHECKING:
    from overlay.wire.messages import Register

NONCE_BYTES: Final = 16
FIRST_GENERATION: Final = 1
MAX_NAMES: Final = 65_536
"""Names that one server keeps."""
MAX_NAMES_PER_NODE_KEY: Final = 32
"""Names that one device may hold: an adapter serves as many users."""
ENROLMENT_WINDOW_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A name that is taken, as the books have it."""

    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the key bundle, 1 or more."""
    bundle: bytes
    """64 bytes: the key that owns the name."""
    node_public: bytes
    """32 bytes: the node key that the name came with last."""
    revoked: bool = False
    """Whether this key is revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the accounts say about one request, read in one transaction."""

    account: Account | None
    """The name's owner, None while it is free."""
    node_key_known: bool
    """The node key has a credential already, from any name."""
    names_of_node_key: int
    """Names that came with this node key last, the one asked for left out."""
    new_node_keys: int
    """Node keys that this source brought for the first time within the last day."""
    names: int
    """Names taken."""
    past_generation: int = 0
    """The last generation of a name that was released, 0 where it never was taken."""
    revoked: bool = False
    """Whether the request's own key is revoked, for whatever name."""
    new_keys_of_name: int = 0
    """Node keys that this name brought for the first time within the last day."""
    admitted: bool = False
    """Whether the operator put the name on the list."""
    invite: Invite | None = None
    """What the request's code stands for."""
    node_key_barred: bool = False
    """Whether the operator wants the node key on the ring no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What this connection's CHALLENGE said, and who is at its other end."""

    overlay: str
    """Name of the overlay."""
    thumbprint: bytes
    """16 bytes that name the server's key bundle."""
    nonce: bytes
    """16 bytes, made for this connection alone."""
    source: str
    """IP literal that stands for the connection's other end; see sources.py."""
    node_id: bytes
    """20 bytes: the ring id that the request's node key gets."""

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_BYTES or len(self.thumbprint) != THUMBPRINT_BYTES:
            raise LocalError("a challenge has a nonce and a thumbprint of 16 bytes each")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The name is the sender's; deal and store."""

    aor: str
    generation: int
    bundle: KeyBundle
    node_public: bytes
    record: LookupRecord
    first: bool
    """The name was free until now."""
    new_node_key: bool
    """The node key was never seen before: it counts against its source's limit."""
    rotated: bool = False
    """The key is a new one, which the old one named."""
    record_counts: bool = True
    """The lookup record is of this generation; else the sender did not know it, and publishes one by himself."""
    invite: Invite | None = None
    """The invite of which one use is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """The key is dead from now on: keep and spread the tombstone."""

    tombstone: Tombstone


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing changes; the sender is told why."""

    code: str
    """One of the wire's error codes."""
    reason: str
    """One sentence, lower case, at most 200 characters."""


Decision = Accepted | Revoked | Refused


def decide(request: Register, *, books: Books, expected: Expected, policy: Policy, now: float) -> Decision:
    """Accept or refuse a REGISTER whose user signature holds; never raises for its content.

    `now` is in seconds since 1970. The order matters: proofs first, so that who holds no key learns nothing of names;
    then the name; then limits.
    """
    flaw = _flaw_in_proof(request, expected) or _flaw_in_code(request, policy)
    if flaw is not None:
        return flaw
    try:
        bundle = KeyBundle.decode(request.bundle)
        record = LookupRecord.decode(request.record)
        record.verify(now=now)
        word = _read_word(request)
    except RemoteError as error:
        hint = ": compare the two clocks" if "expired" in error.reason or "future" in error.reason else ""
        return Refused(code="bad", reason=f"{error.reason}{hint}")
    if isinstance(word, Tombstone):
        return _bury(word, request, books, expected)
    generation = _generation(request, word, books)
    if isinstance(generation, Refused):
        return generation
    applicant = _applicant(request, books)
    flaw = (
        _flaw_in_record(record, request, generation, expected)
        or _barred(books)
        or _over_limit(books)
        or _not_admitted(applicant, policy, now)
    )
    if flaw is not None:
        return flaw
    return Accepted(
        aor=request.aor,
        generation=generation,
        bundle=bundle,
        node_public=request.node_public,
        record=record,
        first=books.account is None,
        new_node_key=not books.node_key_known,
        rotated=books.account is not None and books.account.bundle != request.bundle,
        record_counts=record.generation == generation,
        invite=books.invite if needs_invite(applicant, policy) else None,
    )


def _read_word(request: Register) -> Succession | Tombstone | None:
    if not request.word:
        return None
    if kind_of(request.word) == Tombstone.KIND:
        return Tombstone.decode(request.word)
    word = Succession.decode(request.word)
    word.verify()
    return word


def _generation(request: Register, word: Succession | None, books: Books) -> int | Refused:
    """Return the generation that the request's key is, or why it is none."""
    account = books.account
    if books.revoked or (account is not None and account.revoked):
        return Refused(code="revoked", reason=f"the key of {request.aor} is revoked: ask the operator for the name")
    if account is None:
        return books.past_generation + 1
    if account.bundle == request.bundle:
        return account.generation
    if word is None:
        return Refused(code="taken", reason=f"the name {request.aor} is taken: it belongs to another key")
    said = (word.aor, word.generation, word.old_bundle, word.new_bundle)
    if said != (request.aor, account.generation + 1, account.bundle, request.bundle):
        return Refused(code="taken", reason=f"the name {request.aor} belongs to a key that did not name this one")
    return word.generation


def _bury(word: Tombstone, request: Register, books: Books, expected: Expected) -> Revoked | Refused:
    account = books.account
    owned = account is not None and account.bundle == request.bundle
    said = (word.aor, word.bundle, word.generation)
    if not owned and books.revoked:
        # its owner missed the answer, and the name has been released since: without it he would ask for ever
        return Refused(code="revoked", reason=f"the key of {request.aor} is revoked already")
    if not owned or account is None or said != (request.aor, request.bundle, account.generation):
        return Refused(code="bad", reason="the tombstone is not of the key that this name has")
    try:
        # only the key itself can be meant here: the operator does not revoke through this door
        word.verify(overlay=expected.overlay, overlay_public=bytes(PUBLIC_BYTES))
    except RemoteError as error:
        return Refused(code="bad", reason=error.reason)
    return Revoked(tombstone=word)


def _applicant(request: Register, books: Books) -> Applicant:
    return Applicant(
        aor=request.aor,
        is_new_name=books.account is None,
        is_new_device=not books.node_key_known,
        new_devices_of_source=books.new_node_keys,
        new_devices_of_name=books.new_keys_of_name,
        admitted=books.admitted,
        invite=books.invite,
    )


def _not_admitted(applicant: Applicant, policy: Policy, now: float) -> Refused | None:
    reason = why_not(applicant, policy, now=now)
    return None if reason is None else Refused(code="policy", reason=reason)


def _flaw_in_proof(request: Register, expected: Expected) -> Refused | None:
    """Proof of possession: this connection, this server, this overlay, and the node's own signature."""
    if not hmac.compare_digest(request.nonce, expected.nonce):
        return Refused(
            code="unverified", reason="the nonce is not this connection's: a repeated request proves nothing"
        )
    if request.bootstrap != expected.thumbprint:
        return Refused(code="unverified", reason="the request was made for another bootstrap server")
    if request.overlay != expected.overlay:
        return Refused(code="unverified", reason="the request was made for another overlay")
    try:
        request.verify_node()
    except RemoteError as error:
        return Refused(code="unverified", reason=error.reason)
    return None


def _flaw_in_code(request: Register, policy: Policy) -> Refused | None:
    if policy.code and not hmac.compare_digest(request.code.encode(), policy.code.encode()):
        return Refused(code="policy", reason="this overlay asks for an enrolment code, and this is not it")
    return None


def _flaw_in_record(record: LookupRecord, request: Register, generation: int, expected: Expected) -> Refused | None:
    """Check that the lookup record is the sender's, for this name, and of an adapter that others can reach."""
    if record.aor != request.aor or record.bundle != request.bundle:
        return Refused(code="bad", reason="the lookup record is of another name or key")
    if record.generation > generation:
        return Refused(code="bad", reason=f"the lookup record is of another generation than {generation}")
    if record.node_id not in {PENDING_NODE_ID, expected.node_id}:
        return Refused(code="bad", reason="the lookup record names another node than the one that signed")
    if ip_address(record.host).is_loopback and not ip_address(expected.source).is_loopback:
        return Refused(code="bad", reason=f"no other host reaches an adapter at {record.host}: use its LAN address")
    return None


def _barred(books: Books) -> Refused | None:
    # whatever the name and its key: a credential is the device's
    reason = "this device is barred from the overlay: ask the operator"
    return Refused(code="policy", reason=reason) if books.node_key_barred else None


def _over_limit(books: Books) -> Refused | None:
    if books.account is None and books.names >= MAX_NAMES:
        return Refused(code="policy", reason=f"this server keeps {MAX_NAMES} names at most, and has them")
    if books.names_of_node_key >= MAX_NAMES_PER_NODE_KEY:
        return Refused(code="policy", reason=f"one device holds {MAX_NAMES_PER_NODE_KEY} names at most")
    return None
