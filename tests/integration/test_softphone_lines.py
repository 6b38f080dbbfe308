"""Several calls of one phone: one waits, one talks; where there are more than a child holds, another child helps."""

import asyncio

import pytest

from adapter.softphone import events
from adapter.softphone.phone import PhoneError
from tests.integration.softphone_sip import SipServer
from tests.integration.test_softphone_call import last, phone, registrar_of, talk, until

__all__ = ["phone"]


async def test_who_calls_while_somebody_talks_waits_and_the_next_hears_busy(phone):
    alice, carol, dave = [await phone(name) for name in ("alice", "carol", "dave")]
    bob = await phone("bob", lines=2)
    await alice.call(f"sip:bob@{bob.address}")
    first = await last(bob, events.Incoming)
    await bob.answer(call=first.call)
    await last(bob, events.Established)

    await carol.call(f"sip:bob@{bob.address}")
    second = await last(bob, events.Incoming)
    await last(carol, events.Ringing)
    assert second.call != first.call > 0
    await dave.call(f"sip:bob@{bob.address}")
    missed = await last(bob, events.Missed)
    assert "dave" in missed.remote_uri
    assert (await last(dave, events.Ended)).status == 486

    await bob.answer(call=second.call)
    told = [await last(bob, events.Established | events.Held) for _ in range(2)]  # in either order
    assert {(type(event), event.call) for event in told} == {
        (events.Established, second.call),
        (events.Held, first.call),
    }
    await last(carol, events.Established)
    held = await last(alice, events.Held)
    assert (held.on, held.here) == (True, False)
    await bob.hangup(call=first.call)
    assert (await last(bob, events.Ended)).call == first.call
    assert (await last(alice, events.Ended)).cause == "hung up there"
    await bob.digits("1", call=second.call)  # the other call goes on
    while not isinstance(await carol.events.get(), events.Digit):
        pass
    with pytest.raises(PhoneError, match="no call is up"):
        await bob.digits("1", call=first.call)


async def test_a_call_that_waits_may_be_declined_and_the_first_goes_on(phone):
    alice, carol = [await phone(name) for name in ("alice", "carol")]
    bob = await phone("bob", lines=2)
    await alice.call(f"sip:bob@{bob.address}")
    await last(bob, events.Incoming)
    await bob.answer()
    up = await last(bob, events.Established)
    await carol.call(f"sip:bob@{bob.address}")
    waiting = await last(bob, events.Incoming)
    await bob.answer(603, call=waiting.call)
    assert (await last(carol, events.Ended)).status == 603
    ended = await last(bob, events.Ended)
    assert (ended.call, ended.cause) == (waiting.call, "hung up here")
    await bob.digits("5")
    assert up.call != waiting.call
    while not isinstance(event := await alice.events.get(), events.Digit):
        assert not isinstance(event, events.Ended)


async def test_what_two_callers_say_is_recorded_apart(phone, tmp_path):
    alice, carol = [await phone(name) for name in ("alice", "carol")]
    bob = await phone("bob", lines=2, together=True, auto_answer=True, record=tmp_path / "heard.wav")
    for caller in (alice, carol):
        await talk(caller, f"sip:bob@{bob.address}", bob)
    for caller in (alice, carol):
        await caller.hangup()
        await last(bob, events.Ended)
    assert sorted(path.name for path in tmp_path.glob("*.wav")) == ["heard-2.wav", "heard.wav"]


@pytest.mark.audio
async def test_more_calls_than_one_child_holds_are_taken_by_more_children(phone):
    registered = []
    async with SipServer(registrar_of(registered)) as adapter_:
        bob = await phone("bob", registrar=adapter_.name, lines=6, together=True, auto_answer=True, encrypt=False)
        await bob.register()
        callers = [await phone(f"caller{number}", encrypt=False) for number in range(7)]
        numbers = set()
        for caller in callers[:6]:
            await caller.call(f"sip:bob@{adapter_.name}")
            await until(caller, events.Established)
            numbers.add((await last(bob, events.Established)).call)
            while len(bob.pids) < min(3, 1 + len(numbers) // 2):  # noqa: ASYNC110 -- the next child starts
                await asyncio.sleep(0.02)
        assert len(numbers) == 6
        assert len(bob.pids) == 3
        await callers[6].call(f"sip:bob@{adapter_.name}")
        assert (await last(callers[6], events.Ended)).status == 486
        await last(bob, events.Missed)

        await asyncio.sleep(0.5)  # the length of the talk
        for caller in callers[:6]:
            await caller.hangup()
            ended = await last(caller, events.Ended)
            assert ended.packets_received > 0
        over = set()
        while over != numbers:
            over.add((await last(bob, events.Ended)).call)
        await callers[6].call(f"sip:bob@{adapter_.name}")  # and there is room again
        await until(callers[6], events.Established)
