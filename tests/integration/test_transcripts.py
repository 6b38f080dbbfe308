"""The command line as a user meets it: every command's help, its good way, and what it says of wrong use.

The sessions are in tests/transcripts/; how they are written is in tests/support/transcripts.py.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapter.cli import COMMANDS
from adapter.problems import EXIT_MEANINGS
from adapter.softphone.soundserver import list_devices
from bootstrap.cli import _parser
from tests.interop.sound import SoundServer
from tests.support.programs import Program, command
from tests.support.scene import scene
from tests.support.transcripts import all_transcripts, replay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.cast import Cast

TRANSCRIPTS = all_transcripts()
SESSIONS = [session for transcript in TRANSCRIPTS for session in transcript.sessions]
WRONG_USES = 3


def commands_of(parser: argparse.ArgumentParser) -> list[tuple[str, ...]]:
    """Return the words of every command below a parser; its own, which is to run without one, is ()."""
    found: list[tuple[str, ...]] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found += [(name, *rest) for rest in commands_of(below)]
            if not action.required:
                found.append(())
    return found or [()]


EVERY_COMMAND = [
    *(("secp2psip", name) for name in COMMANDS),
    *(("secp2psip-bootstrap", *words) for words in commands_of(_parser())),
]


def sessions_of(wanted: tuple[str, ...]) -> list:
    """Return the sessions in which a command is used; the bootstrap server itself is what has no command."""
    if wanted == ("secp2psip-bootstrap",):
        others = {words[1] for words in EVERY_COMMAND if words[0] == wanted[0] and len(words) > 1}
        return [one for one in SESSIONS if one.words[0] == wanted[0] and not others & set(one.words)]
    return [one for one in SESSIONS if tuple(one.words[: len(wanted)]) == wanted]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    """Give the ring of this module: alice and bob, whose phone answers, and carol, who takes no calls."""
    async with scene("alice", "bob", registered=False) as cast:
        await cast.start_adapter("carol", "--accept", "nobody")
        await cast.register("carol")
        words = ["listen", "--state", cast.state("bob"), "--auto-answer", "--mic", "none", "--speaker", "none"]
        bob = await Program.start("phone bob", [command("secp2psip"), *words, "--json"], folder=cast.folder)
        cast.phones.append(bob)
        await bob.expect(lambda event: event["event"] == "listening", within_s=20, what="listening")
        await cast.register("alice")
        yield cast


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sound(tmp_path_factory) -> AsyncIterator[dict[str, str]]:
    """Give the variables that lead to a sound server of our own."""
    missing = [program for program in ("pulseaudio", "pactl") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (make interop-setup)")
    folder = tmp_path_factory.mktemp("sound") / "pulse"
    server = SoundServer(folder)
    await server.start()
    env = {"PULSE_SERVER": f"unix:{server.socket}", "XDG_RUNTIME_DIR": str(folder)}
    try:
        with pytest.MonkeyPatch.context() as patch:
            for key, value in env.items():
                patch.setenv(key, value)
            async with asyncio.timeout(15):
                while not (await list_devices()).speakers:  # noqa: ASYNC110 -- another program's doing
                    await asyncio.sleep(0.1)
        yield env
    finally:
        await server.stop()


def those(*orders: str):
    """Let a test run for each transcript with these orders."""
    found = [one for one in TRANSCRIPTS if one.orders == set(orders)]
    return pytest.mark.parametrize("transcript", found, ids=lambda one: one.path.stem)


@those()
async def test_a_transcript_of_one_device_alone(transcript, tmp_path):
    await replay(transcript, home=tmp_path, places={}, env={})


@those("ring")
@pytest.mark.asyncio(loop_scope="module")
async def test_a_transcript_of_the_shared_ring(transcript, tmp_path, ring: Cast):
    places = {user.upper(): ring.state(user) for user in ring.adapters}
    places |= {
        "VIA": "{}:{}".format(*ring.sip["alice"]),
        "BOOTSTRAP": ring.bootstrap_address,
        "DATA": str(ring.folder / "bootstrap"),
    }
    await replay(transcript, home=tmp_path, places=places, env={})


@those("sound")
@pytest.mark.asyncio(loop_scope="module")
async def test_a_transcript_with_a_sound_server(transcript, tmp_path, sound):
    await replay(transcript, home=tmp_path, places={}, env=sound)


@pytest.mark.parametrize("words", EVERY_COMMAND, ids="-".join)
def test_every_command_has_its_help_its_good_way_and_its_wrong_uses(words):
    found = sessions_of(words)
    assert any(one.words == [*words, "--help"] and one.code == 0 for one in found), "no help"
    assert any(one.code in {0, 130} and "--help" not in one.words and not one.err for one in found), "no good way"
    wrong = {one.command for one in found if one.code not in {0, 130} and one.err}
    assert len(wrong) >= WRONG_USES, f"{len(wrong)} wrong uses"


@pytest.mark.parametrize("session", [one for one in SESSIONS if one.err], ids=lambda one: one.command)
def test_every_wrong_use_is_one_error_and_one_hint(session):
    assert [line.split(":")[0] for line in session.err] == ["error", "hint"]
    assert session.code in set(EXIT_MEANINGS) - {0}


def test_every_exit_code_is_seen():
    assert {one.code for one in SESSIONS} == set(EXIT_MEANINGS)
