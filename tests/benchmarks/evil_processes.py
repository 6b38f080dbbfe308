"""Evil nodes in processes of their own (`flooders`), as a benchmark commands them.  I/O: processes, files."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.keystore import load_or_create
from adapter.state import StateDir
from bootstrap.keys import load
from overlay.trust.identity import SigningKey
from tests.benchmarks.sip_load import cpu_s
from tests.support.cast import START_S, is_event
from tests.support.programs import Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from overlay.ring.ids import Peer
    from overlay.trust.identity import KeyBundle
    from overlay.trust.records import NodeCredential
    from tests.support.cast import Cast

PROCESSES = 3
"""Processes that the evil nodes are spread over."""


class Evil:
    """Evil nodes in processes of their own, the n-th node in the n-th process and around."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._programs: list[Program] = []
        self._lines: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.nodes = 0

    async def start(self) -> None:
        """Start the processes, with no node yet."""
        for number in range(PROCESSES):
            path = str(self._cast.folder / f"flooders-{number}.sock")
            argv = [sys.executable, "-m", "tests.benchmarks.flooders", path, self._cast.state("alice")]
            program = await Program.start(f"flooders {number}", argv, folder=self._cast.folder)
            self._programs.append(program)
            await program.expect(is_event("ready"), within_s=START_S, what="ready")
            self._lines.append(await asyncio.open_unix_connection(path))

    async def stop(self) -> None:
        """End the processes."""
        self.pause(signal.SIGCONT)
        for _, writer in self._lines:
            writer.close()
        await asyncio.gather(*(program.stop() for program in self._programs))

    def pause(self, number: signal.Signals) -> None:
        """Stop the processes, which then hold what they hold and answer nothing, or let them go on."""
        for program in self._programs:
            program.signal_group(number)

    def cpu_s(self) -> float:
        """Return the processor time that the processes have taken, in seconds."""
        return sum(cpu_s(program.process.pid) for program in self._programs)

    async def turn(self, user: str) -> None:
        """Stop an adapter and come back with its keys and credential, as a node that does what it likes."""
        await self._cast.adapters.pop(user).stop()
        folder = Path(self._cast.state(user))
        keys, enrolment = load_or_create(folder, user), StateDir(folder).load_enrolment(user)
        assert enrolment is not None
        await self._join(keys.node, enrolment.credential)

    async def enrol(self, count: int) -> None:
        """Join with so many more, enrolled by the bootstrap server's own keys: what days of enrolling bring."""
        server = load(self._cast.folder / "bootstrap")
        enrolment = StateDir(Path(self._cast.state("alice"))).load_enrolment("alice")
        assert enrolment is not None
        for _ in range(count):
            key = SigningKey.generate()
            await self._join(key, server.credential(key.public, overlay=enrolment.overlay, now=time.time()))

    async def arm(self, count: int, callee: str, bundle: KeyBundle, names: Sequence[str], *, nodes: int) -> None:
        """Let them seal so many lines before the flood of the first `nodes` begins."""
        asks = [
            {"do": "arm", "callee": callee, "bundle": bundle.encode().hex(), "names": names, "count": share}
            for share in self._shares(count, nodes)
        ]
        await self._all(asks)

    async def flood(self, target: Peer, *, nodes: int, per_s: int) -> dict[str, Any]:
        """Send the sealed lines, so many a second altogether; return how that went."""
        asks = [
            {"do": "flood", "target": [f"{target.id:x}", target.host, target.port], "nodes": own, "per_s": share}
            for own, share in zip(self._shares(nodes, nodes), self._shares(per_s, nodes), strict=True)
        ]
        parts = [part for part in await self._all(asks) if part["sent"]]
        took_s = max(part["took_s"] for part in parts)
        sent = sum(part["sent"] for part in parts)
        return {
            "sent": sent,
            "sent_per_s": round(sent / took_s),
            "taken": sum(part["taken"] for part in parts),
            "senders_cpu_s": round(sum(part["cpu_s"] for part in parts), 2),
            "senders_late_ms": max(part["late_ms"] for part in parts),
        }

    async def _join(self, key: SigningKey, credential: NodeCredential) -> None:
        one = {"do": "join", "nodes": [[key.to_bytes().hex(), credential.encode().hex()]]}
        await self._ask(self.nodes % PROCESSES, one)
        self.nodes += 1

    def _shares(self, total: int, nodes: int) -> list[int]:
        """Return what each process has of a total that the first `nodes` nodes have equal parts of."""
        own = [len(range(number, nodes, PROCESSES)) for number in range(PROCESSES)]
        ends = [total * sum(own[: number + 1]) // nodes for number in range(PROCESSES)]
        return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]

    async def _all(self, asks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return await asyncio.gather(*(self._ask(number, ask) for number, ask in enumerate(asks)))

    async def _ask(self, number: int, ask: dict[str, Any]) -> dict[str, Any]:
        reader, writer = self._lines[number]
        writer.write(json.dumps(ask).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline())
        return answer
