"""`secp2psip doctor` beside a running adapter, and where there is none and the port is taken."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cast import Cast, is_event
from tests.support.programs import Program, command
from tests.support.scene import scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

END_S = 20
SOUND = {"sound", "microphone", "speaker", "echo"}


@pytest.fixture
async def cast() -> AsyncIterator[Cast]:
    async with scene("alice") as made:
        yield made


async def doctor(cast: Cast, *words: str) -> tuple[int | None, dict[str, dict[str, Any]]]:
    """Run it to its end; the exit code, and its findings by what was looked at."""
    program = await Program.start("doctor", [command("secp2psip"), "doctor", "--json", *words], folder=cast.folder)
    try:
        code = await program.wait(END_S)
        return code, {event["check"]: event for event in filter(is_event("finding"), program.events)}
    finally:
        await program.stop()


async def test_an_adapter_that_runs_is_looked_at_with_its_ring_and_phones(cast: Cast):
    code, found = await doctor(cast, "--state", cast.state("alice"), "--bootstrap", cast.bootstrap_address)
    assert code == 0
    assert set(found) - SOUND == {"kernel", "adapter", "address", "bootstrap", "clock", "ring", "alice"}
    assert set(found) & SOUND  # whatever this machine has
    for check in ("kernel", "adapter", "bootstrap", "clock", "alice"):
        assert found[check]["level"] == "good", found[check]
    assert "overlay demo" in found["bootstrap"]["text"]
    assert found["clock"]["text"].endswith("s from the bootstrap server's")
    assert found["address"]["level"] == "doubtful"  # 127.0.0.1
    assert "2 nodes for 7 pieces" in found["ring"]["text"]


async def test_who_is_registered_needs_no_bootstrap_server(cast: Cast):
    _, found = await doctor(cast, "--state", cast.state("alice"))
    assert found["bootstrap"]["text"].startswith("not needed: alice is registered")


async def test_a_taken_port_and_another_key_are_bad_and_nothing_is_started(cast: Cast):
    fresh = cast.folder / "fresh"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        options = ("--bootstrap", cast.bootstrap_address, "--overlay-key", "00" * 16)
        code, found = await doctor(cast, "--state", str(fresh), "--sip", f"127.0.0.1:{port}", *options)
    assert code == 1
    assert (found["port"]["level"], found["bootstrap"]["level"]) == ("bad", "bad")
    assert f"cannot listen on 127.0.0.1:{port} (UDP: " in found["port"]["text"]
    assert "not the known" in found["bootstrap"]["text"]
    assert found["adapter"]["level"] == "doubtful"
    assert not fresh.exists()
