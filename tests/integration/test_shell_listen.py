"""`secp2psip listen` and the adapter it leans on: calls go on without it, and it is found again when it returns."""

from __future__ import annotations

import asyncio
import signal
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapter.softphone.events import Ended, Established
from adapter.softphone.phone import Softphone
from tests.support.cast import HOST, Cast, is_event
from tests.support.programs import Program, command
from tests.support.scene import scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.audio
SPEECH = {name: Path(str(files("adapter.softphone") / "data" / f"{name}.wav")) for name in ("alice", "bob")}


@pytest.fixture
async def ring() -> AsyncIterator[Cast]:
    async with scene("alice", "bob") as cast:
        await cast.unregister("bob")
        yield cast


async def call_bob(ring: Cast, *, duration_s: float) -> Program:
    heard = ring.folder / f"alice-{len(ring.phones)}.wav"
    alice = await ring.call("bob", user="alice", play=SPEECH["alice"], record=heard, duration_s=duration_s)
    await alice.expect(is_event("established"), within_s=20, what="established")
    return alice


async def listen(ring: Cast, *words: str) -> Program:
    phone = await Program.start(
        "phone bob", [command("secp2psip"), "listen", "--state", ring.state("bob"), *words], folder=ring.folder
    )
    ring.phones.append(phone)
    await phone.expect(is_event("listening"), within_s=20, what="listening")
    return phone


async def test_a_call_outlives_bobs_adapter_and_the_phone_comes_back_to_it(ring: Cast):
    bob = await listen(ring, "--auto-answer", "--json")
    alice = await call_bob(ring, duration_s=3)
    await ring.adapters["bob"].kill()
    gone = await bob.expect(is_event("adapter-gone"), within_s=5, what="adapter-gone")
    assert gone["in_call"] is True
    assert await alice.wait(20) == 0
    ended = await bob.expect(is_event("ended"), within_s=5, what="ended")
    assert (ended["cause"], ended["established"]) == ("hung up there", True)

    await ring.start_adapter("bob")  # on another port than before
    await bob.expect(is_event("adapter-back"), within_s=15, what="adapter-back")
    alice = await call_bob(ring, duration_s=1)
    assert await alice.wait(20) == 0


async def test_a_call_outlives_the_callers_adapter_which_is_said(ring: Cast):
    await listen(ring, "--auto-answer", "--json")
    alice = await call_bob(ring, duration_s=3)
    await ring.adapters["alice"].kill()
    await alice.expect(is_event("adapter-gone", in_call=True), within_s=5, what="adapter-gone")
    assert await alice.wait(20) == 0


async def test_listening_ends_after_the_calls_asked_for(ring: Cast):
    bob = await listen(ring, "--auto-answer", "--calls", "1", "--duration", "1", "--json")
    alice = await call_bob(ring, duration_s=30)
    assert await bob.wait(10) == 0
    assert await alice.wait(10) == 0
    assert next(event for event in alice.events if event["event"] == "ended")["cause"] == "hung up there"


async def test_both_sides_keep_how_a_call_went_and_that_one_was_missed(ring: Cast):
    bob = await listen(ring, "--auto-answer", "--calls", "1", "--json")
    alice = await call_bob(ring, duration_s=6)
    assert await alice.wait(20) == 0
    assert await bob.wait(10) == 0
    for program in (alice, bob):
        sounds = next(event for event in program.events if event["event"] == "quality")
        assert (sounds["codec"], sounds["loss_percent"]) == ("G722", 0.0)
        assert sounds["mos"] > 4.0

    bob = await listen(ring, "--calls", "1", "--json")
    argv = [command("secp2psip"), "call", "bob", "--state", ring.state("alice"), "--timeout", "1", "--json"]
    impatient = await Program.start("impatient alice", argv, folder=ring.folder)
    ring.phones.append(impatient)
    assert await impatient.wait(20) == 4
    assert await bob.wait(10) == 0

    for user, side, second in (("alice", "caller", "hung up here"), ("bob", "callee", "hung up there")):
        rows = (await ring.ask(user, "calls"))["calls"]
        assert [(row["side"], row["caller"], row["callee"], row["status"]) for row in rows] == [
            (side, "alice", "bob", 302)
        ] * 2
        talks = [row["talk"] for row in rows]
        assert [talk["established"] for talk in talks] == [True, False]
        assert talks[0]["duration_s"] > 4.0
        assert talks[0]["mos"] > 4.0
        assert talks[1]["cause"] == second


async def test_ctrl_c_ends_listening_with_exit_code_130(ring: Cast):
    bob = await listen(ring, "--json")
    bob.process.send_signal(signal.SIGINT)
    assert await bob.wait(10) == 130
    assert bob.events[-1]["event"] == "interrupted"
    status = await ring.ask("bob", "status")
    assert [row["phones"] for row in status["users"]] == [[]], "the phone took its registration back"


async def test_a_phone_that_nobody_answers_is_given_up_in_time(ring: Cast):
    await listen(ring, "--json")
    alice = await Program.start(
        "call",
        [command("secp2psip"), "call", "bob", "--state", ring.state("alice"), "--timeout", "1", "--json"],
        folder=ring.folder,
    )
    ring.phones.append(alice)
    assert await alice.wait(20) == 4
    assert alice.events[-1]["code"] == "no_answer"


async def test_without_an_adapter_call_and_listen_bring_their_own(tmp_path: Path):
    async with Cast(folder=tmp_path) as cast:
        await cast.start_bootstrap(k=3, n=7)
        bob = await listen(cast, "--user", "bob", "--bootstrap", cast.bootstrap_address, "--auto-answer", "--json")
        words = ["call", "bob", "--user", "alice", "--bootstrap", cast.bootstrap_address, "--duration", "1", "--json"]
        alice = await Program.start(
            "call", [command("secp2psip"), *words, "--state", cast.state("alice")], folder=tmp_path
        )
        cast.phones.append(alice)
        assert await alice.wait(30) == 0
        up = next(event for event in alice.events if event["event"] == "established")
        assert up["verified"] is True
        assert up["media_remote"].startswith(f"{HOST}:")
        incoming = next(event for event in bob.events if event["event"] == "incoming")
        assert incoming["announced"] is True
        bob.process.send_signal(signal.SIGINT)
        assert await bob.wait(10) == 130


async def test_a_user_that_the_running_adapter_does_not_serve_is_told_who_is(ring: Cast):
    carol = await Program.start(
        "call",
        [command("secp2psip"), "call", "bob", "--user", "carol", "--state", ring.state("alice"), "--json"],
        folder=ring.folder,
    )
    ring.phones.append(carol)
    assert await carol.wait(10) == 1
    assert carol.events[-1]["hint"].startswith("it serves alice: ")


async def test_a_second_adapter_on_the_same_state_is_refused(ring: Cast):
    second = await Program.start(
        "second",
        [command("secp2psip"), "adapter", "--sip", f"{HOST}:0", "--state", ring.state("alice"), "--json"],
        folder=ring.folder,
    )
    ring.phones.append(second)
    assert await second.wait(10) == 1
    assert second.events[-1]["code"] == "state_locked"
    assert f"(pid {ring.adapters['alice'].process.pid})" in second.events[-1]["error"]


async def test_an_adapter_remembers_its_users_and_its_ring_when_the_bootstrap_server_is_dead(ring: Cast):
    assert ring.bootstrap is not None
    await ring.bootstrap.kill()
    await ring.adapters["bob"].stop()
    again = await Program.start(
        "bob again",
        [command("secp2psip"), "adapter", "--sip", f"{HOST}:0", "--state", ring.state("bob"), "--json"],
        folder=ring.folder,
    )
    ring.phones.append(again)
    ready = await again.expect(is_event("ready"), within_s=20, what="ready")
    assert ready["users"] == ["bob"]
    assert ready["ring"].startswith(f"{HOST}:")
    found = await ring.ask("alice", "lookup", "bob")
    assert found["contact"] == ready["ring"]


async def test_an_adapter_leaves_at_ctrl_c_with_exit_code_0(ring: Cast):
    adapter = ring.adapters["bob"]
    adapter.process.send_signal(signal.SIGINT)
    assert await adapter.wait(10) == 0
    assert adapter.events[-1]["event"] == "stopped"


async def test_two_built_in_phones_encrypt_and_say_so(ring: Cast):
    bob = await listen(ring, "--auto-answer", "--require-encryption", "--json")
    alice = await call_bob(ring, duration_s=1)
    there = await bob.expect(is_event("established"), within_s=5, what="established")
    assert await alice.wait(20) == 0
    here = next(event for event in alice.events if event["event"] == "established")
    receipt = next(event for event in alice.events if event["event"] == "receipt")
    assert (here["encrypted"], here["verified"]) == (True, True)
    assert (there["encrypted"], there["verified"]) == (True, True)
    assert receipt["encrypted"] is True


async def test_a_call_that_nobody_announced_is_turned_away(ring: Cast):
    bob = await listen(ring, "--auto-answer", "--json")
    at = next(event for event in bob.events if event["event"] == "listening")["phone"]
    async with Softphone() as eve:
        await eve.start(host=HOST, user="alice")  # a name is quickly said
        await eve.call(f"sip:bob@{at};p2p=Zm9vYmFyYmF6cXV1eHF1dQ")
        turned_away = await bob.expect(is_event("turned-away"), within_s=5, what="turned-away")
        assert (turned_away["peer"], turned_away["why"]) == ("alice", "no adapter announced this call")
        async with asyncio.timeout(10):
            while not isinstance(event := await eve.events.get(), Ended):
                assert not isinstance(event, Established)
        assert event.status == 403
    alice = await call_bob(ring, duration_s=1)  # who was announced is taken after as before
    assert await alice.wait(20) == 0


async def test_a_token_is_good_once(ring: Cast):
    bob = await listen(ring, "--auto-answer", "--json")
    alice = await call_bob(ring, duration_s=1)
    assert await alice.wait(20) == 0
    await bob.expect(is_event("ended"), within_s=5, what="ended")
    taken = next(event for event in bob.events if event["event"] == "incoming")
    token = taken["request_uri"].partition(";p2p=")[2].partition(";")[0]
    at = next(event for event in bob.events if event["event"] == "listening")["phone"]
    async with Softphone() as eve:
        await eve.start(host=HOST, user="alice")
        await eve.call(f"sip:bob@{at};p2p={token}")
        await bob.expect(is_event("turned-away"), within_s=5, what="turned-away")


async def test_where_encryption_is_required_a_plain_phone_is_not_called(ring: Cast):
    await listen(ring, "--auto-answer", "--plain", "--json")
    argv = [command("secp2psip"), "call", "bob", "--user", "alice", "--state", ring.state("alice"), "--json"]
    alice = await Program.start("strict alice", [*argv, "--require-encryption"], folder=ring.folder)
    ring.phones.append(alice)
    assert await alice.wait(20) == 7
    error = next(event for event in alice.events if event["event"] == "error")
    assert error["code"] == "not_encrypted"
    assert error["error"] == "bob was not called: the other phone cannot encrypt"
