"""The cryptography of HELLO and ANSWER: who is there, and which keys do we share.  I/O: none.

Both sides make an X25519 key for this one handshake and sign it with their node key; the answer's signature also covers
the hash of the hello. Keys come from HKDF-SHA256 over the X25519 secret, salted with the hash of both frames, one for
each direction and bound to both ids. So nobody without a node key signed for by the overlay takes part, an answer to
another hello is worth nothing, and a node key stolen later opens no old datagram [RFC 7748] [RFC 5869] [SIGMA].
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from overlay.errors import LocalError, RemoteError
from overlay.ring.channel import Session
from overlay.ring.frames import EPHEMERAL_BYTES, MAX_CREDENTIAL_BYTES, NO_ID, SIGNATURE_BYTES, Address, Answer, Hello
from overlay.ring.ids import Peer, RingId, id_from_bytes, id_to_bytes
from overlay.trust.identity import SigningKey, verify
from overlay.trust.records import NodeCredential

if TYPE_CHECKING:
    from collections.abc import Callable

KEY_BYTES: Final = 32
INDEX_BYTES: Final = 8
MAX_KNOWN_CREDENTIALS: Final = 1024
"""Credentials whose signature was checked before: a renewed session pays for one signature less."""

_HELLO_DOMAIN: Final = b"secp2psip ring hello 1"
_ANSWER_DOMAIN: Final = b"secp2psip ring answer 1"
_TRANSCRIPT_DOMAIN: Final = b"secp2psip ring transcript 1\0"
_KEYS_INFO: Final = b"secp2psip ring keys 1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class RingIdentity:
    """Who this node is on the ring, and which overlay it belongs to."""

    node_key: SigningKey = field(repr=False)
    """Signs our hellos and answers."""
    credential: NodeCredential
    """The overlay's word that the node key has our id."""
    overlay: str
    """Name of the overlay."""
    overlay_public: bytes
    """Ed25519 public key of the overlay, 32 bytes: signs every credential."""

    def __post_init__(self) -> None:
        if self.credential.node_public != self.node_key.public:
            raise LocalError("the node credential is for another node key")
        if self.credential.overlay != self.overlay:
            raise LocalError("the node credential is for another overlay")
        if len(self.credential.encode()) > MAX_CREDENTIAL_BYTES:
            raise LocalError("the node credential does not fit into a hello")

    @property
    def id(self) -> RingId:
        """Our place on the ring."""
        return id_from_bytes(self.credential.node_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """A hello that we sent, and what is needed to understand its answer."""

    frame: bytes
    index: int
    ephemeral: X25519PrivateKey = field(repr=False)
    expected: RingId | None
    target: Address


class Handshake:
    """Makes and checks the two frames for one node."""

    __slots__ = ("_credential", "_known", "_random_bytes", "id", "identity")

    FINAL: Final = frozenset(
        {
            "another node answers",
            "own frame",
            "credential of another overlay",
            "credential expired",
            "credential forged",
        }
    )
    """Reasons why `conclude` refuses that no later answer to the same hello can mend."""

    def __init__(self, identity: RingIdentity, *, random_bytes: Callable[[int], bytes]) -> None:
        self.id = identity.id
        self._random_bytes = random_bytes
        self._known: dict[bytes, NodeCredential] = {}  # what was used last is last
        self.renew(identity)

    def renew(self, identity: RingIdentity) -> None:
        """Show this credential from now on."""
        self.identity = identity
        self._credential = identity.credential.encode()

    def greet(self, target: Address, expected: RingId | None, origin: Address | None, now: float) -> Greeting:
        """Make the HELLO that asks whoever is at `target` for a session."""
        index, ephemeral = self._draw()
        body = Hello(
            index=index,
            ephemeral=ephemeral.public_key().public_bytes_raw(),
            time_ms=_milliseconds(now),
            expected=NO_ID if expected is None else id_to_bytes(expected),
            origin=origin,
            target=target,
            credential=self._credential,
        ).body()
        frame = body + self.identity.node_key.sign(_HELLO_DOMAIN, body + self.identity.overlay.encode())
        return Greeting(frame=frame, index=index, ephemeral=ephemeral, expected=expected, target=target)

    def claimed_id(self, encoded: bytes) -> RingId:
        """Return the id that an encoded credential claims, unchecked; RemoteError when it is malformed."""
        return id_from_bytes(self._decode(encoded).node_id)

    def check_hello(self, frame: bytes, hello: Hello, now: float) -> NodeCredential:
        """Return the credential of who signed a HELLO; RemoteError when that is nobody of this overlay."""
        credential = self._check_credential(hello.credential, now)
        signed = frame[:-SIGNATURE_BYTES] + self.identity.overlay.encode()
        if not verify(credential.node_public, _HELLO_DOMAIN, signed, frame[-SIGNATURE_BYTES:], once=True):
            raise RemoteError("hello not signed by its node")
        return credential

    def answer(
        self, frame: bytes, hello: Hello, source: Address, origin: Address | None, now: float
    ) -> tuple[bytes, Session]:
        """Return the ANSWER to a checked HELLO, and the session that begins when its first DATA frame comes in."""
        credential = self._decode(hello.credential)
        peer = _peer(credential, source)
        index, ephemeral = self._draw()
        body = Answer(
            to_index=hello.index,
            index=index,
            ephemeral=ephemeral.public_key().public_bytes_raw(),
            time_ms=_milliseconds(now),
            origin=origin,
            credential=self._credential,
        ).body()
        signed = hashlib.sha256(frame).digest() + body + self.identity.overlay.encode()
        reply = body + self.identity.node_key.sign(_ANSWER_DOMAIN, signed)
        initiator_key, responder_key = _agree(
            ephemeral, hello.ephemeral, frames=frame + reply, initiator=peer.id, responder=self.id
        )
        session = Session(
            me=self.id,
            peer=peer,
            index=index,
            peer_index=hello.index,
            keys=(responder_key, initiator_key),
            initiator=False,
            hello_time_ms=hello.time_ms,
            created_at=now,
            valid_until=credential.expires_at,
        )
        return reply, session

    def conclude(self, greeting: Greeting, frame: bytes, answer: Answer, now: float) -> Session:
        """Return the session that an ANSWER to our HELLO completes; RemoteError when it does not hold."""
        credential = self._check_credential(answer.credential, now)
        signed = hashlib.sha256(greeting.frame).digest() + frame[:-SIGNATURE_BYTES] + self.identity.overlay.encode()
        if not verify(credential.node_public, _ANSWER_DOMAIN, signed, frame[-SIGNATURE_BYTES:], once=True):
            raise RemoteError("answer not signed by its node")
        peer = _peer(credential, greeting.target)
        if greeting.expected is not None and peer.id != greeting.expected:
            raise RemoteError("another node answers")
        initiator_key, responder_key = _agree(
            greeting.ephemeral, answer.ephemeral, frames=greeting.frame + frame, initiator=self.id, responder=peer.id
        )
        return Session(
            me=self.id,
            peer=peer,
            index=greeting.index,
            peer_index=answer.index,
            keys=(initiator_key, responder_key),
            initiator=True,
            hello_time_ms=0,
            created_at=now,
            valid_until=credential.expires_at,
        )

    def _draw(self) -> tuple[int, X25519PrivateKey]:
        # zero marks an absent index; drawing it once in 2**64 is no reason to draw again
        index = int.from_bytes(self._random_bytes(INDEX_BYTES), "big") or 1
        return index, X25519PrivateKey.from_private_bytes(self._random_bytes(EPHEMERAL_BYTES))

    def _decode(self, encoded: bytes) -> NodeCredential:
        known = self._known.get(encoded)
        if known is not None:
            return known
        try:
            return NodeCredential.decode(encoded)
        except RemoteError:
            raise RemoteError("credential malformed") from None

    def _check_credential(self, encoded: bytes, now: float) -> NodeCredential:
        """Return a credential of this overlay that has not expired; never our own, which means a mirror."""
        if encoded == self._credential:
            raise RemoteError("own frame")
        credential = self._decode(encoded)
        if credential.overlay != self.identity.overlay:
            raise RemoteError("credential of another overlay")
        if credential.expires_at <= now:
            raise RemoteError("credential expired")
        if encoded in self._known:
            self._known[encoded] = self._known.pop(encoded)
            return credential
        try:
            credential.verify(self.identity.overlay_public, overlay=self.identity.overlay, now=now)
        except RemoteError:
            raise RemoteError("credential forged") from None
        if credential.node_public == self.identity.node_key.public:
            raise RemoteError("own frame")
        self._known[encoded] = credential
        if len(self._known) > MAX_KNOWN_CREDENTIALS:
            del self._known[next(iter(self._known))]
        return credential


def _peer(credential: NodeCredential, address: Address) -> Peer:
    return Peer(id=id_from_bytes(credential.node_id), host=address[0], port=address[1])


def _milliseconds(now: float) -> int:
    return max(0, int(now * 1000))


def _agree(
    ours: X25519PrivateKey, theirs: bytes, *, frames: bytes, initiator: RingId, responder: RingId
) -> tuple[bytes, bytes]:
    """Return the initiator's sending key and the responder's; RemoteError for a point that gives no secret.

    `frames` is the whole HELLO and the whole ANSWER, signatures included.
    """
    try:
        secret = ours.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError:
        raise RemoteError("exchange key of small order") from None
    transcript = hashlib.sha256(_TRANSCRIPT_DOMAIN + frames).digest()
    info = _KEYS_INFO + id_to_bytes(initiator) + id_to_bytes(responder)
    keys = HKDF(algorithm=SHA256(), length=2 * KEY_BYTES, salt=transcript, info=info).derive(secret)
    return keys[:KEY_BYTES], keys[KEY_BYTES:]
