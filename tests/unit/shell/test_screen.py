"""What people and programs read: sentences, tables, JSON lines, errors; colours on a terminal only."""

import io
import json
import os
import pty
import sys

import pytest

from adapter.problems import ExitCode, Problem
from adapter.screen import Screen
from adapter.softphone.quality import TROUBLES

LOOKUP = {
    "event": "lookup",
    "aor": "bob",
    "generation": 1,
    "thumbprint": "00112233445566778899aabbccddeeff",
    "contact": "10.0.0.2:4000",
    "pieces": [
        {"index": 2, "node": "bb" * 20, "address": "10.0.0.3:4000", "ok": False, "why": "bad signature"},
        {"index": 1, "node": "aa" * 20, "address": "10.0.0.2:4000", "ok": True, "why": ""},
    ],
    "drawn": [1],
    "basis": "polynomial",
    "support": 5,
    "k": 3,
    "n": 7,
    "attackers_needed": 3,
    "nodes": 8,
    "liars": [{"node": "bb" * 20, "index": 2, "why": "bad signature"}],
    "conflicts": ["two signed shares for piece 4 of generation 1"],
    "took_ms": 12.3,
}


class Told:
    def __init__(self, *, json=False, trace=False):
        self.out, self.err = io.StringIO(), io.StringIO()
        self.screen = Screen(json=json, trace=trace, stdout=self.out, stderr=self.err)

    def show(self, **event):
        self.screen.show(event)
        return self.out.getvalue()


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def terminal(monkeypatch):
    """A stream that is a terminal of 80 columns, and what was written to it."""
    leader, follower = pty.openpty()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    with os.fdopen(follower, "w") as stream:

        def written(until):
            text = ""
            while until not in text:
                text += os.read(leader, 65_536).decode()
            return text

        yield stream, written
    os.close(leader)


def test_a_step_is_a_time_and_a_name(told):
    step = {
        "event": "step",
        "flow": "call",
        "id": "call-1",
        "step": "PIECES",
        "at_ms": 12.34,
        "detail": {"drawn": [1, 4]},
    }
    assert told.show(**step) == "     12.3 ms  PIECES\n"


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({"user": "alice"}, "for alice"),
        ({"caller": "alice", "callee": "bob"}, "alice calls bob"),
        ({"says it is from": "alice"}, "says it is from alice"),
        ({"caller": "alice", "token_digest": "00"}, "for alice"),
    ],
)
def test_a_step_that_is_about_somebody_says_so(told, detail, words):
    assert told.show(event="step", step="X", at_ms=0, detail=detail).split("X")[1].strip() == words


def test_with_trace_a_step_shows_its_details():
    step = {
        "event": "step",
        "flow": "call",
        "id": "call-1",
        "step": "PIECES",
        "at_ms": 12.34,
        "detail": {"drawn": [1, 4]},
    }
    assert Told(trace=True).show(**step) == "     12.3 ms  PIECES                  drawn=1,4\n"


def test_the_details_of_a_step_are_bounded():
    line = Told(trace=True).show(event="step", step="X", at_ms=0, detail={"long": "x" * 10_000})
    assert len(line) < 300
    assert line.endswith("...\n")


def test_a_call_says_who_how_and_what_is_proved(told):
    text = told.show(
        event="established",
        peer="bob",
        codec="G722",
        media_remote="10.0.0.2:4000",
        verified=True,
        basis="polynomial",
        attackers_needed=3,
        nodes=8,
    )
    assert text == (
        "talking with bob  G722  sound goes straight to 10.0.0.2:4000\n"
        "verified: an attacker needs 3 of 8 nodes\n"
        "not encrypted: the call itself is plain SIP and RTP\n"
    )


def test_an_encrypted_call_says_whose_certificates_it_rests_on(told):
    text = told.show(event="established", peer="bob", encrypted=True, verified=True)
    assert "not encrypted" not in text
    assert "encrypted: SIP over TLS, sound over SRTP; each phone's certificate is the one that its user signed" in text
    assert "with whom, nothing proves" in told.show(event="established", peer="bob", encrypted=True, verified=False)


def test_encrypted_sound_with_readable_keys_is_called_that_and_no_more(told):
    text = told.show(event="established", peer="bob", encrypted=False, srtp=True, verified=True)
    assert "the sound is encrypted: SRTP, whose keys went through SIP that anybody on the way could read" in text
    assert "which phone it is nothing proves" in text
    assert "SIP over TLS" not in text


def test_a_call_that_was_turned_away_says_why_and_how_to_take_such_calls(told):
    text = told.show(event="turned-away", peer="eve", why="no adapter announced this call")
    assert text == (
        "turned away a call that says it is from eve: no adapter announced this call\n"
        "hint: --allow-unannounced takes such calls\n"
    )


def test_a_key_that_rests_on_signatures_says_so(told):
    text = told.show(event="established", verified=True, basis="signatures", attackers_needed=1, nodes=2)
    assert "verified by the bootstrap server's signatures alone (too few nodes to witness)" in text
    assert "an attacker needs 1 of 2 nodes" in text


def test_what_is_not_verified_is_never_called_so(told):
    text = told.show(event="established", remote_uri="sip:mallory@10.0.0.9", verified=False, basis="polynomial")
    assert text.startswith("talking with mallory")
    assert "not verified: nothing proves who this is" in text


def test_the_end_of_a_call_has_its_figures(told):
    text = told.show(
        event="ended",
        established=True,
        duration_s=75.2,
        reason="the other side hung up",
        packets_received=99,
        packets_lost=1,
        jitter_ms=0.4,
    )
    assert text == (
        "call ended after 1 min 15 s: the other side hung up\nheard 99 packets, 1 lost (1.0 %), jitter 0.4 ms\n"
    )


def test_the_end_of_a_call_says_how_it_sounded(told):
    text = told.show(
        event="ended",
        established=True,
        duration_s=10.0,
        packets_received=480,
        packets_lost=20,
        packets_late=3,
        jitter_ms=1.0,
        rtt_ms=4.25,
        codec="G722",
        mos=3.87,
    )
    assert text.splitlines()[1] == (
        "heard 480 packets, 20 lost (4.0 %), 3 too late, jitter 1.0 ms, round trip 4.2 ms, G722 sounded fair (3.9)"
    )


@pytest.mark.parametrize(
    ("trouble", "on", "figure", "words"),
    [
        ("loss", True, 0.04, "the network loses 4 % of the sound from bob"),
        ("loss", False, 0.0, "the sound from bob comes whole again"),
        ("loss there", True, 0.123, "the network loses 12 % of your sound on its way to bob"),
        ("late", True, 0.05, "5 % of the sound from bob comes too late to be heard"),
        ("delay", True, 412.0, "the sound takes 0.4 s each way: give bob time to answer"),
    ],
)
def test_what_spoils_the_sound_is_said_in_words(told, trouble, on, figure, words):
    assert told.show(event="troubled", trouble=trouble, on=on, figure=figure, peer="bob") == f"{words}\n"


def test_every_trouble_of_the_phone_has_its_words(told):
    for trouble in TROUBLES:
        for on in (True, False):
            assert told.show(event="troubled", trouble=trouble, on=on, figure=0.1, peer="bob").strip()


def test_the_history_says_how_calls_went(told):
    names = {"caller": "alice", "callee": "bob", "status": 302, "basis": "polynomial"}
    talked = {"established": True, "duration_s": 61.0, "mos": 4.31, "cause": "hung up there"}
    missed = {"established": False, "cause": "hung up there", "reason": "the caller gave up"}
    declined = {"established": False, "cause": "hung up here", "reason": "declined"}
    text = told.show(
        event="calls",
        calls=[
            names | {"side": "caller", "talk": talked},
            names | {"side": "callee", "talk": missed},
            names | {"side": "callee", "talk": declined},
            names | {"side": "caller", "reason": "bob is there"},
        ],
    )
    ends = [line.rstrip().split("  ")[-1].strip() for line in text.splitlines()[1:]]
    assert ends == [
        "talked 1 min 1 s, sounded good (4.3)",
        "missed: the caller gave up",
        "declined",
        "302 bob is there",
    ]


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        (
            {"basis": "polynomial", "support": 5, "pieces": [{"node": f"n{at}"} for at in range(7)]},
            "5 of 7 holders agreed",
        ),
        ({"basis": "polynomial", "support": 5, "cut": True}, "5 of 5 holders agreed"),
        ({"basis": "polynomial"}, "enough holders agreed"),
        ({"basis": "signatures", "support": 2}, "the server's word alone"),
        ({"basis": "pin", "support": 0}, "known from earlier calls alone"),
        ({}, "not proved"),
    ],
)
def test_the_history_says_who_vouched_for_a_key_in_plain_words(told, proof, words):
    row = {"caller": "alice", "callee": "bob", "status": 302, "reason": "bob is there"} | proof
    text = told.show(event="calls", calls=[row])
    assert words in text
    assert not {"polynomial", "signatures", "rests"} & set(text.split())


def test_a_call_that_was_declined_was_not_missed(told):
    event = {"event": "ended", "established": False, "peer": "alice", "reason": "declined", "cause": "hung up here"}
    assert told.show(**event) == "declined the call from alice\n"


def test_a_missed_call_names_the_caller(told):
    event = {"event": "ended", "established": False, "peer": "alice", "reason": "the caller gave up"}
    assert told.show(**event) == "missed call from alice: the caller gave up\n"


def test_the_adapter_says_what_to_type_into_the_phone(told):
    text = told.show(event="ready", sip="10.0.0.2:5070", ring="10.0.0.2:4000", users=["alice", "carol"], pid=7)
    assert "    10.0.0.2:5070    user name alice, any password\n" in text
    assert "    10.0.0.2:5070    user name carol, any password\n" in text
    assert "(transport UDP):" in text
    assert "TLS" not in text


def test_the_adapter_tells_of_tcp_and_tls_where_they_are(told):
    text = told.show(
        event="ready",
        sip="10.0.0.2:5070",
        sip_tcp=True,
        sip_tls="10.0.0.2:5071",
        tls_fingerprint="AB:CD",
        users=["bob"],
    )
    assert "(transport UDP or TCP):" in text
    assert "over TLS: 10.0.0.2:5071" in text
    assert "    AB:CD\n" in text


def test_an_event_that_only_programs_want_is_silent(told):
    assert told.show(event="trying") == ""
    assert told.show(event="something-new", detail=1) == ""
    assert Told(trace=True).show(event="something-new", detail=1) == "something-new detail=1\n"


def test_a_lookup_shows_pieces_holders_liars_and_strength(told):
    told.screen.show(LOOKUP)
    lines = [line.rstrip() for line in told.out.getvalue().splitlines()]
    assert lines[0] == "bob, generation 1, fingerprint 71030 61277 02866 24172 74331 42015"
    assert lines[3].split() == ["1", "aaaaaaaa", "10.0.0.2:4000", "drawn", "good"]
    assert lines[4].split(maxsplit=3) == ["2", "bbbbbbbb", "10.0.0.3:4000", "bad signature"]
    assert lines[5] == "the key stands on 5 distinct nodes (rule: at least 5)"
    assert lines[6] == "an attacker needs 3 of 8 nodes  (12 ms)"
    assert lines[7] == "node bbbbbbbb lied about piece 2: bad signature"
    assert lines[8] == "evidence: two signed shares for piece 4 of generation 1"


def test_a_weak_ring_is_told_with_its_number(told):
    text = told.show(**LOOKUP | {"basis": "signatures", "attackers_needed": 2, "nodes": 3, "took_ms": None})
    assert "the key rests on the bootstrap server's signatures alone" in text
    assert "an attacker needs 2 of 3 nodes\n" in text


def test_the_ring_is_a_table(told):
    rows = [
        {"node": "aa" * 20, "address": "10.0.0.2:4000", "rtt_ms": 1.25, "self": False, "since": 1_800_000_000},
        {"node": "bb" * 20, "address": "10.0.0.3:4000", "rtt_ms": None, "self": True, "pieces": 12},
        {"node": "cc" * 20, "address": "10.0.0.4:4000", "holds": {"alice": [1, 4], "bob": [2]}, "known": False},
    ]
    lines = told.show(event="ring", overlay="home", nodes=rows, svg="ring.svg").splitlines()
    assert lines[0] == "3 nodes on the ring home"
    assert lines[2].split()[:5] == ["aaaaaaaa", "10.0.0.2:4000", "1.2", "ms", "2027-01-15"]
    assert lines[3].split() == ["bbbbbbbb", "10.0.0.3:4000", "12", "stored", "this", "one"]
    assert lines[4].split(maxsplit=2)[2].strip().startswith("alice 1,4; bob 2 ")
    assert lines[4].rstrip().endswith("not met")
    assert lines[5] == "picture written to ring.svg"


def test_a_status_shows_users_and_phones(told):
    users = [
        {
            "user": "alice",
            "fingerprint": "51107 33619 59331 19560 67754 15909",
            "registered": True,
            "phones": ["10.0.0.2:5060"],
            "placed": "7 of 7",
            "expires_at": 1_800_000_000,
        },
        {"user": "carol", "registered": False, "phones": [], "placed": "", "expires_at": None},
    ]
    text = told.show(
        event="status", pid=7, sip="10.0.0.2:5070", ring="10.0.0.2:4000", nodes=8, overlay="home", users=users
    )
    assert "8 nodes known on the ring home" in text
    assert "alice  yes         10.0.0.2:5060  7 of 7         2027-01-15" in text
    assert "carol  no          none" in text
    assert "fingerprint of alice: 51107 33619 59331 19560 67754 15909" in text


LIED = {"node": "cc" * 20, "why": "bad signature", "times": 3, "first_at": 1.0, "last_at": 1_800_000_000.0}


def test_a_status_names_who_lied_and_what_was_offered_against_what_is_held(told):
    against = {"name": "bob", "generation": 2, "what": "piece 4", "node": "dd" * 20, "at": 1_800_000_000}
    shown = told.show(event="status", users=[], liars=[LIED], contradictions=[against])
    assert "node cccccccc lied to this adapter and is asked last: 3 times, last 2027-01-15" in shown
    assert "node dddddddd offered a second piece 4 of bob's generation 2" in shown


def test_a_status_of_a_ring_full_of_liars_stays_short(told):
    shown = told.show(event="status", users=[], liars=[LIED] * 200, contradictions=[])
    assert shown.count("lied to this adapter") == 8
    assert "and 192 nodes more" in shown


def test_a_lookup_tells_who_lied_before_apart_from_who_lies_now(told):
    shown = told.show(**(LOOKUP | {"lied_before": [LIED, LIED | {"node": "bb" * 20}]}))
    assert "node cccccccc lied before: 3 times" in shown
    assert "node bbbbbbbb lied about piece 2" in shown
    assert "node bbbbbbbb lied before" not in shown


@pytest.mark.parametrize("name", ["lookup", "ring", "status"])
def test_an_answer_that_lacks_everything_is_still_shown(told, name):
    assert told.show(event=name)


def test_json_is_one_line_an_event_and_nothing_else():
    told = Told(json=True)
    told.show(event="ringing", status=180)
    told.screen.wait("ringing", clock=True)
    told.screen.show_error(Problem("it broke", hint="mend it", code="broken"))
    lines = [json.loads(line) for line in told.out.getvalue().splitlines()]
    assert lines == [
        {"event": "ringing", "status": 180},
        {"event": "error", "code": "broken", "error": "it broke", "hint": "mend it"},
    ]
    assert told.err.getvalue() == "error: it broke\nhint: mend it\n"


def test_an_error_is_two_lines_on_standard_error(told):
    assert told.screen.show_error(Problem("no such user", code="unknown")) == ExitCode.UNKNOWN
    assert (told.out.getvalue(), told.err.getvalue()) == ("", "error: no such user\n")


def test_a_name_from_the_network_cannot_move_the_cursor(told):
    text = told.show(event="incoming", remote_uri="sip:\x1b[31mbob\x07@10.0.0.9", source="10.0.0.9\r\n:1")
    assert "\x1b" not in text
    assert "\x07" not in text
    assert text.count("\n") == 1


def test_a_name_from_the_network_is_no_markup(told):
    assert "[bold]bob[/bold] is calling" in told.show(event="incoming", remote_uri="sip:[bold]bob[/bold]@10.0.0.9")


def test_a_terminal_gets_colours(terminal):
    stream, written = terminal
    screen = Screen(stdout=stream)
    assert screen.is_live
    screen.show({"event": "warning", "text": "careful"})
    assert "\x1b[33m" in written("careful")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_refused(terminal, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    stream, written = terminal
    Screen(stdout=stream).show({"event": "warning", "text": "careful"})
    assert "\x1b[33m" not in written("careful")


def test_the_moving_line_is_on_a_live_terminal_only(terminal, told):
    stream, written = terminal
    screen = Screen(stdout=stream)
    screen.wait("bob's phone rings", clock=True)
    screen.wait("in call with bob", clock=True)
    screen.rest()
    assert written("00:00  in call with bob")
    told.screen.wait("bob's phone rings")
    told.screen.rest()
    assert told.out.getvalue() == ""


def test_standard_output_is_the_default(capsys):
    Screen(stdout=sys.stdout).show({"event": "ringing"})
    assert capsys.readouterr().out == "ringing\n"
