"""Registrations across a restart: what comes back, what does not, and that no file can hurt."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

import pytest

from adapter.sip.binding import MAX_EXPIRES_S
from adapter.sip.keeping import Keeping
from adapter.sip.matching import Flow
from adapter.sip.registrations import MAX_ROWS, Kept, Registrations
from tests.support.sip_phone import spell
from tests.unit.sip.servers import FLOW, ask, invite, make_server, register

KEPT = Kept(
    contact="<sip:alice@192.0.2.5:5062>",
    source=("192.0.2.5", 5062),
    is_connected=False,
    call_id="reg",
    cseq=1,
    expires_at=1_000_100.0,
)


class Device:
    """A server and its file, at one moment of both clocks."""

    def __init__(self, path, *, now: float = 0.0, wall: float = 1_000_000.0, **kwargs) -> None:
        self.now, self.wall = now, wall
        self.server = make_server(**kwargs)
        self.keeping = Keeping(
            Registrations(path), self.server.registrar, clock=lambda: self.now, wall=lambda: self.wall
        )
        self.restored = self.keeping.open(lambda user: user != "gone")

    def contacts(self, user: str = "alice") -> list[str]:
        return [binding.uri for binding in self.server.contacts(user, self.now)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registrations.sqlite"


def test_a_phone_is_known_again_at_another_moment_of_another_clock(path):
    first = Device(path, now=500.0)
    register(first.server, now=500.0)
    first.keeping.close()
    second = Device(path, now=3.0, wall=1_000_000.0 + 100.0)
    assert second.restored == 1
    assert second.contacts() == ["sip:alice@192.0.2.5:5062"]
    (binding,) = second.server.contacts("alice", 3.0)
    assert binding.expires_at == pytest.approx(3.0 + 200.0, abs=1.0)
    assert (binding.source, binding.cseq) == (FLOW.address, 1)


def test_it_may_call_at_once_and_refresh_in_order(path):
    first = Device(path)
    register(first.server, cseq=7)
    first.keeping.close()
    server = Device(path).server
    assert ask(server, invite())[-1].status == 302
    data = spell(call_id=f"reg-alice-{FLOW.port}", cseq=7, headers=("Contact: <sip:alice@192.0.2.5:5062>",))
    assert ask(server, data)[0].status == 500
    register(server, cseq=8)


def test_what_was_removed_or_ran_out_does_not_come_back(path):
    first = Device(path)
    register(first.server)
    register(first.server, "carol")
    assert ask(first.server, spell(call_id="x", cseq=2, headers=("Contact: *", "Expires: 0")))[0].status == 200
    first.keeping.close()
    again = Device(path)
    assert (again.contacts(), len(again.contacts("carol"))) == ([], 1)
    again.keeping.close()
    assert Device(path, wall=1_000_000.0 + MAX_EXPIRES_S).restored == 0


def test_a_clock_set_back_makes_no_binding_live_longer(path):
    first = Device(path)
    register(first.server)
    first.keeping.close()
    second = Device(path, wall=1_000_000.0 - 86_400.0)
    (binding,) = second.server.contacts("alice", 0.0)
    assert binding.expires_at <= MAX_EXPIRES_S


def test_the_youngest_stays_the_youngest_and_q_is_kept(path):
    first = Device(path)
    for number, q in enumerate(("0.5", "0.9", "0.9")):
        contact = f"Contact: <sip:alice@192.0.2.5:{5000 + number}>;q={q}"
        ask(first.server, spell(call_id=f"c{number}", headers=(contact,)))
    before = first.contacts()
    first.keeping.close()
    assert Device(path).contacts() == before == [f"sip:alice@192.0.2.5:{5000 + n}" for n in (2, 1, 0)]


def test_a_phone_that_came_over_a_connection_may_be_called_but_not_call(path):
    first = Device(path)
    register(first.server, flow=Flow(transport="TCP", host="192.0.2.5", port=5062, connection=4))
    first.keeping.close()
    second = Device(path)
    assert second.contacts()
    assert ask(second.server, invite())[0].status == 403


def test_only_users_that_are_still_served_come_back(path):
    file = Registrations(path).open()
    file.save({"gone": [KEPT], "alice": [KEPT]})
    file.close()
    assert Device(path).restored == 1


@pytest.mark.parametrize(
    "contact",
    ["", "*", "garbage", "<sip:alice@192.0.2.1:5070>", "<sip:a@192.0.2.5>, <sip:b@192.0.2.5>", "<tel:1>", "x" * 2000],
)
def test_a_contact_that_would_be_refused_does_not_come_back(path, contact):
    file = Registrations(path).open()
    file.save({"alice": [replace(KEPT, contact=contact)]})
    file.close()
    assert Device(path).restored == 0


def test_the_file_is_for_its_owner_alone_whatever_the_umask(path):
    old = os.umask(0)
    try:
        device = Device(path)
        register(device.server)
        device.keeping.close()
        file = Registrations(path).open()
        file.save({"alice": [KEPT]})
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
        file.close()
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}, modes


def test_no_link_is_followed(path, tmp_path, caplog):
    target = tmp_path / "precious"
    target.write_text("kept")
    path.symlink_to(target)
    file = Registrations(path).open()
    file.save({"alice": [KEPT]})
    file.close()
    assert target.read_text() == "kept"


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b"SQLite format 3\0" + bytes(200)])
def test_a_damaged_file_is_begun_anew(path, damage, caplog):
    path.write_bytes(damage)
    device = Device(path)
    assert device.restored == 0
    register(device.server)
    device.keeping.close()
    assert Device(path).restored == 1
    assert "anew" in caplog.text


def test_a_file_that_cannot_be_had_is_done_without(tmp_path, caplog):
    device = Device(tmp_path / "nowhere" / "file")
    register(device.server)
    device.keeping.close()
    assert "not kept" in caplog.text


def test_the_file_holds_so_many_rows_and_no_more(path):
    file = Registrations(path).open()
    file.save({f"user{number}": [KEPT] * 8 for number in range(MAX_ROWS // 8 + 10)})
    assert sum(map(len, file.load().values())) == MAX_ROWS
    file.save({"user0": []})
    assert sum(map(len, file.load().values())) == MAX_ROWS - 8
    file.close()


async def test_changes_are_written_together_a_moment_later(path):
    device = Device(path)
    register(device.server)
    device.keeping.note()
    register(device.server, "carol")
    device.keeping.note()
    other = Registrations(path).open()
    assert other.load() == {}
    device.keeping.close()
    assert set(other.load()) == {"alice", "carol"}
    other.close()
