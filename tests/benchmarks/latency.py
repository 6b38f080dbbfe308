# ruff: noqa: BLE001, C901, FBT001, FBT003, TC001, TC003 - the callbacks and the flat story of a benchmark
"""Put and get on loopback, healthy and with a fifth of the nodes just killed: ours, the stock library, OpenDHT.

What is compared: ours puts the seven signed pieces of a user and his record, and gets k pieces whose signatures hold
and a record under the key that they make (`get`); the others put one value of the same size and get the first value
that anybody gives them. `verified find` is what a call waits for: the same under the acceptance rule, with 2k-1
witnesses. Second copies of ours are put behind the owners once the puts have been measured, as upkeep does by and by;
the stock library's put makes 20 copies, OpenDHT's 8. All N nodes of ours and of the stock library share one event loop;
OpenDHT's have threads of their own.
After the deaths puts and gets alternate, so neither has what the other learnt of the dead; the stock library's all run
at once, since each takes half a minute, so those learn least.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from kademlia.network import Server

from adapter.directory import Directory
from overlay.errors import RemoteError
from overlay.ring.holding import Holding
from overlay.ring.ids import Peer, shift
from overlay.trust.identity import PrivateBundle
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord
from overlay.trust.shamir import combine
from tests.support.members import TestOverlay

HOST = "127.0.0.1"
VALUE_BYTES = 259
"""As long as the longest signed record of ours."""
DEAD_SHARE = 5
"""One node in so many is killed."""
READS = 5
"""Healthy gets of each value, ours and the stock library's: one takes a millisecond or two, and the worst of a hundred
would be some hiccup."""
GIVE_UP_S = 5.0
"""OpenDHT looks for half a minute and more for what it does not find: nobody waits as long for a call."""
SLOW_PUTS = 4
"""After the deaths OpenDHT, whose puts take a second and more one after the other, makes one in so many of them."""
SETTLE_S = 10.0
"""Longer than the five seconds after which a node of ours looks round again where its neighbours have changed."""
K, N = 3, 7


class Samples:
    """How long each operation took, and which came to nothing."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = defaultdict(list)
        """Seconds, by kind of operation; failures among them."""
        self.missed: Counter[str] = Counter()
        self.raised: Counter[str] = Counter()
        """Misses that came as an exception, by kind and type."""

    def raised_in(self, kind: str) -> Counter[str]:
        """Return the exceptions of one kind of operation, by type."""
        return Counter({name.partition(": ")[2]: n for name, n in self.raised.items() if name.startswith(f"{kind}: ")})

    async def timed(self, kind: str, work: Callable[[int], Awaitable[bool]], numbers: Iterable[int]) -> None:
        """Do something for each number, one after the other."""
        for number in numbers:
            await self.one(kind, work, number)

    async def one(self, kind: str, work: Callable[[int], Awaitable[bool]], number: int) -> None:
        """Do something once."""
        begun, done = time.perf_counter(), False
        try:
            done = await work(number)
        except Exception as error:
            self.raised[f"{kind}: {type(error).__name__}"] += 1
        self.took[kind].append(time.perf_counter() - begun)
        self.missed[kind] += not done


def summary(blocks: Sequence[Samples]) -> dict[str, dict[str, Any]]:
    """Return p50 and p99 in milliseconds over all blocks, p99 of each block, how many operations and misses."""
    return {
        kind: {
            "p50_ms": percentile([one for block in blocks for one in block.took[kind]], 0.5),
            "p99_ms": percentile([one for block in blocks for one in block.took[kind]], 0.99),
            "p99_ms_of_each_block": [percentile(block.took[kind], 0.99) for block in blocks if block.took[kind]],
            "operations": sum(len(block.took[kind]) for block in blocks),
            "missed": sum(block.missed[kind] for block in blocks),
            "raised": dict(sum((block.raised_in(kind) for block in blocks), Counter())),
        }
        for kind in blocks[0].took
    }


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return in milliseconds what `share` of the operations took at most."""
    ordered = sorted(seconds)
    return round(1000 * ordered[math.ceil(share * len(ordered)) - 1], 2)


def ours(count: int, operations: int, seed: int, *, deaths: bool = True) -> Samples:
    """Measure this project's ring, without `deaths` as long as it is healthy."""

    async def program() -> Samples:
        overlay, rng = TestOverlay(), random.Random(seed)
        async with overlay.running(count, host=HOST) as rings:
            users = [PrivateBundle.generate() for _ in range(2 * operations)]
            # what the bootstrap deals is made beforehand, as the others' value is; the owner's record is not
            dealt = [
                (overlay.pieces(user, f"user{number}"), overlay.share_list(user, f"user{number}"))
                for number, user in enumerate(users)
            ]
            living = list(rings)
            put_at: dict[int, tuple[LookupRecord, dict[int, Peer]]] = {}
            await settle()

            async def put(number: int) -> bool:
                aor, (pieces, listed) = f"user{number}", dealt[number]
                record = overlay.record(users[number], aor)
                owners = await rng.choice(living).put(aor, pieces, record, share_list=listed)
                put_at[number] = (record, owners)
                return len(owners) == len(pieces)

            async def copy(number: int) -> None:
                """Put second copies right behind the owners, as their owner's upkeep does in rings of 4n nodes."""
                (pieces, listed), (record, owners) = dealt[number], put_at[number]
                for piece in pieces:
                    ring, owner = rng.choice(living), owners.get(piece.index)
                    if owner is None:
                        continue
                    behind = await ring.find_successor(shift(owner.id, 1))
                    if behind not in owners.values():
                        await ring.store_at(behind, piece, record, share_list=listed)

            async def first(number: int) -> bool:
                enough = first_signed(overlay, users[number])
                return enough(await rng.choice(living).read(f"user{number}", N, enough, first=K + 1))

            async def get(number: int) -> bool:
                reader = Directory(rng.choice(living), dealing_public=overlay.dealing.public, k=K, n=N)
                try:
                    found = await reader.find(f"user{number}")
                except RemoteError:
                    return False
                return bool(found.bundle == users[number].public and found.record is not None)

            before, after = range(operations), range(operations, 2 * operations)
            samples = Samples()
            await samples.timed("healthy put", put, before)
            for number in put_at if count >= 4 * N else ():
                await copy(number)
            await samples.timed("healthy get", first, [*before] * READS)
            await samples.timed("healthy verified find", get, before)
            if not deaths:
                return samples
            for ring in (dead := rng.sample(rings, count // DEAD_SHARE)):
                await ring.close()
            living[:] = [ring for ring in rings if ring not in dead]
            for old, new in zip(before, after, strict=True):
                await samples.timed("killed put", put, [new])
                await samples.timed("killed get", first, [old])
            await samples.timed("killed verified find", get, before)
            return samples

    return asyncio.run(program())


def first_signed(overlay: TestOverlay, user: PrivateBundle) -> Callable[[Mapping[Peer, Holding]], bool]:
    """Return what tells whether k signed pieces have come, and a record under the key that they make."""
    signed: dict[KeyPiece, bool] = {}
    now = int(overlay.clock())

    def is_signed(piece: KeyPiece) -> bool:
        if piece not in signed:
            signed[piece] = holds(lambda: piece.verify(overlay.dealing.public, now=now))
        return signed[piece]

    def enough(found: Mapping[Peer, Holding]) -> bool:
        shares: dict[int, bytes] = {}
        for piece in (piece for holding in found.values() for piece in holding.pieces):
            if len(shares) < K and piece.index not in shares and is_signed(piece):
                shares[piece.index] = piece.share
        records = [holding.record for holding in found.values() if holding.record is not None]
        if len(shares) < K or not records:
            return False
        record = records[0]
        key = combine(shares, k=K)
        return key == user.public.encode() == record.bundle and holds(lambda: record.verify(now=now))

    return enough


def holds(check: Callable[[], None]) -> bool:
    """Tell whether a check finds nothing to object to."""
    try:
        check()
    except RemoteError:
        return False
    return True


async def settle() -> None:
    """Let a ring come to rest, and keep what has been built until then out of the garbage collector's rounds.

    A hundred nodes share one collector here, whose full rounds stop all of them for a fifth of a second; a node of its
    own has a hundredth of that to go through.
    """
    await asyncio.sleep(SETTLE_S)
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def stock(count: int, operations: int, seed: int, *, deaths: bool = True) -> Samples:
    """Measure the stock library with its defaults; what dead nodes cost is measured all at once: each takes long."""
    logging.disable(logging.ERROR)

    async def program() -> Samples:
        rng = random.Random(seed)
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

        await settle()
        samples = Samples()
        await samples.timed("healthy put", put, range(operations))
        await samples.timed("healthy get", get, [*range(operations)] * READS)
        if deaths:
            for server in (dead := rng.sample(servers, count // DEAD_SHARE)):
                server.stop()
            living[:] = [server for server in servers if server not in dead]
            killed = [samples.one("killed get", get, number) for number in range(operations)]
            killed += [samples.one("killed put", put, number) for number in range(operations, 2 * operations)]
            await asyncio.gather(*killed)
        for server in living:
            server.stop()
        return samples

    try:
        return asyncio.run(program())
    finally:
        logging.disable(logging.NOTSET)


def opendht(count: int, operations: int, seed: int) -> Samples | None:
    """Measure OpenDHT, its rate limit lifted; None where it is not installed (optional dependency group `bench`)."""
    try:
        import opendht as dht
    except ImportError:
        return None

    async def program() -> Samples:
        loop, rng = asyncio.get_running_loop(), random.Random(seed)
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
        await settle()
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
            return await asyncio.wait_for(future, GIVE_UP_S)

        async def get(number: int) -> bool:
            future: asyncio.Future[bool] = loop.create_future()

            def on_value(value: Any) -> bool:
                loop.call_soon_threadsafe(tell, future, True)
                return False

            def on_done(ok: bool, nodes: Any) -> None:
                loop.call_soon_threadsafe(tell, future, False)

            rng.choice(living).get(key(number), on_value, on_done)
            return await asyncio.wait_for(future, GIVE_UP_S)

        first, second = range(operations), range(operations, 2 * operations)
        samples = Samples()
        await samples.timed("healthy put", put, first)
        await samples.timed("healthy get", get, first)
        for runner in (dead := rng.sample(runners, count // DEAD_SHARE)):
            runner.join()
        living[:] = [runner for runner in runners if runner not in dead]
        for old, new in zip(first[::SLOW_PUTS], second[::SLOW_PUTS], strict=True):
            await samples.timed("killed put", put, [new])
            await samples.timed("killed get", get, [old])
        for runner in living:
            runner.join()
        return samples

    return asyncio.run(program())
