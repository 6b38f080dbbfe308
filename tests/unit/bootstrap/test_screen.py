"""What an operator reads: JSON for programs, sentences for people, a table on a terminal."""

from __future__ import annotations

import io
import json

from rich.console import Console

from bootstrap.screen import JsonLines, LiveTable, PlainLines, describe, make_screen
from overlay.ring.ids import Peer, RingId

READY = {
    "event": "ready",
    "host": "192.0.2.1",
    "port": 5480,
    "overlay": "lan",
    "fingerprint": "00" * 16,
    "k": 3,
    "n": 7,
}
REGISTERED = {"event": "registered", "aor": "alice", "source": "192.0.2.7:4000", "first": True, "distinct_holders": 7}
STEP = {"event": "step", "source": "192.0.2.7:4000", "step": "CHALLENGE"}
REFUSED = {"event": "refused", "aor": "alice", "source": "192.0.2.9:1", "code": "taken", "reason": "\x1b[2Jtaken"}


def test_json_is_one_object_a_line():
    out = io.StringIO()
    screen = JsonLines(out, trace=False)
    for event in (READY, STEP, REGISTERED):
        screen.show(event)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["ready", "registered"]
    assert lines[0]["port"] == 5480
    assert lines[1]["aor"] == "alice"


def test_json_traces_steps_with_their_time():
    out = io.StringIO()
    JsonLines(out, trace=True).show(STEP)
    line = json.loads(out.getvalue())
    assert line["step"] == "CHALLENGE"
    assert line["at_ms"] >= 0


def test_plain_lines_are_sentences():
    out = io.StringIO()
    screen = PlainLines(out, trace=False)
    for event in (READY, STEP, REGISTERED):
        screen.show(event)
    first, second = out.getvalue().splitlines()
    assert "192.0.2.1:5480" in first
    assert second == "alice registered from 192.0.2.7:4000: pieces on 7 distinct nodes"


def test_one_is_one():
    assert describe(REGISTERED | {"distinct_holders": 1}).endswith("pieces on 1 distinct node")


def test_terminal_controls_of_a_stranger_are_not_printed():
    assert describe(REFUSED) == "refused alice from 192.0.2.9:1: ?[2Jtaken"


def test_every_event_has_a_sentence():
    for event in (
        {"event": "ring", "nodes": 1},
        {"event": "warning", "text": "x"},
        {"event": "stopped"},
        {"event": "fault", "source": "192.0.2.9", "reason": "x"},
    ):
        assert describe(event)


def test_live_table_shows_members_and_their_names():
    out = io.StringIO()
    screen = LiveTable(Console(file=out, force_terminal=True, width=100, color_system=None))
    screen.show(READY)
    screen.watch(
        lambda: [
            (Peer(id=RingId(0xABCD << 144), host="192.0.2.7", port=5000), ("alice", "bob")),
            (Peer(id=RingId(0xEF01 << 144), host="192.0.2.8", port=5001), ()),
        ]
    )
    screen.show(REGISTERED)
    assert "pieces on 7" not in out.getvalue()
    screen.tick()
    assert "pieces on 7" in out.getvalue()
    screen.close()
    shown = out.getvalue()
    for expected in ("2 nodes on the ring", "abcd0000", "192.0.2.7:5000", "alice, bob", "pieces on 7", "00" * 16):
        assert expected in shown


def test_screen_fits_where_it_is_shown():
    plain = io.StringIO()
    assert isinstance(make_screen(as_json=False, trace=False, out=plain), PlainLines)
    assert isinstance(make_screen(as_json=True, trace=False, out=plain), JsonLines)
