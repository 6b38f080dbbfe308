"""Calls over TLS and SRTP between real PJSIP processes: to the certificate that was named, or not at all."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE

import pytest

from adapter.softphone import events
from adapter.softphone.audio import GOOD_MEDIAN, compare
from tests.integration.softphone_sip import SipServer
from tests.integration.test_softphone_call import ALICE, BOB, TOKEN, kinds, last, phone, until

__all__ = ["phone"]


def secure(bob, fingerprint=None):
    """What an adapter that knows bob's phone writes into the Contact of a 302."""
    return f"<sip:bob@{bob.tls};transport=tls{TOKEN}>;secp2psip-fp={fingerprint or bob.fingerprint}"


def redirecting(contact):
    """An adapter that redirects to one Contact."""

    def behaviour(request):
        if request.startswith("INVITE "):
            return [("302 Moved Temporarily", (f"Contact: {contact}",))]
        return [("200 OK", ())]

    return SipServer(behaviour)


@pytest.mark.audio
async def test_a_302_with_a_certificate_leads_to_an_encrypted_call(phone, tmp_path):
    bob = await phone("bob", play=BOB, record=tmp_path / "at_bob.wav", auto_answer=True)
    async with redirecting(secure(bob)) as adapter_:
        alice = await phone("alice", registrar=adapter_.name, play=ALICE, record=tmp_path / "at_alice.wav")
        await alice.call(f"sip:bob@{adapter_.name}")
        seen = await until(alice, events.Established)
        rung = await last(bob, events.Incoming)
        there = await last(bob, events.Established)
        assert adapter_.methods() == ["INVITE", "ACK"]
    await asyncio.sleep(5)  # the length of the talk
    await alice.hangup()
    ended, other = await last(alice, events.Ended), await last(bob, events.Ended)

    assert kinds(seen)[0] == "Redirected"
    assert seen[0].fingerprint == bob.fingerprint
    assert seen[-1].encrypted
    assert there.encrypted
    assert rung.fingerprint == alice.fingerprint
    assert TOKEN in rung.request_uri
    assert (ended.cause, other.cause) == ("hung up here", "hung up there")
    assert compare(ALICE, tmp_path / "at_bob.wav").median >= GOOD_MEDIAN
    assert compare(BOB, tmp_path / "at_alice.wav").median >= GOOD_MEDIAN


async def test_a_phone_with_another_certificate_gets_no_invite(phone):
    bob, mallory = await phone("bob"), await phone("bob", auto_answer=True)
    # at bob's address, as the 302 has it, sits somebody else
    async with redirecting(secure(mallory, bob.fingerprint)) as adapter_:
        alice = await phone("alice", registrar=adapter_.name)
        await alice.call(f"sip:bob@{adapter_.name}")
        redirected = await last(alice, events.Redirected)
        ended = await last_of(alice)
    assert redirected.fingerprint == bob.fingerprint
    assert (ended.cause, ended.established) == ("not verified", False)
    await mallory.hangup()  # its answer comes after whatever had come in before
    assert mallory.events.empty()


async def test_where_encryption_is_required_a_plain_contact_is_not_called(phone):
    bob = await phone("bob", auto_answer=True)
    async with redirecting(f"<sip:bob@{bob.address}{TOKEN}>") as adapter_:
        alice = await phone("alice", registrar=adapter_.name, require_encryption=True)
        await alice.call(f"sip:bob@{adapter_.name}")
        ended = await last_of(alice)
    assert (ended.cause, ended.reason) == ("not encrypted", "the other phone cannot encrypt")


async def test_where_encryption_is_required_a_plain_call_is_refused_with_488(phone):
    bob = await phone("bob", require_encryption=True, auto_answer=True)
    alice = await phone("alice", encrypt=False)
    await alice.call(f"sip:bob@{bob.address}")
    ended = await last_of(alice)
    assert ended.status == 488
    assert bob.events.empty()


async def test_a_plain_phone_does_not_follow_to_tls(phone):
    bob = await phone("bob")
    async with redirecting(secure(bob)) as adapter_:
        alice = await phone("alice", registrar=adapter_.name, encrypt=False)
        assert (alice.tls, alice.fingerprint) == ("", "")
        await alice.call(f"sip:bob@{adapter_.name}")
        ended = await last_of(alice)
    assert (ended.cause, ended.reason) == ("redirect refused", "the other phone wants encryption, which is off here")


async def test_the_callee_hangs_up_an_encrypted_call_too(phone):
    bob = await phone("bob", auto_answer=True)
    async with redirecting(secure(bob)) as adapter_:
        alice = await phone("alice", registrar=adapter_.name)
        await alice.call(f"sip:bob@{adapter_.name}")
        await until(alice, events.Established)
    await bob.close()  # and is gone right after
    assert (await last_of(alice)).cause == "hung up there"


@pytest.mark.audio
@pytest.mark.parametrize("kind", ["plain", "encrypted"])
async def test_who_sees_every_packet_hears_a_plain_call_and_nothing_of_an_encrypted_one(kind):
    """The plain call shows that the tap works."""
    argv = ("unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", "tests.support.wiretap", kind)
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    if b"unshare failed" in err:
        pytest.skip("this kernel lets nobody make a network of his own (user namespaces)")
    assert process.returncode == 0, err.decode()
    seen = json.loads(out)
    assert seen["encrypted"] is (kind == "encrypted")
    assert seen["heard_at_bob"] >= GOOD_MEDIAN
    assert seen["rtp_streams"] == 2
    assert seen["rtp_bytes"] > 30_000
    assert seen["keys_on_the_wire"] == 0
    if kind == "plain":
        assert min(seen["heard_on_the_wire"]) >= GOOD_MEDIAN
    else:
        assert max(seen["heard_on_the_wire"]) < 0.3
        assert seen["descriptions_on_the_wire"] == 1  # the INVITE to the adapter, which offers plain RTP and no key


async def last_of(softphone):
    """Take events until the call is over."""
    async with asyncio.timeout(20):
        while not isinstance(event := await softphone.events.get(), events.Ended):
            assert not isinstance(event, events.Established)
        return event


@pytest.mark.audio
async def test_with_srtp_a_phone_that_announces_nothing_is_called_in_encrypted_sound(phone, tmp_path):
    bob = await phone("bob", encrypt=False, srtp=True, play=BOB, record=tmp_path / "at_bob.wav", auto_answer=True)
    async with redirecting(f"<sip:bob@{bob.address}{TOKEN}>") as adapter_:
        options = {"registrar": adapter_.name, "record": tmp_path / "at_alice.wav"}
        alice = await phone("alice", srtp=True, play=ALICE, **options)
        await alice.call(f"sip:bob@{adapter_.name}")
        here, there = (await until(alice, events.Established))[-1], await last(bob, events.Established)
        assert "a=crypto:" in adapter_.requests[0]
        assert "RTP/SAVP" in adapter_.requests[0]
    await asyncio.sleep(5)  # the length of the talk
    await alice.hangup()
    await last(alice, events.Ended)
    await last(bob, events.Ended)
    assert [(one.encrypted, one.srtp) for one in (here, there)] == [(False, True)] * 2
    assert compare(ALICE, tmp_path / "at_bob.wav").median >= GOOD_MEDIAN
    assert compare(BOB, tmp_path / "at_alice.wav").median >= GOOD_MEDIAN


@pytest.mark.parametrize(("caller", "callee"), [(True, False), (False, True)])
async def test_a_phone_that_wants_srtp_and_one_that_does_not_have_no_call(phone, caller, callee):
    bob = await phone("bob", encrypt=False, srtp=callee, auto_answer=True)
    alice = await phone("alice", encrypt=False, srtp=caller)
    await alice.call(f"sip:bob@{bob.address}")
    ended = await last_of(alice)
    assert (ended.status, ended.established) == (488, False)


async def test_with_srtp_two_built_in_phones_still_verify_each_other(phone):
    bob = await phone("bob", srtp=True, auto_answer=True)
    async with redirecting(secure(bob)) as adapter_:
        alice = await phone("alice", srtp=True, registrar=adapter_.name)
        await alice.call(f"sip:bob@{adapter_.name}")
        seen = await until(alice, events.Established)
    assert (seen[-1].encrypted, seen[-1].srtp) == (True, True)
    await alice.hangup()
