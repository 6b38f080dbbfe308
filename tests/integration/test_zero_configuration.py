"""A bootstrap server is found by its announcement, on loopback: multicast DNS between real sockets of this host."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from zeroconf import DNSOutgoing
from zeroconf._dns import DNSText
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
from zeroconf.const import _CLASS_IN, _CLASS_UNIQUE, _FLAGS_AA, _FLAGS_QR_RESPONSE, _TYPE_TXT

from adapter.config import Settings
from adapter.discovery import find_bootstrap, interface_of
from adapter.keystore import load_or_create
from adapter.problems import Problem
from adapter.state import StateDir
from adapter.way_in import find_way_in, known_keys
from bootstrap.announce import Announcer, announce
from overlay.errors import LocalError
from overlay.ring.addresses import ipv6_interface_addresses, is_own_address, socket_address
from overlay.wire.announcement import SERVICE_TYPE, Announcement
from tests.unit.shell.enrolments import enrol

HOST = "127.0.0.1"
SIX = ["::1", *(host for _, host in ipv6_interface_addresses())]
"""The last of them is of one link alone, where this host has such."""


def an_overlay():
    """Return a name that no other test on this host announces."""
    return f"test-{secrets.token_hex(6)}"


def server(overlay, port=5480):
    return Announcement(overlay=overlay, key=secrets.token_bytes(16), host=HOST, port=port)


def settings(tmp_path, **more):
    return Settings(state_dir=tmp_path, sip=(HOST, 0), **more)


@pytest.mark.skipif(not is_own_address("::1"), reason="this host has no IPv6")
@pytest.mark.parametrize("host", SIX)
async def test_an_ipv6_server_is_found_at_its_own_interface_and_at_all(host):
    here = Announcement(overlay=an_overlay(), key=secrets.token_bytes(16), host=host, port=5480)
    async with Announcer(here):
        for where in (interface_of((host, 0)), ()):
            heard = await find_bootstrap(overlay=here.overlay, interfaces=where)
            assert socket_address((heard.host, 5480)) == socket_address((host, 5480))
            assert heard.key == here.key


async def found(overlay, pins=()):
    return await find_bootstrap(overlay=overlay, pins=pins, interfaces=[HOST])


async def test_it_is_found_and_forgotten_when_it_leaves():
    here = server(an_overlay())
    async with Announcer(here):
        assert await found(here.overlay) == here
        assert await found(here.overlay, {here.key}) == here
    with pytest.raises(Problem, match=f"no bootstrap server of overlay {here.overlay}"):
        await found(here.overlay)


async def test_two_keys_for_one_name_stop_it():
    one = server(an_overlay())
    other = server(one.overlay, 5481)
    async with Announcer(one), Announcer(other):
        with pytest.raises(Problem, match="2 different servers") as caught:
            await found(one.overlay)
        assert one.key.hex() in caught.value.text
        assert other.key.hex() in caught.value.text
        assert await found(one.overlay, {other.key}) == other


async def test_an_answer_in_the_name_of_the_same_service_does_not_hide_the_first():
    real = server(an_overlay())
    name = f"{real.label}.{SERVICE_TYPE}"
    false = server(real.overlay)
    text = AsyncServiceInfo(SERVICE_TYPE, name, properties=false.properties()).text
    async with Announcer(real):
        evil = AsyncZeroconf(interfaces=[HOST])
        looking = asyncio.create_task(found(real.overlay))
        try:
            while not looking.done():
                packet = DNSOutgoing(_FLAGS_QR_RESPONSE | _FLAGS_AA)
                packet.add_answer_at_time(DNSText(name, _TYPE_TXT, _CLASS_IN | _CLASS_UNIQUE, 120, text), 0)
                evil.zeroconf.async_send(packet)
                await asyncio.wait({looking}, timeout=0.2)
        finally:
            await evil.async_close()
        with pytest.raises(Problem, match="2 different servers"):
            await looking


async def test_nonsense_of_others_is_passed_over():
    here = server(an_overlay())
    bad = AsyncServiceInfo(
        SERVICE_TYPE,
        f"secp2psip-{secrets.token_hex(4)}.{SERVICE_TYPE}",
        port=1,
        properties={"v": "1", "overlay": here.overlay, "key": "\x1b[2J"},
        server=f"{secrets.token_hex(4)}.local.",
        parsed_addresses=["224.0.0.1"],
    )
    async with Announcer(here):
        evil = AsyncZeroconf(interfaces=[HOST])
        try:
            await (await evil.async_register_service(bad))
            assert await found(here.overlay) == here
        finally:
            await evil.async_close()


async def test_the_found_key_is_the_only_one_trusted_from_then_on(tmp_path):
    here = server(an_overlay())
    shown = []
    async with Announcer(here):
        way = await find_way_in(settings(tmp_path, overlay=here.overlay), ("alice",), shown.append)
    assert (way.bootstrap, way.overlay_key) == ((HOST, 5480), here.key)
    assert shown == [
        {
            "event": "discovered",
            "overlay": here.overlay,
            "bootstrap": f"{HOST}:5480",
            "fingerprint": here.key.hex(),
            "known": False,
        }
    ]


async def test_an_earlier_registration_pins_the_key_for_the_next_user(tmp_path):
    with StateDir(tmp_path) as state:
        state.save_enrolment("bob", enrol("bob", load_or_create(state.path, "bob")))
        pins = known_keys(Settings(state_dir=tmp_path), state)
    other = server(an_overlay())
    async with Announcer(other):
        with pytest.raises(
            Problem, match="alice is not registered yet, and no bootstrap server here has the known key"
        ):
            await find_way_in(settings(tmp_path, overlay=other.overlay), ("alice",), pytest.fail)
        known = Announcement(overlay=other.overlay, key=next(iter(pins)), host=HOST, port=5481)
        async with Announcer(known):
            shown = []
            way = await find_way_in(settings(tmp_path, overlay=other.overlay), ("alice",), shown.append)
    assert way.bootstrap == (HOST, 5481)
    assert shown[0]["known"] is True


async def test_who_is_registered_or_was_told_asks_nobody(tmp_path):
    with StateDir(tmp_path) as state:
        state.save_enrolment("bob", enrol("bob", load_or_create(state.path, "bob")))
    registered = settings(tmp_path)
    assert await find_way_in(registered, ("bob",), pytest.fail) is registered
    told = settings(tmp_path, bootstrap=(HOST, 5480))
    assert await find_way_in(told, ("alice",), pytest.fail) is told


async def test_a_server_that_cannot_be_announced_says_what_to_type_instead():
    said = []
    key = bytes(16)
    assert await announce(("2001:db8::7", 5480), overlay="office", key=key, report=said.append) is None
    # no address of this host [RFC 5737] [RFC 3849]
    assert await announce(("203.0.113.7", 5480), overlay="office", key=key, report=said.append) is None
    assert [event["event"] for event in said] == ["warning", "warning"]
    assert "--bootstrap [2001:db8::7]:5480" in said[0]["text"]
    assert "--bootstrap 203.0.113.7:5480" in said[1]["text"]
    with pytest.raises(LocalError):
        await Announcer(Announcement(overlay="office", key=key, host="203.0.113.7", port=5480)).open()
