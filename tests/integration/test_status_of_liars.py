"""What a running adapter knows of liars outlives it, and a damaged memory keeps no adapter from starting."""

from __future__ import annotations

import time

from adapter.liar_file import LIARS_FILE, load_liars, save_liars
from adapter.liars import Lied
from tests.support.cast import is_event
from tests.support.scene import scene

NODE = bytes(range(20))


async def test_an_adapter_shows_whom_the_run_before_caught_and_starts_without_a_memory_too():
    async with scene("alice", registered=False) as cast:
        folder = cast.folder / "alice"
        assert (await cast.ask("alice", "status"))["liars"] == []
        await cast.adapters.pop("alice").stop()
        now = time.time()
        save_liars(folder, (Lied(node=NODE, why="bad signature", times=2, first_at=now - 9, last_at=now),))
        await cast.start_adapter("alice")
        (row,) = (await cast.ask("alice", "status"))["liars"]
        assert (row["node"], row["times"], row["why"]) == (NODE.hex(), 2, "bad signature")
        assert round(now) == row["last_at"]
        await cast.adapters.pop("alice").stop()
        assert [one.node for one in load_liars(folder)] == [NODE]
        (folder / LIARS_FILE).write_text("{")
        await cast.start_adapter("alice")
        warning = await cast.adapters["alice"].expect(is_event("warning"), within_s=10, what="a warning")
        assert LIARS_FILE in warning["text"]
        status = await cast.ask("alice", "status")
        assert (status["liars"], status["contradictions"]) == ([], [])
