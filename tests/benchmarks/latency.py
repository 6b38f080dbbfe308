# ruff: noqa: C901, FBT001, FBT003, TC001, TC003 - the callbacks and the flat story of a benchmark
"""Put and get on loopback, healthy and with a fifth of the nodes just killed: ours, the stock library, OpenDHT.

What is compared: ours puts the seven signed pieces of a user and his record, and gets k pieces whose signatures hold
and a record under the key that they make (`get`); the others put one value of the same size and get the first value
that anybody gives them. `verified find` is what a call waits for: the same under the acceptance rule, with 2k-1
witnesses. All N nodes of ours and of the stock library share one event loop; OpenDHT's have threads of their own.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kademlia.network import Server

from adapter.directory import Directory
from overlay.ring.ids import clockwise, piece_position
from overlay.ring.kademlia_ring import KademliaRing
from overlay.trust.identity import PrivateBundle
from overlay.trust.shamir import combine
from tests.support.members import TestOverlay

HOST = "127.0.0.1"
VALUE_BYTES = 259
"""As long as the longest signed record of ours."""
DEAD_SHARE = 5
"""One node in so many is killed."""
SETTLE_S = 6.0


def summary(seconds: Sequence[float], missed: int) -> dict[str, Any]:
    """Return p50 and p99 in milliseconds, how many operations there were, and how many came to nothing."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "p99_ms": round(1000 * p99, 2),
        "operations": len(ordered),
        "missed": missed,
    }


async def timed(work: Callable[[int], Awaitable[bool]], numbers: Sequence[int]) -> dict[str, Any]:
    """Do something for each number, one after the other."""
    took, missed = [], 0
    for number in numbers:
        begun = time.perf_counter()
        missed += not await work(number)
        took.append(time.perf_counter() - begun)
    return summary(took, missed)


def ours(count: int, operations: int) -> dict[str, Any]:
    """Measure this project's ring."""

    async def program() -> dict[str, Any]:
        overlay, rng = TestOverlay(), random.Random(1)
        async with overlay.running(count, host=HOST) as rings:
            users = [PrivateBundle.generate() for _ in range(2 * operations)]
            living = list(rings)

            async def put(number: int) -> bool:
                aor = f"user{number}"
                pieces, record = overlay.pieces(users[number], aor), overlay.record(users[number], aor)
                return len(await rng.choice(living).put(aor, pieces, record)) == len(pieces)

            async def first(number: int) -> bool:
                return await first_signed(rng.choice(living), overlay, users[number], f"user{number}")

            async def get(number: int) -> bool:
                reader = Directory(rng.choice(living), dealing_public=overlay.dealing.public, k=3, n=7)
                found = await reader.find(f"user{number}")
                return bool(found.bundle == users[number].public and found.record is not None)

            before, after = range(operations), range(operations, 2 * operations)
            result = {"healthy put": await timed(put, before)}
            result["healthy get"] = await timed(first, before)
            result["healthy verified find"] = await timed(get, before)
            for ring in (dead := rng.sample(rings, count // DEAD_SHARE)):
                await ring.close()
            living[:] = [ring for ring in rings if ring not in dead]
            result["killed get"] = await timed(first, before)
            result["killed verified find"] = await timed(get, before)
            result["killed put"] = await timed(put, after)
            return result

    return asyncio.run(program())


async def first_signed(ring: KademliaRing, overlay: TestOverlay, user: PrivateBundle, aor: str) -> bool:
    """Ask the likely owners of all places at once, until k signed pieces and a record under their key have come."""
    known = [*ring.peers(), ring.me]
    likely = {
        min(known, key=lambda peer: clockwise(at, peer.id)) for at in (piece_position(aor, i, 7) for i in range(1, 8))
    }
    asked = {asyncio.ensure_future(ring.fetch_at(peer, aor)) for peer in likely}
    now, shares, records = int(overlay.clock()), {}, []
    try:
        for answer in asyncio.as_completed(asked):
            holding = await answer
            for piece in () if holding is None else holding.pieces:
                piece.verify(overlay.dealing.public, now=now)
                shares[piece.index] = piece.share
            if holding is not None and holding.record is not None:
                records.append(holding.record)
            if len(shares) >= 3 and records:
                records[0].verify(now=now)
                return combine(shares, k=3) == user.public.encode() == records[0].bundle
    finally:
        for task in asked:
            task.cancel()
    return False


def stock(count: int, operations: int) -> dict[str, Any]:
    """Measure the stock library with its defaults; what dead nodes cost is measured all at once: each takes long."""
    logging.disable(logging.WARNING)

    async def program() -> dict[str, Any]:
        rng = random.Random(1)
        servers = [Server() for _ in range(count)]
        ports = []
        for server in servers:
            await server.listen(0, HOST)
            ports.append(server.transport.get_extra_info("sockname")[1])
            if len(ports) > 1:
                await server.bootstrap([(HOST, ports[0])])
        living = list(servers)
        value = bytes(VALUE_BYTES)

        async def put(number: int) -> bool:
            return bool(await rng.choice(living).set(f"key{number}", value))

        async def get(number: int) -> bool:
            return await rng.choice(living).get(f"key{number}") == value

        async def at_once(work: Callable[[int], Awaitable[bool]], numbers: Sequence[int]) -> dict[str, Any]:
            took: list[float] = []

            async def one(number: int) -> bool:
                begun = time.perf_counter()
                done = await work(number)
                took.append(time.perf_counter() - begun)
                return done

            done = await asyncio.gather(*(one(number) for number in numbers), return_exceptions=True)
            return summary(took, sum(outcome is not True for outcome in done))

        result = {
            "healthy put": await timed(put, range(operations)),
            "healthy get": await timed(get, range(operations)),
        }
        for server in (dead := rng.sample(servers, count // DEAD_SHARE)):
            server.stop()
        living[:] = [server for server in servers if server not in dead]
        result["killed get"] = await at_once(get, range(20))
        result["killed put"] = await at_once(put, range(operations, operations + 20))
        for server in living:
            server.stop()
        return result

    try:
        return asyncio.run(program())
    finally:
        logging.disable(logging.NOTSET)


def opendht(count: int, operations: int) -> dict[str, Any] | None:
    """Measure OpenDHT, its rate limit lifted; None where it is not installed (optional dependency group `bench`)."""
    try:
        import opendht as dht
    except ImportError:
        return None

    async def program() -> dict[str, Any]:
        loop, rng = asyncio.get_running_loop(), random.Random(1)
        runners = []
        for _ in range(count):
            config = dht.DhtConfig()
            config.setRateLimit(-1, -1)
            config.setPeerDiscovery(False, False)
            runner = dht.DhtRunner()
            runner.run(ipv4=HOST, port=0, config=config)
            if runners:
                runner.bootstrap(HOST, str(runners[0].getBound().getPort()))
            runners.append(runner)
        await asyncio.sleep(SETTLE_S)
        living = list(runners)

        def key(number: int) -> Any:
            return dht.InfoHash.get(f"key{number}")

        def tell(future: asyncio.Future[bool], outcome: bool) -> None:
            if not future.done():
                future.set_result(outcome)

        async def put(number: int) -> bool:
            future: asyncio.Future[bool] = loop.create_future()
            rng.choice(living).put(
                key(number),
                dht.Value(bytes(VALUE_BYTES)),
                lambda ok, nodes: loop.call_soon_threadsafe(tell, future, ok),
            )
            return await asyncio.wait_for(future, 60)

        async def get(number: int) -> bool:
            future: asyncio.Future[bool] = loop.create_future()

            def on_value(value: Any) -> bool:
                loop.call_soon_threadsafe(tell, future, True)
                return False

            def on_done(ok: bool, nodes: Any) -> None:
                loop.call_soon_threadsafe(tell, future, False)

            rng.choice(living).get(key(number), on_value, on_done)
            return await asyncio.wait_for(future, 60)

        first, second = range(operations), range(operations, 2 * operations)
        result = {"healthy put": await timed(put, first), "healthy get": await timed(get, first)}
        for runner in (dead := rng.sample(runners, count // DEAD_SHARE)):
            runner.join()
        living[:] = [runner for runner in runners if runner not in dead]
        result["killed get"] = await timed(get, first)
        result["killed put"] = await timed(put, second)
        for runner in living:
            runner.join()
        return result

    return asyncio.run(program())
