"""What a SECP2PSIP REGISTERED gives, and every check that it must pass before it is believed.  I/O: none.

The bootstrap server is asked once and then trusted for nothing that can be checked here: the credential is for our own
node key, the dealing key is certified by the overlay key, the n pieces are signed by it, are ours, lie on one
polynomial and rebuild our own key bundle, and the overlay key's share list names each of them [paper §II.B].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import Peer
from overlay.trust.identity import KeyBundle
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import DealingCertificate, NodeCredential, ShareList
from overlay.trust.shamir import decode

if TYPE_CHECKING:
    from overlay.wire.messages import Challenge, Register, Registered


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One user's registered state: all that an adapter needs to join and to keep the pieces alive by itself."""

    generation: int
    """Generation of the user's key bundle, 1 or more."""
    overlay: str
    """Name of the overlay."""
    overlay_bundle: KeyBundle
    """The bootstrap server's key bundle: signs credentials and the dealing certificate. Pin its thumbprint."""
    credential: NodeCredential
    """The bootstrap's word on our node key, and our ring id."""
    dealing: DealingCertificate
    """The key that signs pieces, and the threshold."""
    pieces: tuple[KeyPiece, ...]
    """All n pieces, piece i at [i-1]."""
    share_list: ShareList
    """The overlay key's word on these pieces, which goes with each of them wherever it is stored."""
    nodes: tuple[Peer, ...]
    """Nodes to join through, the holders of the pieces first."""

    succession: bytes = b""
    """The links that lead from earlier keys to this one, for the lookup record (`overlay.trust.succession`)."""

    def __post_init__(self) -> None:
        if [piece.index for piece in self.pieces] != list(range(1, self.dealing.n + 1)):
            raise LocalError("an enrolment has all n pieces in order")


def check_registered(
    registered: Registered,
    *,
    about: bytes,
    challenge: Challenge,
    request: Register,
    certificate: DealingCertificate,
    now: float,
) -> Enrolment:
    """Return what a REGISTERED gives, if it answers this request and holds; RemoteError with the flaw otherwise.

    `about` names the REGISTER as it was sent (16 bytes); `certificate` is the verified one of the CHALLENGE; `now` is
    in seconds since 1970.
    """
    if registered.about != about:
        raise RemoteError("the answer is for another request")
    if registered.overlay != request.overlay or registered.aor != request.aor:
        raise RemoteError("the answer is for another overlay or name")
    if registered.dealing != challenge.dealing:
        raise RemoteError("the answer names another dealing key than the challenge")
    overlay_bundle = KeyBundle.decode(challenge.bundle)
    credential = NodeCredential.decode(registered.credential)
    credential.verify(overlay_bundle.ed25519, overlay=challenge.overlay, now=now)
    if credential.node_public != request.node_public:
        raise RemoteError("the node credential is for another node key than ours")
    pieces = _checked_pieces(registered, request, certificate, now)
    return Enrolment(
        generation=registered.generation,
        overlay=challenge.overlay,
        overlay_bundle=overlay_bundle,
        credential=credential,
        dealing=certificate,
        pieces=pieces,
        share_list=_checked_share_list(registered, pieces, overlay_bundle, now),
        nodes=_checked_nodes(registered, credential),
    )


def _checked_pieces(
    registered: Registered, request: Register, certificate: DealingCertificate, now: float
) -> tuple[KeyPiece, ...]:
    """Return all n pieces in order; each is signed and ours, and together they are our bundle and nothing else."""
    k, n = certificate.k, certificate.n
    pieces = {piece.index: piece for piece in map(KeyPiece.decode, registered.pieces)}
    if len(registered.pieces) != n or set(pieces) != set(range(1, n + 1)):
        raise RemoteError(f"the answer does not hold the {n} pieces once each")
    bundle = KeyBundle.decode(request.bundle)
    for piece in pieces.values():
        piece.verify(certificate.dealing_public, now=now)
        ours = (request.aor, registered.generation, k, n, bundle.thumbprint())
        if (piece.aor, piece.generation, piece.k, piece.n, piece.thumbprint) != ours:
            raise RemoteError(f"piece {piece.index} is not of our key")
    decoded = decode({index: piece.share for index, piece in pieces.items()}, k=k)
    # one share off the polynomial would be enough to make an honest holder look like a liar later
    if decoded is None or decoded.liars or decoded.secret != request.bundle:
        raise RemoteError("the pieces do not rebuild our own key")
    return tuple(pieces[index] for index in range(1, n + 1))


def _checked_share_list(
    registered: Registered, pieces: tuple[KeyPiece, ...], overlay_bundle: KeyBundle, now: float
) -> ShareList:
    """Return the share list; without a sound one no node would keep our pieces, now or when we move them."""
    share_list = ShareList.decode(registered.share_list)
    share_list.verify(overlay_bundle.ed25519, overlay=registered.overlay, now=now)
    if not all(share_list.covers(piece) for piece in pieces):
        raise RemoteError("the share list is not of our pieces")
    return share_list


def _checked_nodes(registered: Registered, credential: NodeCredential) -> tuple[Peer, ...]:
    """Return the nodes to join through, ourselves left out."""
    nodes = [Peer.decode([node.id, node.host, node.port]) for node in registered.nodes]
    own = int.from_bytes(credential.node_id, "big")
    return tuple(node for node in nodes if node.id != own)
