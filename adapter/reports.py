"""What `lookup`, `ring` and `status` answer: plain dictionaries for the screen and for programs.  I/O: none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from adapter.config import format_address
from adapter.pins import digits
from adapter.revocation import how_far
from overlay.ring.ids import id_to_bytes, piece_position, spelt
from overlay.ring.sessions import OVER_THE_RATE
from overlay.trust.pieces import KeyPiece

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.findings import Found, LookupFailed
    from adapter.liars import Lied
    from adapter.membership import Membership
    from adapter.sip.binding import Binding
    from adapter.sip.endpoint import SipEndpoint
    from overlay.ring.holding import Evidence as Contradiction
    from overlay.ring.ids import Peer

NODE_CHARS: Final = 8
"""How much of a node id is told in a sentence."""
MAX_LIARS_NAMED: Final = 8
"""Nodes named in one sentence."""


def door_report(endpoint: SipEndpoint, fingerprint: str) -> dict[str, Any]:
    """Tell what phones can use beside UDP; `fingerprint` is that of the TLS certificate."""
    host, tls_port = endpoint.address[0], endpoint.tls_port
    return {
        "sip_tcp": endpoint.has_tcp,
        "sip_tls": format_address((host, tls_port)) if tls_port else "",
        "tls_fingerprint": fingerprint if tls_port else "",
    }


def liars_report(lied: Sequence[Lied]) -> list[dict[str, Any]]:
    """Tell which nodes lied to this adapter: how often, when, and what was wrong last; times in seconds since 1970."""
    return [
        {
            "node": one.node.hex(),
            "why": one.why,
            "times": one.times,
            "first_at": round(one.first_at),
            "last_at": round(one.last_at),
        }
        for one in lied
    ]


def contradictions_report(found: Sequence[Contradiction]) -> list[dict[str, Any]]:
    """Tell what was offered to this node that has a good signature and contradicts what it holds, and by whom."""
    return [
        {
            "name": one.offered.aor,
            "generation": one.offered.generation,
            "what": f"piece {one.offered.index}" if isinstance(one.offered, KeyPiece) else "share list",
            "node": id_to_bytes(one.sender).hex(),
            "at": one.seen_at,
        }
        for one in found
    ]


def with_liars(failure: LookupFailed) -> LookupFailed:
    """Let a lookup that failed say who lied in it."""
    hint = getattr(failure, "hint", "")
    if failure.liars and not hint:
        said = {liar.node: liar.why for liar in failure.liars}
        who = ", ".join(f"{node.hex()[:NODE_CHARS]} ({why})" for node, why in list(said.items())[:MAX_LIARS_NAMED])
        failure.hint = f"these nodes lied: {who}"
    return failure


def lookup_report(found: Found, threshold: tuple[int, int], remembered: Sequence[Lied] = ()) -> dict[str, Any]:
    """Tell who holds which piece of a name's key, what each is worth, and what an attack would take.

    `remembered` are the nodes that lied before; those of them that were asked are told.
    """
    k, n = threshold
    asked = {_node(peer) for peer in found.asked}
    return {
        "event": "lookup",
        "aor": found.aor,
        "generation": found.generation,
        "thumbprint": found.thumbprint.hex(),
        "contact": "" if found.contact is None else _address(found.contact),
        "pieces": [
            {
                "index": verdict.index,
                "node": _node(verdict.peer),
                "address": _address(verdict.peer),
                "ok": verdict.ok,
                "why": verdict.why,
            }
            for verdict in found.verdicts
        ],
        "drawn": list(found.drawn),
        "basis": found.basis,
        "support": found.support,
        "k": k,
        "n": n,
        "attackers_needed": found.attackers_needed,
        "nodes": found.ring_size_known,
        "asked_everyone": found.asked_everyone,
        "silent": [_address(peer) for peer in found.silent],
        "liars": [{"node": liar.node.hex(), "index": liar.index, "why": liar.why} for liar in found.liars],
        "lied_before": [row for row in liars_report(remembered) if row["node"] in asked],
        "conflicts": list(found.conflicts),
        "took_ms": found.took_ms,
    }


def ring_report(membership: Membership, users: Sequence[str]) -> dict[str, Any]:
    """Tell the ring as this node sees it, clockwise from the lowest id, and what it knows of who holds what.

    `pieces` counts this node's own store and is None for others; `holds` maps each user of this adapter to the indices
    that a node said it keeps for him; `since` is when this node met another, in seconds since the epoch. A node that is
    in the rings of both families is one row, its second address in `other_address`.
    """
    ring = membership.ring
    second = {peer.id: peer for view in ring.views[1:] for peer in (view.me, *view.peers())}
    holds: dict[int, dict[str, list[int]]] = {}
    for user in users:
        upkeep = membership.upkeep(user)
        for index, peer in sorted({} if upkeep is None else upkeep.placed().items()):
            holds.setdefault(peer.id, {}).setdefault(user, []).append(index)
    rows = []
    for peer in sorted((*ring.peers(), ring.me), key=lambda peer: peer.id):
        rtt_s = None if peer == ring.me else ring.rtt(peer)
        rows.append(
            {
                "node": _node(peer),
                "address": _address(peer),
                "other_address": _address(other) if (other := second.get(peer.id, peer)) != peer else "",
                "rtt_ms": None if rtt_s is None else round(rtt_s * 1000, 2),
                "since": None if peer == ring.me else ring.since(peer),
                "self": peer == ring.me,
                "pieces": len(ring.held()) if peer == ring.me else None,
                "holds": holds.get(peer.id, {}),
            }
        )
    return {"event": "ring", "overlay": membership.overlay, "nodes": rows, "counters": dict(ring.counters())}


def ring_with_user(ring: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ring report with a lookup report in it: where each piece belongs, and who holds it.

    Holders that this node does not know itself become rows of their own, with `known` False.
    """
    aor, n = str(found["aor"]), int(found["n"])
    pieces = [dict(piece) for piece in found["pieces"]]
    rows: dict[str, dict[str, Any]] = {str(row["node"]): {"known": True} | dict(row) for row in ring["nodes"]}
    for piece in pieces:
        inside = 1 <= piece["index"] <= n
        piece["place"] = id_to_bytes(piece_position(aor, piece["index"], n)).hex() if inside else ""
        row = rows.setdefault(
            str(piece["node"]),
            {"node": piece["node"], "address": piece["address"], "rtt_ms": None, "since": None, "self": False}
            | {"pieces": None, "holds": {}, "known": False},
        )
        if piece["ok"]:
            holds = row.get("holds") or {}  # an adapter of an earlier version tells none
            row["holds"] = holds | {aor: sorted({*holds.get(aor, []), piece["index"]})}
    return dict(ring) | {
        "nodes": sorted(rows.values(), key=lambda row: str(row["node"])),
        "lookup": dict(found) | {"pieces": pieces},
    }


def user_report(user: str, membership: Membership, phones: Sequence[Binding]) -> dict[str, Any]:
    """Tell one user's registered state, phones, and where his pieces lie by the latest round of upkeep."""
    enrolment, upkeep = membership.enrolment(user), membership.upkeep(user)
    placed = {} if upkeep is None else upkeep.placed()
    return {
        "user": user,
        "fingerprint": digits(membership.thumbprint(user)),
        "thumbprint": membership.thumbprint(user).hex(),
        "registered": enrolment is not None,
        "revoking": None if (wish := membership.revocations.of(user)) is None else wish.report(),
        "phones": [_address(binding) for binding in phones],
        "placed": "" if enrolment is None else f"{len(placed)} of {enrolment.dealing.n}",
        "holders": {str(index): _address(peer) for index, peer in sorted(placed.items())},
        "expires_at": None if enrolment is None else membership.expires_at(user),
    }


def one_way_warnings(phones: Mapping[str, Sequence[Binding]]) -> list[str]:
    """Say of each registered phone that nobody can call why, and what helps."""
    return [
        f"{user}'s phone at {_address(binding)} cannot be called: it registered over {binding.transport.upper()} with"
        " the address of its own connection. Set its transport to UDP"
        for user, bindings in phones.items()
        for binding in bindings
        if binding.is_one_way
    ]


def revocation_warnings(membership: Membership) -> list[str]:
    """Say of each revocation under way what is not done yet."""
    under_way = {user: membership.revocations.of(user) for user in membership.revocations.users()}
    return [f"the key of {user} is being revoked: {how_far(wish)}" for user, wish in under_way.items() if wish]


def flood_warnings(counters: Mapping[str, int]) -> list[str]:
    """Say that a member of the ring asked more of this node than an honest one does."""
    dropped = counters.get(f"session: {OVER_THE_RATE}", 0)
    if not dropped:
        return []
    return [f"a node of the ring asked more than its share of this one: {dropped} datagrams dropped unread"]


def _node(peer: Peer) -> str:
    return id_to_bytes(peer.id).hex()


def _address(peer: Peer | Binding) -> str:
    return spelt((peer.host, peer.port))
