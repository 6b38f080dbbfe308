"""Several users of one device, one ring node: it goes on with the credential that expires last, or opens nothing."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from adapter.keystore import load_or_create
from adapter.membership import Membership
from adapter.service_config import ServiceConfig
from adapter.state import StateDir
from overlay.ring.addresses import is_own_address
from overlay.ring.frames import decode_hello
from overlay.ring.ids import Peer, RingId
from overlay.trust.records import NodeCredential
from tests.integration.bootstrap_support import HOST, Registrant, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from overlay.ring.kademlia_ring import KademliaRing

USERS = ("alice", "bob")


async def enrolled(folder: Path, address: tuple[str, int]) -> StateDir:
    """Register both users of one device and write down what they got."""
    state = StateDir(folder)
    for user in USERS:
        keys = load_or_create(folder, user)
        one = await Registrant(aor=user, user=keys.user, node_key=keys.node).enrol(address)
        state.save_enrolment(user, one)
    return state


async def credential_shown_by(ring: KademliaRing) -> NodeCredential:
    """Return what a node shows to one whom it has not met, as that one gets it: in the hello that comes first."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((HOST, 0))
        stranger.settimeout(0)
        host, port = stranger.getsockname()
        asking = asyncio.create_task(ring.fetch_at(Peer(id=RingId(7), host=host, port=port), "alice"))
        try:
            async with asyncio.timeout(5):
                hello = await loop.sock_recv(stranger, 4096)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    return NodeCredential.decode(decode_hello(hello).credential)


@pytest.mark.parametrize("longest", USERS)
async def test_the_node_shows_the_credential_that_expires_last(tmp_path, longest):
    async with serving(tmp_path / "bootstrap") as watched:
        state = await enrolled(tmp_path / "device", watched.server.address)
        keys = {user: load_or_create(state.path, user) for user in USERS}
        last = state.load_enrolment(longest)
        for user in set(USERS) - {longest}:
            # the same enrolment with less to live: what a device has whose second user came a week later
            one = state.load_enrolment(user)
            sooner = replace(one.credential, expires_at=last.credential.expires_at - 86_400)
            state.save_enrolment(user, replace(one, credential=sooner))
        config = ServiceConfig(users=USERS, state_dir=state.path, bootstrap=None, sip=(HOST, 0), ring=(HOST, 0))
        membership = Membership(config, state, keys, on_line=lambda *_: None, warn=lambda *_: None)
        await membership.start()
        try:
            assert (await credential_shown_by(membership.ring)).expires_at == last.credential.expires_at
        finally:
            await membership.stop()


@pytest.mark.skipif(not is_own_address("::1"), reason="this host has no IPv6 loopback address")
async def test_where_the_second_ring_cannot_be_opened_the_first_is_closed_again(tmp_path):
    async with serving(tmp_path / "bootstrap") as watched:
        state = await enrolled(tmp_path / "device", watched.server.address)
        keys = {user: load_or_create(state.path, user) for user in USERS}
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken, free_port() as port:
            taken.bind(("::1", 0))
            config = ServiceConfig(
                users=USERS,
                state_dir=state.path,
                bootstrap=None,
                sip=(HOST, 0),
                ring=(HOST, port),
                other_ring=taken.getsockname()[:2],
            )
            membership = Membership(config, state, keys, on_line=lambda *_: None, warn=lambda *_: None)
            for _ in range(2):  # as often as somebody registers
                with pytest.raises(OSError, match="in use"):
                    await membership.start()
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                    again.bind((HOST, port))
            await membership.stop()


@contextmanager
def free_port() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    yield port
