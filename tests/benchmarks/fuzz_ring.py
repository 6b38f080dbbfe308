"""make fuzz-ring: hostile datagrams against one live node; its socket stays open and look-ups are answered.

A third are raw bytes, mutated frames among them; a third come from an enrolled evil peer inside a valid session; a
third are answers to requests of the node's own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import random
import time
from pathlib import Path
from typing import Any

import msgpack

from overlay.ring.channel import MAX_PAYLOAD_BYTES
from overlay.ring.ids import RingId, id_to_bytes
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay

HOST = "127.0.0.1"
BATCH = 1000
MAX_GROWTH_KIB = 16 * 1024
"""What the process may grow by after the first tenth: a leak of 20 bytes a datagram is more in a million of them."""


class Fuzz:
    """One attack on one node."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.worst_s = self.total_s = 0.0
        self.fed = 0

    def value(self, depth: int = 0) -> Any:
        """Return something that msgpack can write, most of it nonsense, some of it nearly right."""
        rng = self.rng
        kinds = (
            lambda: rng.randbytes(rng.choice((0, 1, 20, 20, 21, 200))),
            lambda: rng.choice((0, 1, -1, 70_000, 2**63, True, None, 1.5)),
            lambda: rng.choice(("", "10.0.0.1", "::1", "224.0.0.1", "x" * 50)),
            lambda: [rng.randbytes(20), "10.0.0.9", rng.choice((0, 1, 4000, 70_000))],
            lambda: [self.value(depth + 1) for _ in range(rng.choice((0, 1, 2, 3, 21, 65)))],
            lambda: {"a": self.value(depth + 1)},
        )
        return rng.choice(kinds[: 4 if depth > 1 else None])()

    def raw(self, sample: bytes) -> bytes:
        """Return random bytes, or a true frame with some of them changed or cut off."""
        rng = self.rng
        if rng.random() < 0.4:
            return bytes([rng.choice((0x11, 0x12, 0x13, 0x14, rng.randrange(256)))]) + rng.randbytes(rng.randrange(600))
        data = bytearray(sample)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data[: rng.choice((len(data), rng.randrange(1, len(data) + 1)))])

    def message(self, known_ids: list[bytes]) -> bytes:
        """Return a request or an answer as an enrolled peer can seal it."""
        rng = self.rng
        name = rng.choice(("ping", "find_node", "around", "store", "fetch", "release", "line", "set", "", 7))
        body = [name, [self.value() for _ in range(rng.choice((0, 1, 2, 2, 3)))]]
        kind, value = (b"\x00", body) if rng.random() < 0.8 else (b"\x01", self.value())
        packed = msgpack.packb(value, use_bin_type=True)
        return (kind + rng.choice((rng.randbytes(20), *known_ids[-1:])) + packed)[: rng.choice((1400, 1400, 30))]

    def feed(self, rpc: Any, data: bytes, source: tuple[str, int]) -> None:
        begun = time.perf_counter()
        rpc.datagram_received(data, source)
        took = time.perf_counter() - begun
        self.fed += 1
        self.total_s += took
        self.worst_s = max(self.worst_s, took)


def resident_kib() -> int:
    """Return how much memory this process has, in KiB, what waits to be collected left out."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def attack(count: int, seed: int) -> dict[str, Any]:
    """Send `count` hostile datagrams to one of three nodes and return what became of it."""
    fuzz, errors = Fuzz(seed), []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(str(context)))
    overlay = TestOverlay()
    async with overlay.running(3, host=HOST) as rings:
        node = rings[0]
        rpc = node._server.rpc
        evil, evil_rpc = await hostile_member(
            overlay, HOST, find_node=lambda *_: fuzz.value(), around=lambda *_: fuzz.value(), leave=lambda *_: True
        )
        # what the evil peer fails to answer the node is its own affair; what the node fails to answer is told
        logging.getLogger("overlay.ring.answers").addFilter(lambda line: str(node.me) not in line.getMessage())
        await evil_rpc.request(node.address, node.me.id, "ping", id_to_bytes(evil.id))
        session = evil_rpc.sessions._links.find(node.address, node.me.id).current
        sample = session.seal(b"\x00" + bytes(20) + msgpack.packb(["ping", [id_to_bytes(evil.id)]]))
        memory, answered, looked_up = [resident_kib()], 0, 0
        for batch in range(0, count, BATCH):
            # what is over the rate is not even opened: here all of it is to be read
            rpc.sessions._links.get(evil.id).paid_until = 0.0
            for number in range(batch, min(count, batch + BATCH)):
                if number % 3 == 0:
                    source = (f"10.{number % 50}.0.1", 4000) if number % 2 else evil.address
                    fuzz.feed(rpc, fuzz.raw(sample), source)
                elif number % 3 == 1:
                    fuzz.feed(rpc, session.seal(fuzz.message([])), evil.address)
                else:
                    future = rpc.request(evil.address, evil.id, fuzz.rng.choice(("fetch", "find_node")), b"a" * 20, 0)
                    message_id = next(reversed(rpc._outstanding))
                    body = msgpack.packb(fuzz.value(), use_bin_type=True)
                    fuzz.feed(rpc, session.seal((b"\x01" + message_id + body)[:MAX_PAYLOAD_BYTES]), evil.address)
                    future.cancel()
            await asyncio.sleep(0)
            if batch % max(BATCH, count // 10 // BATCH * BATCH) == 0:
                memory.append(resident_kib())
            looked_up += 1
            place = RingId(fuzz.rng.getrandbits(160))
            answered += (await node.find_successor(place)).id in {*(ring.me.id for ring in rings), evil.id}
        memory.append(resident_kib())
        result = {
            "datagrams": fuzz.fed,
            "socket_open": not rpc.is_closed,
            "look_ups": looked_up,
            "look_ups_answered": answered,
            "unhandled": len(errors) + rpc.counters["handler failed"] + rpc.tasks.failed,
            "mean_ms": round(1000 * fuzz.total_s / max(1, fuzz.fed), 4),
            "worst_ms": round(1000 * fuzz.worst_s, 2),
            "memory_kib": memory,
            "grown_kib": memory[-1] - memory[min(2, len(memory) - 1)],
        }
        await evil_rpc.close()
    return {**result, "first_unhandled": errors[:1]}


def main() -> None:
    """Attack, print; exit 1 unless the node held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    result = asyncio.run(attack(arguments.count, arguments.seed))
    print(json.dumps(result, indent=1))  # noqa: T201 -- a benchmark reports as it goes
    held = result["socket_open"] and not result["unhandled"] and result["mean_ms"] < 1
    held = held and result["grown_kib"] <= MAX_GROWTH_KIB
    raise SystemExit(not (held and result["look_ups"] == result["look_ups_answered"]))


if __name__ == "__main__":
    main()
