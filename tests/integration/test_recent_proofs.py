"""Calls of the same moment share a proof, and nothing doubtful is shared."""

from __future__ import annotations

import asyncio

import pytest

from adapter.findings import NameUnknown
from adapter.recent import MAX_PROOFS, PROOF_S, RecentProofs
from tests.integration.directory_ring import town


def silent(_step: str, _detail: dict) -> None:
    """Trace nothing."""


class Hand:
    """A clock that moves when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def find(proofs: RecentProofs, aor: str = "bob"):
    return await proofs.find(aor, trace=silent, record_needed=True)


async def test_calls_of_one_moment_share_one_lookup():
    async with town(8) as place:
        proofs = RecentProofs(place.directory(place.rings[3]))
        found = await asyncio.gather(*(find(proofs) for _ in range(20)))
        assert proofs.counters == {"looked up": 1, "lookup joined": 19}
        assert {one.bundle for one in found} == {place.bob.public}


async def test_a_proof_is_shared_for_two_seconds_and_then_made_anew():
    async with town(8) as place:
        hand = Hand()
        proofs = RecentProofs(place.directory(place.rings[3]), since=hand)
        first = await find(proofs)
        hand.now += PROOF_S - 0.01
        assert await find(proofs) is first
        hand.now += 0.01
        assert await find(proofs) is not first
        assert proofs.counters == {"looked up": 2, "proof shared": 1}
        assert PROOF_S <= 2.0


async def test_a_shared_record_lives():
    async with town(8) as place:
        hand, since = Hand(), Hand()
        hand.now = place.upkeep.record.counts_until - 1.0
        proofs = RecentProofs(place.directory(place.rings[3]), clock=hand, since=since)
        await find(proofs)
        hand.now += 1.0
        await find(proofs)
        assert proofs.counters == {"looked up": 2}


async def test_nothing_is_shared_where_a_holder_lied_or_was_silent():
    async with town(8) as place:
        # whichever five pieces are drawn, one of the three holders is asked
        for ring in place.rings[2:5]:
            await ring.close()
        proofs = RecentProofs(place.directory(place.rings[0]))
        found = await find(proofs)
        assert found.bundle == place.bob.public
        await find(proofs)
        assert proofs.counters == {"looked up": 2}


async def test_a_failure_is_told_to_all_who_wait_and_not_kept():
    async with town(8) as place:
        proofs = RecentProofs(place.directory(place.rings[3]))
        outcomes = await asyncio.gather(*(find(proofs, "nobody") for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [NameUnknown] * 3
        with pytest.raises(NameUnknown):
            await find(proofs, "nobody")
        assert proofs.counters["looked up"] == 2


async def test_who_hangs_up_takes_the_answer_from_nobody():
    async with town(8) as place:
        proofs = RecentProofs(place.directory(place.rings[3]))
        first = asyncio.ensure_future(find(proofs))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(find(proofs))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).bundle == place.bob.public
        assert proofs.counters["looked up"] == 1


async def test_what_led_nowhere_is_forgotten():
    async with town(8) as place:
        proofs = RecentProofs(place.directory(place.rings[3]))
        await find(proofs)
        proofs.forget("bob")
        await find(proofs)
        assert proofs.counters == {"looked up": 2}
        assert MAX_PROOFS < 1000
