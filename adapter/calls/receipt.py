"""What a call rests on, as a plain dictionary: for the log, the screen and whoever asks later.

Pure; every value fits JSON, none is secret.  Node ids and thumbprints are hex, times milliseconds since the call began.
"""

from collections.abc import Collection
from typing import Any

from adapter.calls.contacts import token_digest
from adapter.calls.events import Announced, Refused
from adapter.findings import Found
from overlay.ring.ids import Peer
from overlay.trust.acceptance import Liar

ID_HEX_CHARS = 8
"""How much of a node id is shown; two nodes of one ring that agree in so much are not met in practice."""


def name_of(node: bytes) -> str:
    """Return the start of a node id (20 bytes) as people see it."""
    return node.hex()[:ID_HEX_CHARS]


def receipt_of_lookup(found: Found) -> dict[str, Any]:
    """Return who gave which piece, who lied, and what the key rests on."""
    return {
        "callee": found.aor,
        **proof_of(found),
        "asked_everyone": found.asked_everyone,
        "nodes_asked": len(found.asked),
        "nodes_silent": [_node(peer) for peer in found.silent],
        "hops": found.waves,
        "drawn": list(found.drawn),
        "pieces": [
            {"index": verdict.index, "node": _node(verdict.peer), "ok": verdict.ok, "why": verdict.why}
            for verdict in found.verdicts
        ],
        "liars": rows_of_liars(found.liars),
        "avoided": [name_of(node) for node in found.avoided],
        "conflicts": list(found.conflicts),
        "lookup_ms": found.took_ms,
    }


KEPT_REFUSALS = frozenset({"refused", "unverified", "unavailable"})
"""What became of calls that a person wants to know of; the other refusals are the machines' own affair."""


def taken_call(found: Found, event: Announced) -> dict[str, Any]:
    """Return the receipt of a call that was let through to one of our users, by the caller's proved key."""
    names = {"caller": event.caller, "callee": event.callee, "encrypted": bool(event.fingerprint)}
    names["call"] = token_digest(event.token)
    return {"side": "callee"} | receipt_of_lookup(found) | names | {"status": 302, "reason": "sent to the phone"}


def refused_call(event: Refused) -> dict[str, Any]:
    """Return the receipt of a call that was not let through; who it claims to be from is not proved."""
    return {
        "side": "callee",
        "caller": event.caller,
        "callee": event.callee,
        "node": str(event.source),
        "code": event.code,
        "reason": event.why,
    } | ({"liars": rows_of_liars(event.liars)} if event.liars else {})


def rows_of_liars(liars: Collection[Liar]) -> list[dict[str, Any]]:
    """Return who lied about which piece, 0 for a record, and how."""
    return [{"node": name_of(liar.node), "piece": liar.index, "why": liar.why} for liar in liars]


def proof_of(found: Found) -> dict[str, Any]:
    """Return what a key rests on, in short."""
    return {
        "generation": found.generation,
        "thumbprint": found.thumbprint.hex(),
        "basis": found.basis,
        "support": found.support,
        "followed": found.followed,
        "attackers_needed": found.attackers_needed,
        "nodes_known": found.ring_size_known,
    }


def _node(peer: Peer) -> str:
    return str(peer)
