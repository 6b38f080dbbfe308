"""Names that go on to another key, and invites, with a real server on loopback and the operator's real commands."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from adapter.enrolment import EnrolmentRefused
from bootstrap.admission import Admission
from bootstrap.cli import main
from overlay.errors import LocalError
from overlay.ring.kademlia_ring import KademliaRing
from overlay.trust.identity import PrivateBundle
from overlay.trust.records import LookupRecord
from overlay.trust.succession import Succession, encode_chain
from overlay.trust.tombstone import Tombstone
from tests.integration.bootstrap_support import FACTS, Registrant, joined, serving


def office(capsys, data, *words):
    """Run an operator's command and return the JSON that it printed."""
    assert main([*words, "--json", "--data", str(data)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def successor_of(alice: Registrant, generation: int = 2) -> tuple[Registrant, bytes]:
    fresh = PrivateBundle.generate()
    word = Succession.issue(alice.user, aor=alice.aor, generation=generation, new=fresh.public)
    changed = _Rotated(aor=alice.aor, user=fresh, node_key=alice.node_key, word=word)
    return changed, word.encode()


class _Rotated(Registrant):
    """A user whose lookup record is of the second generation."""

    def __init__(self, *, word: Succession, **fields):
        super().__init__(**fields)
        self.word = word

    def record(self) -> LookupRecord:
        now = int(time.time())
        return LookupRecord.issue(
            self.user,
            aor=self.aor,
            generation=self.word.generation,
            node_id=bytes(20),
            host="127.0.0.1",
            port=self.port,
            sequence=now,
            issued_at=now,
            expires_at=now + 600,
            succession=encode_chain([self.word]),
        )


async def test_a_key_is_changed_and_the_ring_has_the_new_generation_with_the_chain(tmp_path):
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice")
        await alice.enrol(watched.server.address)
        changed, word = successor_of(alice)
        with pytest.raises(EnrolmentRefused, match="taken"):
            await changed.enrol(watched.server.address)
        enrolment = await changed.enrol(watched.server.address, word=word)
        assert enrolment.generation == 2
        holding = await watched.server.ring.fetch_at(watched.server.ring.me, "alice")
        newest = [piece for piece in holding.pieces if piece.generation == 2]
        assert len(newest) == FACTS.n
        assert holding.record.successions() == (changed.word,)
        # once more, as after a crash: the same generation again
        assert (await changed.enrol(watched.server.address, word=word)).generation == 2
        with pytest.raises(EnrolmentRefused, match="taken"):
            await alice.enrol(watched.server.address)


async def test_a_released_name_goes_to_the_next_who_asks_in_the_next_generation(tmp_path, capsys):
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice")
        await alice.enrol(watched.server.address)
        stranger = Registrant(aor="alice")
        with pytest.raises(EnrolmentRefused, match="taken"):
            await stranger.enrol(watched.server.address)
        assert office(capsys, tmp_path, "names", "release", "alice") == [{"released": "alice", "generation": 1}]
        assert (await stranger.enrol(watched.server.address)).generation == 2
        with pytest.raises(EnrolmentRefused, match="taken"):
            await alice.enrol(watched.server.address)
        (row,) = office(capsys, tmp_path, "names", "list")
        assert (row["generation"], row["thumbprint"]) == (2, stranger.user.public.thumbprint().hex())


async def test_the_owner_revokes_his_key_and_every_holder_knows(tmp_path, capsys):
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice")
        async with joined(alice, await alice.enrol(watched.server.address)):
            stone = Tombstone.issue(
                alice.user, overlay="lan", aor="alice", generation=1, bundle=alice.user.public, issued_at=1
            )
            with pytest.raises(EnrolmentRefused) as answer:
                await alice.enrol(watched.server.address, word=stone.encode())
            assert answer.value.code == "revoked"
            holders = await watched.server.ring.get("alice")
            assert holders
            assert {holding.tombstone for holding in holders.values()} == {stone}
            with pytest.raises(EnrolmentRefused, match="revoked"):
                await alice.enrol(watched.server.address)
            (row,) = office(capsys, tmp_path, "names", "list")
            assert row["revoked"] is True
            # who has the stolen key does not get the name back by waiting for its release
            office(capsys, tmp_path, "names", "release", "alice")
            with pytest.raises(EnrolmentRefused, match="revoked"):
                await alice.enrol(watched.server.address)
            assert (await Registrant(aor="alice").enrol(watched.server.address)).generation == 2


async def test_the_operator_revokes_a_key_beside_the_running_server(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("bootstrap.server.BURY_EVERY_S", 0.05)
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice")
        await alice.enrol(watched.server.address)
        await asyncio.to_thread(office, capsys, tmp_path, "names", "revoke", "alice")
        event = await watched.until("revoked")
        assert (event["aor"], event["holders"]) == ("alice", 1)
        holding = await watched.server.ring.fetch_at(watched.server.ring.me, "alice")
        assert holding.tombstone.bundle == alice.user.public.encode()
        assert holding.record is None


async def test_a_ring_with_too_much_to_do_hears_of_a_revoked_key_later(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("bootstrap.server.BURY_EVERY_S", 0.05)
    bury, tries = KademliaRing.bury, 0

    async def full_at_first(ring, tombstone):
        nonlocal tries
        tries += 1
        if tries == 1:
            raise LocalError("too many requests wait for their turn")
        return await bury(ring, tombstone)

    monkeypatch.setattr(KademliaRing, "bury", full_at_first)
    async with serving(tmp_path) as watched:
        await Registrant(aor="alice").enrol(watched.server.address)
        await asyncio.to_thread(office, capsys, tmp_path, "names", "revoke", "alice")
        assert "too many requests" in (await watched.until("warning"))["text"]
        assert (await watched.until("revoked"))["holders"] == 1


async def test_an_invite_lets_one_device_in(tmp_path, capsys):
    async with serving(tmp_path, admission=Admission.INVITE) as watched:
        alice = Registrant(aor="alice")
        with pytest.raises(EnrolmentRefused, match="invite"):
            await alice.enrol(watched.server.address)
        (invite,) = office(capsys, tmp_path, "invites", "add", "--days", "2")
        await alice.enrol(watched.server.address, code=invite["code"].upper())
        # what has it comes again without one
        await alice.enrol(watched.server.address)
        with pytest.raises(EnrolmentRefused, match="used up"):
            await Registrant(aor="bob").enrol(watched.server.address, code=invite["code"])
        (listed,) = office(capsys, tmp_path, "invites", "list")
        assert listed == {key: value for key, value in invite.items() if key != "code"} | {"uses_left": 0}
        assert invite["code"] not in (tmp_path / "accounts.sqlite").read_bytes().decode("latin-1")


async def test_a_closed_overlay_takes_the_names_that_were_admitted(tmp_path, capsys):
    async with serving(tmp_path, admission=Admission.CLOSED) as watched:
        with pytest.raises(EnrolmentRefused, match="closed"):
            await Registrant(aor="alice").enrol(watched.server.address)
        office(capsys, tmp_path, "names", "admit", "alice", "bob")
        await Registrant(aor="alice").enrol(watched.server.address)
        with pytest.raises(EnrolmentRefused, match="closed"):
            await Registrant(aor="carol").enrol(watched.server.address)


@pytest.mark.parametrize(
    "words",
    [
        ["names", "release", "nobody"],
        ["names", "revoke", "nobody"],
        ["names", "admit", "a b"],
        ["invites", "revoke", "nothing"],
        ["invites", "add", "--uses", "0"],
        ["invites", "add", "--days", "9999"],
    ],
)
async def test_an_operator_s_mistake_is_one_sentence_and_a_hint(words, tmp_path, capsys):
    async with serving(tmp_path):
        assert main([*words, "--data", str(tmp_path)]) == 2
        error, hint = capsys.readouterr().err.splitlines()
        assert error.startswith("error: ")
        assert hint.startswith("hint: ")
