"""Servers that are no bootstrap server, or a lying one: the adapter's side says what is wrong and never hangs."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from adapter.enrolment import EnrolmentFailed, EnrolmentRefused, ServerBusy
from bootstrap.keys import ServerKeys
from overlay.trust.identity import PrivateBundle
from overlay.trust.records import DealingCertificate
from overlay.wire.codec import MAX_LINE_BYTES, line_digest
from overlay.wire.envelope import seal_challenge, seal_error
from overlay.wire.messages import Challenge, Error
from tests.integration.bootstrap_support import HOST, Registrant

NONCE = bytes(range(16))


@asynccontextmanager
async def impostor(*lines, stays=False):
    """Give the address of a server that says these lines, one after each line it hears, and then hangs up.

    What is no line is called with the one that was heard, and returns one.
    """
    over = asyncio.Event()

    async def talk(reader, writer):
        heard = b""
        for number, line in enumerate(lines):
            if number:
                heard = await reader.readline()
            writer.write(line(heard) if callable(line) else line)
        if stays:
            await over.wait()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, HOST, 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        over.set()
        server.close()


def challenge(keys, *, signer=None, expires_in=86_400, overlay="lan"):
    now = int(time.time())
    certificate = DealingCertificate.issue(
        signer or keys.overlay,
        overlay=overlay,
        dealing_public=keys.dealing.public,
        k=3,
        n=7,
        expires_at=now + expires_in,
    )
    said = Challenge(
        overlay="lan",
        bundle=keys.overlay.public.encode(),
        dealing=certificate.encode(),
        nonce=NONCE,
        time=now,
    )
    return seal_challenge(said, keys.overlay)


async def failure(address, **more):
    with pytest.raises(EnrolmentFailed) as caught:
        await Registrant(aor="alice").enrol(address, **more)
    return caught.value


@pytest.mark.parametrize(
    "line", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\n", b"\x00\x01\n", b"SECP2PSIP/1.0 CHALLENGE AAAA\r\n", b"A" * 70_000]
)
async def test_other_services_are_no_bootstrap_server(line):
    async with impostor(line) as address:
        assert "does not hold" in str(await failure(address))


async def test_line_without_end_is_not_read_for_ever():
    async with impostor(b"A" * (4 * MAX_LINE_BYTES), stays=True) as address:
        assert str(MAX_LINE_BYTES) in str(await failure(address))


async def test_silent_server_runs_out_of_time():
    async with impostor(stays=True) as address:
        assert "did not answer" in str(await failure(address, timeout_s=0.2))
        assert "did not answer within 0.3 s" in str(await failure(address, challenge_s=0.3))


async def test_server_that_hangs_up():
    async with impostor() as address:
        assert "closed the connection" in str(await failure(address))


async def test_certificate_by_another_key_is_refused_before_anything_is_sent():
    keys, heard = ServerKeys.generate(), asyncio.get_running_loop().create_future()

    async def talk(reader, writer):
        writer.write(challenge(keys, signer=PrivateBundle.generate()))
        heard.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_server(talk, HOST, 0)
    assert "not signed by the overlay key" in str(await failure(server.sockets[0].getsockname()))
    assert await heard == b""
    server.close()


async def test_expired_certificate_is_refused():
    async with impostor(challenge(ServerKeys.generate(), expires_in=-1)) as address:
        assert "expired" in str(await failure(address))


def error_about(code, reason, signer):
    """Refuse the REGISTER that was heard."""
    return lambda heard: seal_error(Error(code=code, reason=reason, about=line_digest(heard)), signer)


async def test_refusal_by_another_key_is_not_believed():
    keys = ServerKeys.generate()
    for signer in (PrivateBundle.generate(), None):
        async with impostor(challenge(keys), error_about("taken", "not so", signer)) as address:
            assert "does not hold" in str(await failure(address))


async def test_refusal_of_another_request_is_not_believed():
    keys = ServerKeys.generate()
    for about in (b"", bytes(16), NONCE):
        error = Error(code="taken", reason="not so", about=about)
        async with impostor(challenge(keys), seal_error(error, keys.overlay)) as address:
            assert "refusal of something else" in str(await failure(address))


async def test_true_refusal_is_believed():
    keys = ServerKeys.generate()
    async with impostor(challenge(keys), error_about("policy", "not today", keys.overlay)) as address:
        with pytest.raises(EnrolmentRefused, match="not today") as caught:
            await Registrant(aor="alice").enrol(address)
    assert caught.value.code == "policy"


async def test_server_that_is_always_busy_ends_with_its_reason():
    async with impostor(seal_error(Error(code="busy", reason="too many"), None)) as address:
        with pytest.raises(ServerBusy, match="too many"):
            await Registrant(aor="alice").enrol(address, timeout_s=0.5)
