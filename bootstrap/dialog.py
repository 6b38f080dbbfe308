"""One registration on one TCP connection.  I/O: tcp, dht.

    connect -> CHALLENGE -> SECP2PSIP REGISTER -> decide, deal, store on the ring -> SECP2PSIP REGISTERED -> close

Every answer is signed and names the REGISTER that it answers. Nothing is remembered of a connection that proved
nothing, and each step has its time. [paper §II.B]
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bootstrap.registration import NONCE_BYTES, Refused, Revoked
from overlay.errors import RemoteError
from overlay.ring.ids import id_to_bytes, spelt
from overlay.wire.codec import MAX_LINE_BYTES, line_digest
from overlay.wire.envelope import open_register, seal_challenge, seal_error, seal_registered
from overlay.wire.messages import MAX_NODES, MAX_REASON_CHARS, Challenge, Error, NodeAt, Registered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bootstrap.desk import Desk, Grant
    from overlay.ring.ids import Peer
    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.ring.two_rings import TwoRings

    Report = Callable[[dict[str, object]], None]

STEP_TIMEOUT_S: Final = 10.0
"""For each step of the other side, and for the ring to take the pieces."""
MAX_UNREAD_BYTES: Final = 4 * MAX_LINE_BYTES
"""Read and thrown away after a refusal, so that closing does not destroy it on its way (a reset overtakes data)."""
UNREAD_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """What every dialog of a server shares."""

    desk: Desk
    ring: KademliaRing | TwoRings
    certificate: bytes
    """The encoded DealingCertificate."""
    report: Report
    """Takes each event: a dict with the member `event`."""
    clock: Callable[[], float]
    """Seconds since 1970."""
    bury: Callable[[], Awaitable[None]]
    """Brings to the ring what tombstones it does not have."""
    step_timeout_s: float = STEP_TIMEOUT_S
    storing: set[asyncio.Task[dict[int, Peer]]] = field(default_factory=set)
    """Stores under way, the late ones of ended dialogs among them."""


class Dialog:
    """One connection, from its CHALLENGE to its end."""

    def __init__(
        self, counter: Counter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: tuple[str, int]
    ) -> None:
        self._at = counter
        self._reader, self._writer, self._source = reader, writer, source
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._about = b""
        """Which REGISTER this dialog is about; none yet."""
        self._aor = ""

    async def run(self) -> None:
        """Hold the dialog; every end of it is reported, and the connection is left for the caller to close."""
        try:
            await self._say(self._challenge(), "CHALLENGE")
            line = await self._line()
            if line is None:
                return
            self._about = line_digest(line)
            request = open_register(line, self._at.desk.keys.overlay)
            self._aor = request.aor
            self._step("SECP2PSIP REGISTER", node=self._at.desk.keys.node_id(request.node_public).hex())
            settled = await self._at.desk.settle(
                request, nonce=self._nonce, source=self._source[0], now=self._at.clock()
            )
            if isinstance(settled, Refused):
                await self.refuse(settled.code, settled.reason)
                return
            if isinstance(settled, Revoked):
                await self._at.bury()
                await self.refuse("revoked", f"the key of {request.aor} is revoked from now on")
                return
            holders = await self._store(settled)
            if holders is None:
                await self.refuse("internal", "the ring did not take the pieces in time: try again")
                return
            await self._say(self._registered(settled, holders), "SECP2PSIP REGISTERED")
            self._registered_event(settled, holders)
        except RemoteError as error:
            await self.refuse("bad", error.reason)
        except TimeoutError:
            self._report("refused", code="bad", reason="the other side took no more bytes")
        except OSError as error:
            self._report("refused", code="bad", reason=f"the connection broke: {error.strerror or error}")

    async def refuse(self, code: str, reason: str) -> None:
        """Send a signed ERROR and report it; a peer that does not even read that is left alone."""
        self._report("refused", code=code, reason=reason)
        plain = "".join(ch if " " <= ch <= "~" else "?" for ch in reason)[:MAX_REASON_CHARS]
        error = Error(code=code, reason=plain, about=self._about, time=int(self._at.clock()))
        with contextlib.suppress(OSError, TimeoutError):
            await self._say(seal_error(error, self._at.desk.keys.overlay), "SECP2PSIP ERROR")
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(UNREAD_TIMEOUT_S):
                unread = 0
                while unread < MAX_UNREAD_BYTES and (chunk := await self._reader.read(MAX_LINE_BYTES)):
                    unread += len(chunk)

    def _challenge(self) -> bytes:
        keys = self._at.desk.keys
        challenge = Challenge(
            overlay=self._at.desk.facts.name,
            bundle=keys.overlay.public.encode(),
            dealing=self._at.certificate,
            nonce=self._nonce,
            time=int(self._at.clock()),
        )
        return seal_challenge(challenge, keys.overlay)

    def _registered(self, grant: Grant, holders: dict[int, Peer]) -> bytes:
        registered = Registered(
            aor=grant.accepted.aor,
            generation=grant.accepted.generation,
            about=self._about,
            credential=grant.credential.encode(),
            dealing=self._at.certificate,
            pieces=tuple(piece.encode() for piece in grant.pieces),
            share_list=grant.share_list.encode(),
            nodes=self._nodes(holders, grant.credential.node_id),
            overlay=self._at.desk.facts.name,
            time=int(self._at.clock()),
        )
        return seal_registered(registered, self._at.desk.keys.overlay, grant.accepted.bundle)

    def _nodes(self, holders: dict[int, Peer], own: bytes) -> tuple[NodeAt, ...]:
        """Return whom to join through: holders first, this server's node always, then others; not the asker itself.

        In both rings each node is named in the family that the asker came by, if it has it; this server's in the other
        one too, right before: who knows one family only keeps the later of two names for a node.
        """
        ring = self._at.ring
        views = sorted(ring.views, key=lambda view: (":" in view.me.host) is not (":" in self._source[0]))
        near = {peer.id: peer for view in reversed(views) for peer in (view.me, *view.peers())}
        first = list(dict.fromkeys(near.get(holders[index].id, holders[index]) for index in sorted(holders)))
        ours = [view.me for view in reversed(views)]
        first = [*[peer for peer in first if peer not in ours][: MAX_NODES - len(ours)], *ours]
        others = [peer for peer in near.values() if peer not in first]
        nodes = [NodeAt(id=id_to_bytes(peer.id), host=peer.host, port=peer.port) for peer in [*first, *others]]
        return tuple([node for node in nodes if node.id != own][:MAX_NODES])

    async def _store(self, grant: Grant) -> dict[int, Peer] | None:
        """Put the pieces and the record on the ring; None when that takes too long.

        A piece that no owner acknowledged stays with this server's own node: the owner's adapter moves it on later.
        """
        ring = self._at.ring
        accepted = grant.accepted
        record = accepted.record if accepted.record_counts else None
        storing = asyncio.create_task(ring.put(accepted.aor, grant.pieces, record, share_list=grant.share_list))
        self._at.storing.add(storing)
        storing.add_done_callback(self._at.storing.discard)
        # not cancelled when it is late: half a store is finished in the background, and the same key may come again
        done, _ = await asyncio.wait([storing], timeout=self._at.step_timeout_s)
        if not done:
            return None
        holders = dict(storing.result())
        for piece in grant.pieces:
            if piece.index not in holders:
                self._report("warning", text=f"no node took piece {piece.index} of {accepted.aor}: kept here")
                if await ring.store_at(ring.me, piece, record, share_list=grant.share_list):
                    holders[piece.index] = ring.me
        self._step("STORED", holders={index: str(peer) for index, peer in sorted(holders.items())})
        return holders or None

    async def _line(self) -> bytes | None:
        """Read the REGISTER; None when the other side left without a word (a port scan, a pinned key that differs)."""
        try:
            async with asyncio.timeout(self._at.step_timeout_s):
                return await self._reader.readuntil(b"\n")
        except TimeoutError:
            raise RemoteError(f"no REGISTER came within {self._at.step_timeout_s:.0f} s") from None
        except asyncio.LimitOverrunError:
            raise RemoteError(f"a line has at most {MAX_LINE_BYTES} bytes") from None
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                self._step("CLOSED")
                return None
            raise RemoteError("the line has no end") from None

    async def _say(self, line: bytes, step: str) -> None:
        self._step(step)  # before the line leaves: traces of both sides are compared in their order
        self._writer.write(line)
        async with asyncio.timeout(self._at.step_timeout_s):
            await self._writer.drain()

    def _registered_event(self, grant: Grant, holders: dict[int, Peer]) -> None:
        accepted = grant.accepted
        self._report(
            "registered",
            first=accepted.first,
            rotated=accepted.rotated,
            generation=accepted.generation,
            thumbprint=accepted.bundle.thumbprint().hex(),
            node=grant.credential.node_id.hex(),
            adapter=spelt((accepted.record.host, accepted.record.port)),
            holders={str(index): spelt(peer.address) for index, peer in sorted(holders.items())},
            distinct_holders=len(set(holders.values())),
        )

    def _step(self, step: str, **detail: object) -> None:
        self._report("step", step=step, **detail)

    def _report(self, event: str, **detail: object) -> None:
        aor = {"aor": self._aor} if self._aor else {}
        self._at.report({"event": event, **aor, "source": spelt(self._source), **detail})
