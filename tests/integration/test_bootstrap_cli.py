"""The command secp2psip-bootstrap as a process of its own: what it prints, how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from tests.integration.bootstrap_support import Registrant


def argv(*flags):
    return [sys.executable, "-m", "bootstrap.cli", *map(str, flags)]


@asynccontextmanager
async def running(tmp_path, *flags):
    """Give a started server and its ready event."""
    process = await asyncio.create_subprocess_exec(
        *argv("--listen", "127.0.0.1:0", "--data", tmp_path / "data", "--json", "--no-announce", *flags),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ran(*flags):
    process = await asyncio.create_subprocess_exec(
        *argv(*flags), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def address(ready):
    return ready["host"], ready["port"]


async def test_json_says_ready_registered_and_stopped(tmp_path):
    async with running(tmp_path) as (process, ready):
        assert ready["event"] == "ready"
        assert ready["host"] == "127.0.0.1"
        enrolment = await Registrant(aor="alice").enrol(address(ready))
        assert enrolment.overlay_bundle.thumbprint().hex() == ready["fingerprint"]
        registered = json.loads(await process.stdout.readline())
        assert (registered["event"], registered["aor"]) == ("registered", "alice")
        assert len(registered["holders"]) == 7
        process.send_signal(signal.SIGTERM)
        rest = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
        assert rest[-1]["event"] == "stopped"
        assert await process.wait() == 0


async def test_sigint_ends_with_0(tmp_path):
    async with running(tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_trace_shows_every_step_in_order(tmp_path):
    async with running(tmp_path, "--trace") as (process, ready):
        await Registrant(aor="alice").enrol(address(ready))
        process.send_signal(signal.SIGTERM)
        events = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
        steps = [event for event in events if event["event"] == "step"]
        assert [step["step"] for step in steps] == [
            "CHALLENGE",
            "SECP2PSIP REGISTER",
            "STORED",
            "SECP2PSIP REGISTERED",
        ]
        times = [step["at_ms"] for step in steps]
        assert times == sorted(times)


async def test_names_survive_sigkill_and_are_listed(tmp_path):
    alice = Registrant(aor="alice")
    async with running(tmp_path) as (process, ready):
        await alice.enrol(address(ready))
        process.kill()
        await process.wait()
    code, out, _ = await ran("names", "list", "--json", "--data", tmp_path / "data")
    assert code == 0
    assert [json.loads(line)["aor"] for line in out.splitlines()] == ["alice"]
    code, out, _ = await ran("--data", tmp_path / "data", "names", "list")
    assert code == 0
    assert "alice" in out
    async with running(tmp_path) as (_, ready):
        await alice.enrol(address(ready))


async def test_names_are_listed_while_the_server_runs(tmp_path):
    async with running(tmp_path) as (_, ready):
        await Registrant(aor="alice").enrol(address(ready))
        code, out, _ = await ran("names", "list", "--json", "--data", tmp_path / "data")
        assert (code, json.loads(out)["aor"]) == (0, "alice")


@pytest.mark.parametrize(("k", "n"), [(3, 5), (4, 9), (1, 7), (3, 26)])
async def test_threshold_that_does_not_hold_is_refused_with_the_reason(tmp_path, k, n):
    code, out, err = await ran("--threshold", k, "--pieces", n, "--data", tmp_path / "data")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert str(n) in err or str(k) in err
    assert not (tmp_path / "data").exists()


async def test_another_threshold_for_the_same_data_is_refused(tmp_path):
    async with running(tmp_path) as (process, _):
        process.send_signal(signal.SIGTERM)
        await process.wait()
    code, _, err = await ran("--threshold", 4, "--pieces", 10, "--data", tmp_path / "data", "--listen", "127.0.0.1:0")
    assert code == 2
    assert "k=3 of n=7" in err


async def test_second_server_on_the_same_data_is_refused(tmp_path):
    async with running(tmp_path):
        code, _, err = await ran("--data", tmp_path / "data", "--listen", "127.0.0.1:0")
        assert code == 2
        assert "another bootstrap server" in err


async def test_taken_port_is_one_sentence(tmp_path):
    async with running(tmp_path) as (_, ready):
        code, _, err = await ran("--data", tmp_path / "other", "--listen", f"127.0.0.1:{ready['port']}")
        assert code == 1
        assert err.count("\n") == 2
        assert "address already in use" in err


async def test_help_has_an_example():
    code, out, _ = await ran("--help")
    assert code == 0
    assert "examples:" in out
