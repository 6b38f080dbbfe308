"""The three messages of a registration: CHALLENGE, REGISTER, REGISTERED.  I/O: none.

Source: [paper §II.B], where the second and the third stand. CHALLENGE is added: without a nonce to sign, whoever has
once seen a registration could repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import (
    BUNDLE_BYTES,
    PUBLIC_BYTES,
    SIGNATURE_BYTES,
    THUMBPRINT_BYTES,
    SigningKey,
    is_aor,
    verify,
)
from overlay.trust.shamir import MAX_PIECES
from overlay.trust.signed import (
    MAX_GENERATION,
    MAX_RECORD_BYTES,
    MAX_TIME_S,
    UNSIGNED,
    check_bytes,
    check_int,
    check_overlay,
)
from overlay.wire.codec import DIGEST_BYTES
from overlay.wire.fields import BLOBS, BYTES, NODES, PLAIN, Member, Message, NodeAt, check_bytes_up_to, check_text
from overlay.wire.payload import encode_json

NONCE_BYTES: Final = 16
MAX_NODES: Final = 16
MAX_CODE_CHARS: Final = 64
REGISTER_DOMAIN: Final = b"secp2psip register 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge(Message):
    """The bootstrap's first word: who it is, and a nonce to be signed [RFC 4211 §4]."""

    METHOD: ClassVar[str] = "CHALLENGE"
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        Member("overlay", "overlay", PLAIN),
        Member("bundle", "bundle", BYTES),
        Member("dealing", "dealing", BYTES),
        Member("nonce", "nonce", BYTES),
        Member("time", "time", PLAIN),
    )

    overlay: str
    """Name of the overlay."""
    bundle: bytes
    """64 bytes: the overlay's key bundle, which also signs this message."""
    dealing: bytes
    """An encoded DealingCertificate."""
    nonce: bytes
    """16 random bytes, for this connection only."""
    time: int
    """The bootstrap's clock, seconds since 1970."""

    def __post_init__(self) -> None:
        check_overlay(self.overlay)
        check_bytes("bundle", self.bundle, BUNDLE_BYTES)
        check_bytes_up_to("dealing", self.dealing, MAX_RECORD_BYTES)
        check_bytes("nonce", self.nonce, NONCE_BYTES)
        check_int("time", self.time, 0, MAX_TIME_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(Message):
    """A user's registration: his key, his node's key and where he is, signed by both keys [paper §II.B]."""

    METHOD: ClassVar[str] = "REGISTER"
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        Member("aor", "aor", PLAIN),
        Member("bundle", "bundle", BYTES),
        Member("node", "node_public", BYTES),
        Member("record", "record", BYTES),
        Member("nonce", "nonce", BYTES),
        Member("boot", "bootstrap", BYTES),
        Member("overlay", "overlay", PLAIN),
        Member("code", "code", PLAIN),
        Member("word", "word", BYTES),
        Member("nsig", "node_signature", BYTES),
    )

    aor: str
    """User name in its one spelling."""
    bundle: bytes
    """64 bytes: the user's key bundle."""
    node_public: bytes
    """32 bytes: the Ed25519 key of the adapter's node."""
    record: bytes
    """An encoded LookupRecord; its node id is PENDING_NODE_ID until the node knows its own."""
    nonce: bytes
    """16 bytes: the CHALLENGE's."""
    bootstrap: bytes
    """16 bytes: thumbprint of the bootstrap's key bundle, so that nobody passes this on to another bootstrap."""
    overlay: str
    """Name of the overlay."""
    code: str = ""
    """Enrolment code or invite, where the bootstrap asks for one."""
    word: bytes = b""
    """The old key's Succession where the key is a new one, a Tombstone where it is revoked, else empty."""
    node_signature: bytes
    """64 bytes: the node key over all of the above."""

    def __post_init__(self) -> None:
        if not is_aor(self.aor):
            raise LocalError("aor is a user name in its one spelling")
        check_bytes("bundle", self.bundle, BUNDLE_BYTES)
        check_bytes("node_public", self.node_public, PUBLIC_BYTES)
        check_bytes_up_to("record", self.record, MAX_RECORD_BYTES)
        check_bytes("nonce", self.nonce, NONCE_BYTES)
        check_bytes("bootstrap", self.bootstrap, THUMBPRINT_BYTES)
        check_overlay(self.overlay)
        check_text("code", self.code, MAX_CODE_CHARS)
        check_bytes_up_to("word", self.word, MAX_RECORD_BYTES)
        check_bytes("node_signature", self.node_signature, SIGNATURE_BYTES)

    @classmethod
    def issue(
        cls,
        node_key: SigningKey,
        *,
        aor: str,
        bundle: bytes,
        record: bytes,
        nonce: bytes,
        bootstrap: bytes,
        overlay: str,
        code: str = "",
        word: bytes = b"",
    ) -> Self:
        """Make a registration and sign it with the node key; sealing adds the user's signature."""
        blank = cls(
            aor=aor,
            bundle=bundle,
            node_public=node_key.public,
            record=record,
            nonce=nonce,
            bootstrap=bootstrap,
            overlay=overlay,
            code=code,
            word=word,
            node_signature=UNSIGNED,
        )
        return replace(blank, node_signature=node_key.sign(REGISTER_DOMAIN, blank._node_part()))

    def verify_node(self) -> None:
        """RemoteError unless the node key signed this very registration."""
        if not verify(self.node_public, REGISTER_DOMAIN, self._node_part(), self.node_signature):
            raise RemoteError("registration not signed by its node key")

    def _node_part(self) -> bytes:
        members = self.members()
        del members["nsig"]
        return encode_json(members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(Message):
    """The bootstrap's answer: the node's credential, the user's pieces and nodes to join through [paper §II.B]."""

    METHOD: ClassVar[str] = "REGISTERED"
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        Member("aor", "aor", PLAIN),
        Member("gen", "generation", PLAIN),
        Member("about", "about", BYTES),
        Member("cred", "credential", BYTES),
        Member("dealing", "dealing", BYTES),
        Member("pieces", "pieces", BLOBS),
        Member("shares", "share_list", BYTES),
        Member("nodes", "nodes", NODES),
        Member("overlay", "overlay", PLAIN),
        Member("time", "time", PLAIN),
    )

    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the key bundle."""
    about: bytes
    """16 bytes: `line_digest` of the REGISTER, which its sender encrypted anew: no recorded answer fits."""
    credential: bytes
    """An encoded NodeCredential."""
    dealing: bytes
    """An encoded DealingCertificate."""
    pieces: tuple[bytes, ...]
    """Encoded KeyPieces, piece i at [i-1]; MAX_PIECES at most."""
    share_list: bytes
    """The encoded ShareList of these pieces, without which no node keeps one of them."""
    nodes: tuple[NodeAt, ...]
    """Holders of the pieces first, then others; MAX_NODES at most."""
    overlay: str
    """Name of the overlay."""
    time: int
    """The bootstrap's clock, seconds since 1970."""

    def __post_init__(self) -> None:
        if not is_aor(self.aor):
            raise LocalError("aor is a user name in its one spelling")
        check_int("generation", self.generation, 1, MAX_GENERATION)
        check_bytes("about", self.about, DIGEST_BYTES)
        check_bytes_up_to("credential", self.credential, MAX_RECORD_BYTES)
        check_bytes_up_to("dealing", self.dealing, MAX_RECORD_BYTES)
        if type(self.pieces) is not tuple or len(self.pieces) > MAX_PIECES:
            raise LocalError(f"there are at most {MAX_PIECES} pieces")
        for piece in self.pieces:
            check_bytes_up_to("piece", piece, MAX_RECORD_BYTES)
        check_bytes_up_to("share_list", self.share_list, MAX_RECORD_BYTES)
        if type(self.nodes) is not tuple or len(self.nodes) > MAX_NODES:
            raise LocalError(f"there are at most {MAX_NODES} nodes")
        check_overlay(self.overlay)
        check_int("time", self.time, 0, MAX_TIME_S)
