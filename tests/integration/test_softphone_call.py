"""Real calls between real PJSIP processes on loopback: straight, through a 302, and ended in every way."""

import asyncio
import contextlib
import os
import re
import select
import signal
import sys
from pathlib import Path

import pytest

import adapter.softphone
from adapter.softphone import events
from adapter.softphone.audio import GOOD_MEDIAN, compare
from adapter.softphone.phone import PhoneError, Softphone
from tests.integration.softphone_sip import SipServer, cancel, invite

HOST = "127.0.0.1"
DATA = Path(adapter.softphone.__file__).parent / "data"
ALICE, BOB = DATA / "alice.wav", DATA / "bob.wav"
TOKEN = ";p2p=Zm9vYmFyYmF6cXV1eHF1dQ"


@pytest.fixture
async def phone():
    """Give a maker of started phones; all of them are closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(user, **options):
            made = await stack.enter_async_context(Softphone())
            await made.start(host=HOST, user=user, **options)
            return made

        yield make


async def until(softphone, kind, within_s=20.0):
    """Take events until one of the kind comes; give all of them, it last."""
    seen = []
    async with asyncio.timeout(within_s):
        while True:
            event = await softphone.events.get()
            seen.append(event)
            if isinstance(event, kind):
                return seen
            assert not isinstance(event, events.Ended | events.ChildDied), f"ended too early: {event}"


async def last(softphone, kind, within_s=20.0):
    return (await until(softphone, kind, within_s))[-1]


def kinds(seen):
    return [type(event).__name__ for event in seen]


async def talk(caller, uri, callee):
    """Place a call and wait until both sides are in it."""
    await caller.call(uri)
    seen = await until(caller, events.Established)
    await last(callee, events.Established)
    return seen


def redirecting(contact, *headers):
    """Make an adapter that answers an INVITE with 100 and a 302."""

    def behaviour(request):
        if request.startswith("INVITE "):
            return [("100 Trying", ()), ("302 Moved Temporarily", (f"Contact: <{contact()}>", *headers))]
        return [("200 OK", ())]

    return SipServer(behaviour)


def registrar_of(registered):
    """Make an adapter that keeps Contacts in a list, the newest last, and sends every caller there."""

    def behaviour(request):
        if not request.startswith("REGISTER "):
            return [("302 Moved Temporarily", (f"Contact: <{registered[-1]}>",))]
        contact = re.search(r"^Contact: <([^>]+)>", request, re.MULTILINE)[1]
        if contact in registered:
            registered.remove(contact)
        if "\nExpires: 0" not in request:
            registered.append(contact)
        return [("200 OK", ())]

    return behaviour


# ------------------------------------------------------------------ calls


@pytest.mark.audio
async def test_direct_call_carries_speech_both_ways(phone, tmp_path):
    alice = await phone("alice", play=ALICE, record=tmp_path / "at_alice.wav")
    bob = await phone("bob", play=BOB, record=tmp_path / "at_bob.wav", auto_answer=True)
    await alice.call(f"sip:bob@{bob.address}")
    rung = await last(bob, events.Incoming)
    here, there = await last(alice, events.Established), await last(bob, events.Established)
    await asyncio.sleep(6)  # the length of the talk
    await alice.hangup()
    ended, other = await last(alice, events.Ended), await last(bob, events.Ended)
    to_bob, to_alice = compare(ALICE, tmp_path / "at_bob.wav"), compare(BOB, tmp_path / "at_alice.wav")

    assert "alice" in rung.remote_uri
    assert rung.source == alice.address
    assert (here.codec, there.codec) == ("G722", "G722")
    assert here.outgoing
    assert not there.outgoing
    assert ended.heard_from == here.media_remote
    assert other.heard_from == there.media_remote
    assert (ended.status, ended.cause, other.cause) == (200, "hung up here", "hung up there")
    assert min(ended.packets_received, other.packets_received) > 200
    assert to_bob.median >= GOOD_MEDIAN, to_bob
    assert to_alice.median >= GOOD_MEDIAN, to_alice
    assert compare(BOB, tmp_path / "at_bob.wav").median < 0.5


@pytest.mark.audio
async def test_call_follows_a_302_to_the_other_phone(phone, tmp_path):
    bob = await phone("bob", play=BOB, auto_answer=True)
    async with redirecting(lambda: f"sip:bob@{bob.address}{TOKEN}") as adapter_:
        alice = await phone("alice", registrar=adapter_.name, play=ALICE, record=tmp_path / "at_alice.wav")
        await alice.register()
        await last(alice, events.Registered)
        seen = await talk(alice, f"sip:bob@{adapter_.name}", bob)
        assert adapter_.methods() == ["REGISTER", "INVITE", "ACK"]
    await asyncio.sleep(4)  # the length of the talk, with no adapter any more
    await bob.hangup()
    ended = await last(alice, events.Ended)

    assert kinds(seen) == ["Trying", "Redirected", "Trying", "Established"]
    assert seen[1].contact == f"sip:bob@{bob.address}{TOKEN}"
    assert seen[-1].remote_uri == f"sip:bob@{bob.address}{TOKEN}"
    assert ended.cause == "hung up there"
    assert compare(BOB, tmp_path / "at_alice.wav").median >= GOOD_MEDIAN


async def test_the_token_of_a_302_reaches_the_other_phone(phone):
    bob = await phone("bob")
    async with redirecting(lambda: f"sip:bob@{bob.address}{TOKEN}") as adapter_:
        alice = await phone("alice")
        await alice.call(f"sip:bob@{adapter_.name}")
        rung = await last(bob, events.Incoming)
        assert rung.request_uri == f"sip:bob@{bob.address}{TOKEN}"
        await last(alice, events.Ringing)
        await alice.hangup()
        assert (await last(alice, events.Ended)).status == 487
        gone = await last(bob, events.Ended)
        assert (gone.reason, gone.established) == ("the caller gave up", False)


async def test_of_two_contacts_the_preferred_one_is_called(phone):
    bob, other = await phone("bob", auto_answer=True), await phone("bob")
    first = f"Contact: <sip:bob@{other.address}>;q=0.2, <sip:bob@{bob.address}>;q=0.9"

    def behaviour(_request):
        return [("302 Moved Temporarily", (first,))]

    async with SipServer(behaviour) as adapter_:
        alice = await phone("alice")
        seen = await talk(alice, f"sip:bob@{adapter_.name}", bob)
    assert [event.contact for event in seen if isinstance(event, events.Redirected)] == [f"sip:bob@{bob.address}"]
    assert other.events.empty()


async def test_a_second_contact_is_not_tried_after_the_first_refused(phone):
    bob, other = await phone("bob"), await phone("bob", auto_answer=True)
    both = f"Contact: <sip:bob@{bob.address}>;q=0.9, <sip:bob@{other.address}>;q=0.2"

    async with SipServer(lambda _request: [("302 Moved Temporarily", (both,))]) as adapter_:
        alice = await phone("alice")
        await alice.call(f"sip:bob@{adapter_.name}")
        await last(bob, events.Incoming)
        await bob.answer(486)
        ended = await last(alice, events.Ended)
    assert ended.cause == "redirect refused"
    assert other.events.empty()
    assert alice.is_running


@pytest.mark.parametrize(
    "contact",
    [
        "sip:bob@{bob}?X-Injected=1",
        "sip:bob@localhost:{port}",
        "sip:bob@{adapter}",
        "sips:bob@{bob}",
        "sip:bob@{bob};transport=tcp",
        "sip:bob@{bob};maddr=127.0.0.1",
        "sip:bob@127.0.0.1:53",
        "tel:123",
        "http://{bob}/",
    ],
)
async def test_a_302_to_no_phone_is_refused(phone, contact):
    bob = await phone("bob", auto_answer=True)
    async with redirecting(
        lambda: contact.format(bob=bob.address, port=bob.address.rpartition(":")[2], adapter=adapter_.name)
    ) as adapter_:
        alice = await phone("alice", registrar=adapter_.name)
        await alice.call(f"sip:bob@{adapter_.name}")
        seen = await until(alice, events.Ended)
        assert adapter_.methods().count("INVITE") == 1
    assert "Redirected" not in kinds(seen)
    assert seen[-1].cause in {"redirect refused", "refused"}  # PJSIP itself passes over tel: and http:
    assert not seen[-1].established
    assert bob.events.empty()


async def test_a_second_redirect_is_not_followed(phone):
    bob = await phone("bob", auto_answer=True)
    async with (
        redirecting(lambda: f"sip:bob@{bob.address}") as second,
        redirecting(lambda: f"sip:bob@{second.name}") as first,
    ):
        alice = await phone("alice")
        await alice.call(f"sip:bob@{first.name}")
        ended = await last(alice, events.Ended)
    assert ended.cause == "redirect refused"
    assert "second redirect" in ended.reason
    assert bob.events.empty()


async def test_a_redirect_to_a_dead_address_gives_up_after_four_seconds(phone):
    async with SipServer(lambda _request: []) as dead, redirecting(lambda: f"sip:bob@{dead.name}") as adapter_:
        alice = await phone("alice")
        await alice.call(f"sip:bob@{adapter_.name}")
        seen = await until(alice, events.Ended)
        redirected = next(event for event in seen if isinstance(event, events.Redirected))
        assert seen[-1].cause == "unreachable"
        assert seen[-1].reason == f"no answer from {dead.name} for 4 s"
        assert 4.0 <= seen[-1].at - redirected.at < 8.0
        await alice.call(f"sip:bob@{adapter_.name}")  # the line is free again


# ------------------------------------------------------------------ ends


@pytest.mark.parametrize(("status", "phrase"), [(404, "Not Found"), (480, "Away"), (603, "Decline")])
async def test_a_refused_call_says_so(phone, status, phrase):
    async with SipServer(lambda _request: [(f"{status} {phrase}", ())]) as adapter_:
        alice = await phone("alice")
        await alice.call(f"sip:bob@{adapter_.name}")
        ended = await last(alice, events.Ended)
    assert (ended.status, ended.cause, ended.reason) == (status, "refused", f"{status} {phrase}")


async def test_a_call_is_answered_by_hand_or_declined(phone):
    alice, bob = await phone("alice"), await phone("bob")
    await alice.call(f"sip:bob@{bob.address}")
    await last(bob, events.Incoming)
    await last(alice, events.Ringing)
    await bob.answer()
    await last(alice, events.Established)
    await last(bob, events.Established)
    await bob.hangup()
    assert (await last(alice, events.Ended)).cause == "hung up there"
    await last(bob, events.Ended)

    await alice.call(f"sip:bob@{bob.address}")
    await last(bob, events.Incoming)
    await bob.answer(603)
    ended = await last(alice, events.Ended)
    assert (ended.status, ended.cause) == (603, "refused")
    ended = await last(bob, events.Ended)
    assert (ended.status, ended.cause, ended.reason) == (603, "hung up here", "declined")


async def test_an_answer_to_nobody_or_with_nonsense_fails(phone):
    alice, bob = await phone("alice"), await phone("bob")
    with pytest.raises(PhoneError, match="nobody calls"):
        await bob.answer()
    await alice.call(f"sip:bob@{bob.address}")
    await last(bob, events.Incoming)
    with pytest.raises(PhoneError, match="not answered with 302"):
        await bob.answer(302)
    with pytest.raises(PhoneError, match="nobody calls"):
        await alice.answer()
    with pytest.raises(PhoneError, match="a call is up already"):
        await alice.call(f"sip:bob@{bob.address}")
    await bob.hangup()
    assert (await last(alice, events.Ended)).status == 603


async def test_a_child_with_many_calls_behind_it_is_relieved_and_no_call_is_lost(phone, monkeypatch):
    monkeypatch.setattr("adapter.softphone.crew.CALLS_BEFORE_RELIEF", 3)
    registered = []
    async with SipServer(registrar_of(registered)) as adapter_:
        alice = await phone("alice", encrypt=False)
        bob = await phone("bob", registrar=adapter_.name, auto_answer=True, encrypt=False)
        await bob.register()
        children = set()
        while len(children) < 3:
            await alice.call(f"sip:bob@{adapter_.name}")
            assert registered, "bob can be called at any time"
            await until(alice, events.Established)
            children.add(registered[-1])
            await alice.hangup()
            ended = await last(alice, events.Ended)
            assert (ended.established, ended.cause) == (True, "hung up here")
            await until(bob, events.Ended)
        assert len(children) == 3
        await bob.close()
        assert registered == []
        assert bob.pids == ()


async def test_a_third_phone_hears_busy_and_disturbs_nobody(phone):
    alice, bob, carol = await phone("alice"), await phone("bob", auto_answer=True), await phone("carol")
    await talk(alice, f"sip:bob@{bob.address}", bob)
    for _ in range(3):
        await carol.call(f"sip:bob@{bob.address}")
        ended = await last(carol, events.Ended)
        assert (ended.status, ended.cause) == (486, "refused")
        missed = await last(bob, events.Missed)
        assert "carol" in missed.remote_uri
        assert missed.source == carol.address
    assert bob.events.empty()
    await alice.hangup()
    assert (await last(bob, events.Ended)).cause == "hung up there"


async def test_one_phone_makes_twenty_calls_in_a_row(phone):
    alice, bob = await phone("alice"), await phone("bob", auto_answer=True)
    for _ in range(20):
        await talk(alice, f"sip:bob@{bob.address}", bob)
        await alice.hangup()
        assert (await last(alice, events.Ended)).established
        await last(bob, events.Ended)


def plain(bob, eve):
    return [invite(bob, eve)]


def without_offer(bob, eve):
    return [invite(bob, eve, offer=False)]


def with_a_codec_that_nobody_has(bob, eve):
    return [invite(bob, eve, payload="98")]


def cancelled_at_once(bob, eve):
    request = invite(bob, eve)
    return [request, cancel(request)]


@pytest.mark.parametrize("pause_s", [0.0, 0.004])
@pytest.mark.parametrize("attack", [plain, without_offer, with_a_codec_that_nobody_has, cancelled_at_once])
async def test_a_flood_of_invites_does_not_kill_the_phone(phone, attack, pause_s):
    alice, bob = await phone("alice"), await phone("bob", auto_answer=True)
    host, port = bob.address.split(":")
    async with SipServer(lambda _request: [("200 OK", ())]) as eve:
        for _ in range(150):
            for message in attack(bob.address, eve.name):
                eve.flood((host, int(port)), message)
            await asyncio.sleep(pause_s)
        while bob.is_running:  # what the gate held back comes through, and the line is free again
            await bob.hangup()
            await alice.call(f"sip:bob@{bob.address}")
            seen = await until(alice, events.Ringing | events.Established | events.Ended)
            if not isinstance(seen[-1], events.Ended):
                break
    assert bob.is_running
    while not bob.events.empty():
        assert not isinstance(bob.events.get_nowait(), events.ChildDied)


# ------------------------------------------------------------------ registration


async def test_a_refused_registration_raises_with_its_status(phone):
    async with SipServer(lambda _request: [("403 Not from here", ())]) as adapter_:
        alice = await phone("alice", registrar=adapter_.name)
        with pytest.raises(PhoneError, match="403 Not from here") as refused:
            await alice.register()
    assert refused.value.status == 403


async def test_a_registration_names_a_contact_that_can_be_reached(phone):
    async with SipServer(lambda _request: [("200 OK", ())]) as adapter_:
        alice = await phone("alice", registrar=adapter_.name)
        assert (await alice.register()).status == 200
        request = adapter_.requests[0]
        await alice.close()
        farewell = adapter_.requests[-1]
    assert request.startswith(f"REGISTER sip:{adapter_.name} ")
    assert f"Contact: <sip:alice@{alice.address}>" in request
    assert "Expires: 300" in request
    assert "To: <sip:alice@127.0.0.1>" in request
    assert "Expires: 0" in farewell


async def test_a_refresh_that_fails_ends_no_call(phone):
    bob = await phone("bob", auto_answer=True)
    registers = []

    def behaviour(request):
        registers.append(request)
        contact = next(line for line in request.split("\r\n") if line.startswith("Contact:"))
        return [("200 OK", (f"{contact};expires=7",))] if len(registers) == 1 else [("403 No more", ())]

    async with SipServer(behaviour) as adapter_:
        alice = await phone("alice", registrar=adapter_.name)
        await alice.register()
        await last(alice, events.Registered)
        await talk(alice, f"sip:bob@{bob.address}", bob)
        assert (await last(alice, events.Registered)).status == 403
        await asyncio.sleep(1)  # time enough for what must not happen
        for softphone in (alice, bob):
            while not softphone.events.empty():
                assert isinstance(softphone.events.get_nowait(), events.Quality)


async def test_without_a_registrar_there_is_no_registration(phone):
    alice = await phone("alice")
    with pytest.raises(PhoneError, match="no registrar"):
        await alice.register()


# ------------------------------------------------------------------ deaths


async def test_a_killed_child_is_told_of_and_replaced(phone):
    async with SipServer(lambda _request: [("200 OK", ())]) as adapter_:
        alice = await phone("alice", registrar=adapter_.name)
        await alice.register()
        await last(alice, events.Registered)
        os.kill(alice.pid, signal.SIGKILL)
        died = await last(alice, events.ChildDied)
        assert "SIGKILL" in died.reason
        assert not died.in_call
        with pytest.raises(PhoneError, match="not running"):
            await alice.call("sip:bob@127.0.0.1:5060")
        await alice.restart()
        await last(alice, events.Registered)
        bob = await phone("bob", auto_answer=True)
        await talk(alice, f"sip:bob@{bob.address}", bob)


async def test_a_child_that_is_killed_with_a_command_unread_is_still_said_to_be_killed(phone):
    alice = await phone("alice")
    os.kill(alice.pid, signal.SIGSTOP)
    asking = asyncio.create_task(alice.hangup())
    await asyncio.sleep(0)  # the command is written
    os.kill(alice.pid, signal.SIGKILL)
    died = await last(alice, events.ChildDied)
    assert died.reason == "the phone's process was ended by SIGKILL"
    with pytest.raises(PhoneError, match="SIGKILL"):
        await asking


@pytest.mark.audio
async def test_ten_seconds_without_sound_end_the_call(phone, tmp_path):
    alice = await phone("alice", play=ALICE, record=tmp_path / "at_alice.wav")
    bob = await phone("bob", play=BOB, auto_answer=True)
    await talk(alice, f"sip:bob@{bob.address}", bob)
    await asyncio.sleep(4)  # the length of the talk
    os.kill(bob.pid, signal.SIGKILL)
    died = await last(bob, events.ChildDied)
    assert died.in_call
    seen = [event for event in await until(alice, events.Ended) if not isinstance(event, events.Quality)]
    assert kinds(seen) == ["AudioLost", "Ended"]
    assert seen[-1].cause == "no sound"
    assert seen[-1].reason == "no sound from the other side for 10 s"
    assert 9.0 <= seen[-1].at - died.at < 14.0
    assert seen[-1].packets_received > 100


PARENT = """
import asyncio, sys
from adapter.softphone.phone import Softphone
async def main():
    phone = Softphone()
    await phone.start(host="127.0.0.1", user="alice")
    await phone.call(sys.argv[1])
    print(phone.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def gone(pid):
    """Wait until the process, no child of ours, is no more."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            select.select([handle], [], [])
        finally:
            os.close(handle)


async def test_a_killed_parent_leaves_no_call_and_no_child(phone):
    bob = await phone("bob", auto_answer=True)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, f"sip:bob@{bob.address}", stdout=asyncio.subprocess.PIPE
    )
    child = int(await parent.stdout.readline())
    await last(bob, events.Established)
    parent.kill()
    await parent.wait()
    ended = await last(bob, events.Ended)
    assert ended.cause == "hung up there"
    async with asyncio.timeout(5):
        await asyncio.to_thread(gone, child)


async def test_closing_the_phone_in_a_call_hangs_up_and_completes_the_recording(phone, tmp_path):
    alice = await phone("alice", record=tmp_path / "at_alice.wav")
    bob = await phone("bob", play=BOB, auto_answer=True)
    await talk(alice, f"sip:bob@{bob.address}", bob)
    await asyncio.sleep(1)  # the length of the talk
    await alice.close()
    ended = await last(alice, events.Ended)
    assert (ended.cause, ended.reason) == ("hung up here", "the phone was closed")
    assert (tmp_path / "at_alice.wav").stat().st_size > 16_000
    assert (await last(bob, events.Ended)).cause == "hung up there"
    assert not alice.is_running


async def test_a_phone_that_cannot_bind_says_so():
    async with Softphone() as alice:
        with pytest.raises(PhoneError, match="cannot open"):
            await alice.start(host="192.0.2.1", user="alice")
