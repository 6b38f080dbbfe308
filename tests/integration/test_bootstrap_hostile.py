"""Clients that lie, stall, flood or repeat, against a real server: one clear refusal each, and it goes on serving."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bootstrap.door import MAX_CONNECTIONS_PER_SOURCE
from overlay.trust.identity import KeyBundle
from overlay.wire.codec import MAX_LINE_BYTES, decode_line, encode_line, line_digest
from overlay.wire.envelope import open_challenge, open_error, seal_register, verify_error
from overlay.wire.messages import Register
from tests.integration.bootstrap_support import Registrant, serving


@asynccontextmanager
async def connected(watched):
    reader, writer = await asyncio.open_connection(*watched.server.address, limit=2 * MAX_LINE_BYTES)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def challenged(watched):
    """Give (reader, writer, challenge) of a fresh connection."""
    async with connected(watched) as (reader, writer):
        yield reader, writer, open_challenge(await reader.readline())


def line_of(registrant, challenge, *, nonce=None):
    server = KeyBundle.decode(challenge.bundle)
    request = Register.issue(
        registrant.node_key,
        aor=registrant.aor,
        bundle=registrant.user.public.encode(),
        record=registrant.record().encode(),
        nonce=nonce or challenge.nonce,
        bootstrap=server.thumbprint(),
        overlay=challenge.overlay,
    )
    return seal_register(request, registrant.user, server)


async def refusal(reader, challenge):
    """Read the signed ERROR of this connection and the end of it."""
    error = verify_error(await reader.readline(), KeyBundle.decode(challenge.bundle))
    assert await reader.read() == b""
    return error


async def still_serves(watched):
    await Registrant(aor="honest").enrol(watched.server.address)
    assert watched.of("registered")[-1]["aor"] == "honest"
    assert watched.of("fault") == []


async def test_every_connection_has_its_own_nonce(tmp_path):
    async with serving(tmp_path) as watched, AsyncExitStack() as stack:
        nonces = [(await stack.enter_async_context(challenged(watched)))[2].nonce for _ in range(4)]
        assert len(set(nonces)) == 4


async def test_replayed_register_is_refused_on_a_new_connection(tmp_path):
    async with serving(tmp_path) as watched:
        async with challenged(watched) as (reader, writer, challenge):
            overheard = line_of(Registrant(aor="alice"), challenge)
            writer.write(overheard)
            assert decode_line(await reader.readline()).method == "REGISTERED"
        async with challenged(watched) as (reader, writer, challenge):
            writer.write(overheard)
            error = await refusal(reader, challenge)
        assert error.about == line_digest(overheard)
        assert error.code == "unverified"
        assert "nonce" in error.reason
        assert len(watched.of("registered")) == 1


async def test_register_relayed_to_another_server_is_refused(tmp_path):
    async with serving(tmp_path / "a") as first, serving(tmp_path / "b") as second:
        async with challenged(first) as (_, _, asked), challenged(second) as (reader, writer, challenge):
            writer.write(line_of(Registrant(aor="alice"), asked))
            error = await refusal(reader, challenge)
        assert error.code == "bad"
        assert second.of("registered") == []


@pytest.mark.parametrize(
    "line",
    [
        b"\r\n",
        b"\x00\xff\x00\xff\n",
        b"GET / HTTP/1.1\r\n",
        b"SECP2PSIP/2.0 REGISTER AAAA\r\n",
        b"SECP2PSIP/1.0 REGISTER AAAA\n",
        b"SECP2PSIP/1.0 REGISTER AAAA.BBBB.CCCC.DDDD.EEEE\r\n",
        b"SECP2PSIP/1.0 INVITE AAAA.BBBB.CCCC.DDDD.EEEE\r\n",
        b"SECP2PSIP/1.0 ERROR AAAA\r\n",
        b"REGISTER sip:example.org SIP/2.0\r\n",
    ],
)
async def test_garbage_is_refused_with_a_reason(tmp_path, line):
    async with serving(tmp_path) as watched:
        async with challenged(watched) as (reader, writer, challenge):
            writer.write(line)
            error = await refusal(reader, challenge)
        assert error.code == "bad"
        assert error.reason
        await still_serves(watched)


async def test_changed_byte_anywhere_in_the_token_is_refused(tmp_path):
    async with serving(tmp_path) as watched:
        for place in (0.05, 0.3, 0.6, 0.95):
            async with challenged(watched) as (reader, writer, challenge):
                line = decode_line(line_of(Registrant(aor="alice"), challenge))
                at = int(len(line.token) * place)
                flipped = "A" if line.token[at] != "A" else "B"
                writer.write(encode_line("REGISTER", line.token[:at] + flipped + line.token[at + 1 :]))
                assert (await refusal(reader, challenge)).code == "bad"
        assert watched.of("registered") == []
        await still_serves(watched)


async def test_endless_line_is_cut_off_at_the_cap(tmp_path):
    async with serving(tmp_path) as watched:
        async with challenged(watched) as (reader, writer, challenge):
            writer.write(b"A" * (MAX_LINE_BYTES + 1))
            error = verify_error(await reader.readline(), KeyBundle.decode(challenge.bundle))
            assert str(MAX_LINE_BYTES) in error.reason
        await still_serves(watched)


async def test_line_without_an_end_is_refused(tmp_path):
    async with serving(tmp_path) as watched:
        async with challenged(watched) as (reader, writer, challenge):
            writer.write(b"SECP2PSIP/1.0 REGISTER")
            writer.write_eof()
            assert (await refusal(reader, challenge)).code == "bad"
        await still_serves(watched)


async def test_slow_client_runs_out_of_time(tmp_path):
    async with serving(tmp_path, step_timeout_s=0.2) as watched:
        async with challenged(watched) as (reader, writer, challenge):
            writer.write(b"SECP2PSIP/1.0 REG")
            error = await refusal(reader, challenge)
        assert "no REGISTER came" in error.reason
        await still_serves(watched)


async def test_ninth_connection_of_an_address_is_told_that_the_server_is_busy(tmp_path):
    async with serving(tmp_path) as watched:
        async with AsyncExitStack() as stack:
            for _ in range(MAX_CONNECTIONS_PER_SOURCE):
                await stack.enter_async_context(challenged(watched))
            async with connected(watched) as (reader, _):
                assert open_error(await reader.readline()).code == "busy"
                assert await reader.read() == b""
        await still_serves(watched)


async def test_enrolment_waits_for_a_busy_server(tmp_path):
    async with serving(tmp_path) as watched:
        stack = AsyncExitStack()
        for _ in range(MAX_CONNECTIONS_PER_SOURCE):
            await stack.enter_async_context(challenged(watched))
        alice = asyncio.create_task(Registrant(aor="alice").enrol(watched.server.address))
        assert (await watched.until("refused"))["code"] == "busy"
        await stack.aclose()
        await alice


async def test_clients_that_vanish_leave_nothing_behind(tmp_path):
    async with serving(tmp_path) as watched:
        for _ in range(2 * MAX_CONNECTIONS_PER_SOURCE):
            async with challenged(watched) as (_, writer, challenge):
                writer.write(line_of(Registrant(aor="ghost"), challenge)[:100])
                writer.transport.abort()
        await still_serves(watched)


async def test_random_bytes_never_hurt(tmp_path):
    async with serving(tmp_path, step_timeout_s=0.5) as watched:
        for size in (1, 16, 200, 5000):
            async with connected(watched) as (reader, writer):
                writer.write(os.urandom(size) + b"\n")
                await reader.readline()
                assert decode_line(await reader.readline()).method == "ERROR"
        await still_serves(watched)


async def test_close_does_not_wait_for_a_silent_client(tmp_path):
    async with AsyncExitStack() as stack:
        async with serving(tmp_path) as watched:
            reader, _, _ = await stack.enter_async_context(challenged(watched))
        assert watched.of("stopped")
        assert await reader.read() == b""
