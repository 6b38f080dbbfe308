"""A user's enrolment as JSON: what SECP2PSIP REGISTERED gave, binary fields in base64.  I/O: none.

The records inside are the ones of the wire, in their one encoding, so reading checks their form again. Whether they are
valid now (signatures, expiry) is asked where they are used. [paper §II.B]
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from adapter.enrolled import Enrolment
from overlay.ring.ids import Peer, id_to_bytes
from overlay.trust.credentials import DealingCertificate, NodeCredential
from overlay.trust.identity import KeyBundle
from overlay.trust.pieces import KeyPiece
from overlay.trust.shamir import MAX_PIECES
from overlay.trust.share_list import ShareList

MAX_NODES: Final = 64
"""Nodes to join through that one file may name."""


def encode_enrolment(enrolment: Enrolment, *, aor: str) -> dict[str, Any]:
    """Return the JSON object for the enrolment of `aor`."""
    return {
        "aor": aor,
        "overlay": enrolment.overlay,
        "overlay_bundle": _text(enrolment.overlay_bundle.encode()),
        "generation": enrolment.generation,
        "credential": _text(enrolment.credential.encode()),
        "dealing": _text(enrolment.dealing.encode()),
        "pieces": [_text(piece.encode()) for piece in enrolment.pieces],
        "share_list": _text(enrolment.share_list.encode()),
        "succession": _text(enrolment.succession),
        "nodes": [[id_to_bytes(node.id).hex(), node.host, node.port] for node in enrolment.nodes],
    }


def decode_enrolment(value: Mapping[str, Any], *, aor: str) -> Enrolment:
    """Return the enrolment in `value`, which must be that of `aor`.

    Raises KeyError, TypeError, ValueError or RemoteError: whatever of these, the file is damaged.
    """
    if value["aor"] != aor or not isinstance(value["overlay"], str) or type(value["generation"]) is not int:
        raise ValueError(aor)
    if len(value["pieces"]) > MAX_PIECES or len(value["nodes"]) > MAX_NODES:
        raise ValueError("too long")
    pieces = tuple(KeyPiece.decode(_bytes(piece)) for piece in value["pieces"])
    if not pieces or any(piece.aor != aor for piece in pieces):
        raise ValueError(aor)
    return Enrolment(
        overlay=value["overlay"],
        overlay_bundle=KeyBundle.decode(_bytes(value["overlay_bundle"])),
        generation=value["generation"],
        credential=NodeCredential.decode(_bytes(value["credential"])),
        dealing=DealingCertificate.decode(_bytes(value["dealing"])),
        pieces=pieces,
        share_list=ShareList.decode(_bytes(value["share_list"])),
        # files of earlier versions have none
        succession=_bytes(value.get("succession", "")),
        nodes=tuple(Peer.decode([bytes.fromhex(ident), host, port]) for ident, host, port in value["nodes"]),
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
