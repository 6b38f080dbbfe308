"""Whoever makes one round of an owner's upkeep fail has not ended it: the pieces stay looked after."""

from __future__ import annotations

import asyncio

from adapter.upkeep import Upkeep
from overlay.errors import LocalError
from tests.integration.directory_ring import town


async def test_the_round_after_one_that_failed_is_run(monkeypatch):
    async with town(3) as place:
        home = place.rings[1]
        fetch_at = home.fetch_at
        failures = iter([LocalError("too many requests under way, or the same one twice")])

        async def overloaded_once(peer, aor):
            if (failure := next(failures, None)) is not None:
                raise failure
            return await fetch_at(peer, aor)

        monkeypatch.setattr(home, "fetch_at", overloaded_once)
        done = asyncio.Event()
        upkeep = Upkeep(
            home,
            user=place.bob,
            pieces=place.overlay.pieces(place.bob, "bob"),
            share_list=place.overlay.share_list(place.bob, "bob"),
            on_round=lambda _: done.set(),
        )
        running = asyncio.create_task(upkeep.run())
        async with asyncio.timeout(8):
            await done.wait()
        upkeep.stop()
        await running
        assert upkeep.counters["failed rounds"] == 1
