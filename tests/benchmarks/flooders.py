"""A process of evil nodes: each serves the ring as an honest one does, and floods one adapter when told.

I/O: udp on loopback, files, a Unix socket.

A node that floods has every reason to look healthy, and who floods with many nodes has a machine for it. So they live
apart from the honest ones and from whoever measures, and their lines are sealed before the flood begins: what is left
of a flood is sending. One JSON object a line, one answer each:

    {"do": "join", "nodes": [[key, credential], ..]}                         join with these too; both in hex
    {"do": "arm", "callee": .., "bundle": hex, "names": [..], "count": n}    seal n lines that name these callers
    {"do": "flood", "target": [id, host, port], "nodes": m, "per_s": r}      send them by the first m nodes in turn

    python -m tests.benchmarks.flooders SOCKET STATE     # STATE: a state directory with an enrolment of alice
"""

from __future__ import annotations

import asyncio
import json
import resource
import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.state import StateDir
from overlay.ring.ids import Peer, RingId
from overlay.ring.kademlia_ring import KademliaRing
from overlay.ring.sessions import RingIdentity
from overlay.ring.storage import RecordStore
from overlay.trust.identity import KeyBundle, PrivateBundle, SigningKey
from overlay.trust.records import NodeCredential
from overlay.wire.envelope import seal_invite
from overlay.wire.messages import Invite, Party
from tests.support.cast import HOST
from tests.support.people import EVE

if TYPE_CHECKING:
    from adapter.enrolled import Enrolment

TICK_S = 0.01
MAX_COMMAND_BYTES = 1 << 20


def forged(caller: Party, signer: PrivateBundle, callee: Party, bundle: KeyBundle, *, now: int) -> bytes:
    """Seal an INVITE that names `caller` and is signed by somebody else."""
    mine = replace(caller, thumbprint=signer.public.thumbprint())
    invite = Invite(issuer=mine, audience=callee, id=secrets.token_bytes(16), issued_at=now, expires_at=now + 30)
    return seal_invite(invite, signer, bundle).line


class Flooders:
    """The evil nodes of one process."""

    def __init__(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment
        self._rings: list[KademliaRing] = []
        self._lines: list[bytes] = []

    async def do(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Obey one command."""
        match ask["do"]:
            case "join":
                for key, credential in ask["nodes"]:
                    await self._join(SigningKey.from_bytes(bytes.fromhex(key)), bytes.fromhex(credential))
                return {"nodes": len(self._rings)}
            case "arm":
                return self._arm(ask)
        return await self._flood(ask)

    async def close(self) -> None:
        """Leave the ring."""
        for ring in self._rings:
            await ring.close()

    async def _join(self, key: SigningKey, credential: bytes) -> None:
        enrolment = self._enrolment
        identity = RingIdentity(
            node_key=key,
            credential=NodeCredential.decode(credential),
            overlay=enrolment.overlay,
            overlay_public=enrolment.overlay_bundle.ed25519,
        )
        ring = KademliaRing(identity, RecordStore(), dealing_public=enrolment.dealing.dealing_public)
        await ring.open(HOST)
        await ring.join(enrolment.nodes)
        self._rings.append(ring)

    def _arm(self, ask: dict[str, Any]) -> dict[str, Any]:
        bundle, now = KeyBundle.decode(bytes.fromhex(ask["bundle"])), int(time.time())
        callee = Party(aor=ask["callee"], generation=1, thumbprint=bundle.thumbprint())
        parties = [Party(aor=name, generation=1, thumbprint=bytes(16)) for name in ask["names"]]
        self._lines = [
            forged(parties[number % len(parties)], EVE, callee, bundle, now=now) for number in range(ask["count"])
        ]
        return {"armed": len(self._lines)}

    async def _flood(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Send the lines, each by the next node; tell how many went in which time, and how late this process was."""
        ident, host, port = ask["target"]
        target, rings, per_s = (
            Peer(id=RingId(int(ident, 16)), host=host, port=port),
            self._rings[: ask["nodes"]],
            ask["per_s"],
        )
        tasks: set[asyncio.Task[bool]] = set()
        began, busy, sent, taken, late_s = time.monotonic(), _cpu_s(), 0, 0, 0.0

        def done(task: asyncio.Task[bool]) -> None:
            nonlocal taken
            tasks.discard(task)
            taken += not task.cancelled() and task.exception() is None and task.result()

        while sent < len(self._lines):
            due = min(len(self._lines), int((time.monotonic() - began) * per_s))
            for number in range(sent, due):
                task = asyncio.ensure_future(rings[number % len(rings)].deliver(target, self._lines[number]))
                tasks.add(task)
                task.add_done_callback(done)
            sent = due
            asleep = time.monotonic()
            await asyncio.sleep(TICK_S)
            late_s = max(late_s, time.monotonic() - asleep - TICK_S)
        took_s, cpu_s = time.monotonic() - began, _cpu_s() - busy
        await asyncio.gather(*tasks, return_exceptions=True)
        return {"sent": sent, "taken": taken, "took_s": took_s, "cpu_s": cpu_s, "late_ms": round(1000 * late_s, 1)}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def serve(socket: str, state: str) -> None:
    """Obey whoever connects, until he hangs up."""
    enrolment = StateDir(Path(state)).load_enrolment("alice")
    assert enrolment is not None
    flooders, over = Flooders(enrolment), asyncio.Event()

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await flooders.do(json.loads(line))).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()
            over.set()

    async with await asyncio.start_unix_server(obey, socket, limit=MAX_COMMAND_BYTES):
        print(json.dumps({"event": "ready"}), flush=True)  # noqa: T201
        await over.wait()
        await flooders.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
