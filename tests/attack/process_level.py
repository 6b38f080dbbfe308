"""The smaller set as real processes on loopback: the programs of ten users and a server, whose nodes are all holders.

The bootstrap server, alice's and bob's devices are the real programs as they are installed. The other devices run
`evil_process`: the same program, whose node lies when it is told to. Calls are INVITEs of a bare phone to alice's
adapter; set-up is from there to the 302. Before each call both sides forget each other's key, so that no pin helps.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.control_client import ControlClient, ControlError
from adapter.state import StateDir
from overlay.ring.ids import Peer, RingId, clockwise_from, id_to_bytes, piece_position
from overlay.ring.placement import place
from tests.attack.process_orders import NOTHING, WRONG_SUCCESSOR, write_orders
from tests.attack.rows import Cell, Tally, Verdict
from tests.support.cast import HOST, Cast
from tests.support.sip_client import SipClient, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SILENT = "silent nodes"
ATTACKS = ("drop", "garbage", "chosen key, colluding", "leaked, solving", WRONG_SUCCESSOR)
HONEST = ("alice", "bob")
EVIL = tuple(f"mallory{number}" for number in range(1, 8))
NODES = 1 + len(HONEST) + len(EVIL)
"""The server's node and one of each device."""
ROUND_CALLS = 4
"""Calls before other nodes are stopped."""
SETTLED_WITHIN_S = 120.0
POLL_S = 0.3
MET = ("liars", "nodes_silent", "avoided")
"""What a receipt says of nodes that are not as they should be."""


@dataclass
class Town:
    """The running programs and what is known of them."""

    cast: Cast
    n: int
    orders: Path
    phone: SipClient
    controls: dict[str, ControlClient] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    """User -> his node's ring id in hex."""
    members: dict[str, tuple[str, int]] = field(default_factory=dict)
    """User -> his node's address."""
    keys: dict[str, str] = field(default_factory=dict)
    """User -> the thumbprint of his key in hex."""
    homes: dict[str, str] = field(default_factory=dict)
    """User -> host:port of his phone."""
    read: dict[str, int] = field(default_factory=dict)
    """User -> how much of his receipts was read."""
    felt: int = 0
    """Calls of this cell in which somebody had to ask more nodes, met a liar or kept clear of one met before."""

    async def ask(self, user: str, do: str, **fields: object) -> dict[str, Any]:
        return await self.controls[user].ask(do, **fields)

    async def forget(self, user: str, other: str) -> None:
        try:
            await self.ask(user, "contacts", verb="forget", name=other)
        except ControlError as error:
            if "no contact" not in str(error):
                raise

    async def holders(self, aor: str) -> dict[int, set[str]]:
        """Return who holds which piece of a name, as alice finds."""
        held: dict[int, set[str]] = {}
        for piece in (await self.ask("alice", "lookup", aor=aor))["pieces"]:
            if piece["ok"]:
                held.setdefault(piece["index"], set()).add(piece["node"])
        return held

    async def settled(self) -> None:
        """Wait until everybody knows everybody, answers, and each user's pieces lie where they belong."""
        async with asyncio.timeout(SETTLED_WITHIN_S):
            for user in self.controls:
                while not await self._is_settled(user):  # noqa: ASYNC110 - another process sets no event of ours
                    await asyncio.sleep(POLL_S)

    async def _is_settled(self, user: str) -> bool:
        try:
            if (await self.ask(user, "status"))["nodes"] < NODES:
                return False
            found = await self.ask("alice", "lookup", aor=user)
        except ControlError:
            return False  # not found yet
        held = {piece["index"]: piece["node"] for piece in found["pieces"] if piece["ok"]}
        # a piece that is still to be moved to its place is missed there, though nobody lies
        return found["basis"] == "polynomial" and not found["silent"] and held == await self._homes_of(user)

    async def _homes_of(self, aor: str) -> dict[int, str]:
        """Return where each piece of a name belongs: the node's id in hex."""
        nodes = (await self.ask("alice", "ring"))["nodes"]
        members = [Peer.known(RingId(int(row["node"], 16)), HOST, 1) for row in nodes]
        positions = {index: piece_position(aor, index, self.n) for index in range(1, self.n + 1)}
        owners = place(positions, {index: clockwise_from(at, members) for index, at in positions.items()})
        return {index: id_to_bytes(owner.id).hex() for index, owner in owners.items()}

    async def call(self, callee: str) -> tuple[Verdict, float]:
        """Let alice call; return the verdict and the milliseconds from INVITE to answer."""
        await self.forget("alice", callee)
        await self.forget(callee, "alice")
        self._receipts("alice"), self._receipts(callee)
        adapter = self.cast.sip["alice"]
        self.phone.begin_call()
        invite = self.phone.request("INVITE", f"sip:{callee}@{adapter[0]}:{adapter[1]}", "alice")
        began = time.perf_counter()
        self.phone.send(invite, adapter)
        answer = await self.phone.final()
        took_ms = 1000 * (time.perf_counter() - began)
        self.phone.send(self.phone.ack(invite, answer), adapter)
        found = [(callee, row) for row in self._receipts("alice")] + [("alice", row) for row in self._receipts(callee)]
        self.felt += any(row.get("hops", 1) > 1 or any(map(row.get, MET)) for _, row in found)
        if any(row.get("thumbprint", self.keys[aor]) != self.keys[aor] for aor, row in found):
            return Verdict.FORGED, took_ms
        if status_of(answer) != 302:
            return Verdict.REFUSED, took_ms
        contacts = [line for line in answer.split("\r\n") if line.lower().startswith("contact:")]
        is_home = bool(contacts) and all(f"@{self.homes[callee]};" in line for line in contacts)
        return Verdict.OK if is_home else Verdict.FORGED, took_ms

    def _receipts(self, user: str) -> list[dict[str, Any]]:
        """Return the receipts that a device wrote since the last time."""
        file = Path(self.cast.state(user)) / "calls.jsonl"
        data = file.read_bytes() if file.exists() else b""
        fresh, self.read[user] = data[self.read.get(user, 0) :], len(data)
        return [json.loads(line) for line in fresh.splitlines()]


async def play(cells: Sequence[Cell]) -> AsyncIterator[dict[str, Any]]:
    """Play all cells on one ring, one after the other, and give their rows as they come."""
    async with town(cells[0].k, cells[0].n) as place:
        for cell in cells:
            rng, tally, place.felt = random.Random(cell.name), Tally(), 0
            await (_with_silent if cell.attack == SILENT else _with_liars)(place, cell, rng, tally)
            yield tally.row(cell, felt=place.felt)


@asynccontextmanager
async def town(k: int, n: int) -> AsyncIterator[Town]:
    """Run the programs, and wait until all pieces lie where they belong."""
    with tempfile.TemporaryDirectory(prefix="secp2psip-attack-") as folder:
        orders = Path(folder) / "orders.json"
        write_orders(orders, NOTHING)
        async with Cast(folder=Path(folder)) as cast:
            place = Town(cast=cast, n=n, orders=orders, phone=await SipClient().open(HOST))
            try:
                await cast.start_bootstrap(k=k, n=n)
                evil = [sys.executable, "-m", "tests.attack.evil_process", str(orders)]
                for user in (*HONEST, *EVIL):
                    await cast.start_adapter(user, program=evil if user in EVIL else None)
                    await cast.register(user)
                    await _meet(place, user)
                await place.phone.register("alice", cast.sip["alice"])
                await place.settled()
                yield place
            finally:
                place.phone.close()
                for control in place.controls.values():
                    await control.close()


async def _meet(place: Town, user: str) -> None:
    """Take note of a user who has just registered."""
    state = StateDir(Path(place.cast.state(user)))
    place.controls[user] = await ControlClient.connect(state.socket_path)
    status = await place.ask(user, "status")
    host, port = status["ring"].rsplit(":", 1)
    place.nodes[user], place.members[user] = status["node"], (host, int(port))
    enrolment = state.load_enrolment(user)
    assert enrolment is not None
    place.keys[user] = enrolment.pieces[0].thumbprint.hex()
    place.homes[user] = "{}:{}".format(*place.cast.plain_phones[-1].address)


async def _with_liars(place: Town, cell: Cell, rng: random.Random, tally: Tally) -> None:
    liars = rng.sample(EVIL, cell.liars)
    callees = [user for user in (*HONEST[1:], *EVIL) if user not in liars]
    ids = {place.nodes[user] for user in liars}
    theirs = {
        aor: [index for index, nodes in (await place.holders(aor)).items() if nodes & ids]
        for aor in ("alice", *callees)
    }
    write_orders(
        place.orders,
        {
            "attack": cell.attack,
            "liars": sorted(ids),
            "members": [[place.nodes[user], *place.members[user]] for user in liars],
            "seed": cell.name,
            "victims": {aor: place.cast.state(aor) for aor in theirs},
            "theirs": theirs,
            "stolen": str(place.cast.folder / "bootstrap"),
        },
    )
    try:
        for number in range(cell.calls):
            tally.add(*await place.call(callees[number % len(callees)]))
    finally:
        write_orders(place.orders, NOTHING)


async def _with_silent(place: Town, cell: Cell, rng: random.Random, tally: Tally) -> None:
    """Stop some programs in the middle of whatever they do, others in each round."""
    for begin in range(0, cell.calls, ROUND_CALLS):
        await place.settled()
        stopped = rng.sample(EVIL, cell.liars)
        for user in stopped:
            place.cast.adapters[user].signal_group(signal.SIGSTOP)
        try:
            callees = [user for user in (*HONEST[1:], *EVIL) if user not in stopped]
            for number in range(min(ROUND_CALLS, cell.calls - begin)):
                tally.add(*await place.call(callees[number % len(callees)]))
        finally:
            for user in stopped:
                place.cast.adapters[user].signal_group(signal.SIGCONT)
