"""One session by itself: replay window, authenticity, age."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.ring.channel import (
    MAX_SESSION_S,
    REKEY_AFTER_FRAMES,
    REKEY_AFTER_S,
    REPLAY_WINDOW,
    RESPONDER_PATIENCE,
    ReplayWindow,
    Session,
)
from overlay.ring.frames import MAX_COUNTER, decode_data_header
from tests.unit.ring.session_pair import NOW, peer

KEYS = (b"a" * 32, b"b" * 32)


def ends(**changes):
    """Return both ends of a session."""
    common = {"hello_time_ms": 0, "created_at": NOW, "valid_until": NOW + 10**6} | changes
    first = Session(me=peer(0).id, peer=peer(1), index=1, peer_index=2, keys=KEYS, initiator=True, **common)
    second = Session(me=peer(1).id, peer=peer(0), index=2, peer_index=1, keys=KEYS[::-1], initiator=False, **common)
    return first, second


def take(session, frame):
    return session.open(frame, decode_data_header(frame)[1], NOW)


@given(st.lists(st.integers(0, 4000), max_size=300))
def test_window_lets_each_number_through_once(numbers):
    window, seen, highest = ReplayWindow(), set(), -1
    for number in numbers:
        expected = number not in seen and number > highest - REPLAY_WINDOW
        assert window.is_fresh(number) == expected
        if expected:
            window.mark(number)
            seen.add(number)
            highest = max(highest, number)


def test_window_edges():
    window = ReplayWindow()
    window.mark(REPLAY_WINDOW)
    assert not window.is_fresh(0)
    assert window.is_fresh(1)
    assert not window.is_fresh(REPLAY_WINDOW)
    window.mark(1)
    assert not window.is_fresh(1)
    window.mark(MAX_COUNTER)
    assert not window.is_fresh(MAX_COUNTER - REPLAY_WINDOW)
    assert window.is_fresh(MAX_COUNTER - REPLAY_WINDOW + 1)
    assert window._bits.bit_length() <= REPLAY_WINDOW


def test_frames_in_any_order_open_once():
    ours, theirs = ends()
    frames = [ours.seal(bytes([number])) for number in range(50)]
    for frame in reversed(frames):
        take(theirs, frame)
    for frame in frames:
        with pytest.raises(RemoteError, match="replayed"):
            take(theirs, frame)


def test_frame_behind_the_window_is_refused():
    ours, theirs = ends()
    first = ours.seal(b"first")
    for _ in range(REPLAY_WINDOW):
        last = ours.seal(b"x")
    take(theirs, last)
    with pytest.raises(RemoteError, match="replayed"):
        take(theirs, first)


def test_own_frame_thrown_back_does_not_open():
    ours, _ = ends()
    with pytest.raises(RemoteError, match="authentic"):
        take(ours, ours.seal(b"x"))


def test_every_changed_byte_is_refused_and_the_true_frame_still_opens():
    ours, theirs = ends()
    frame = ours.seal(b"payload")
    for place in range(9, len(frame)):
        changed = frame[:place] + bytes([frame[place] ^ 1]) + frame[place + 1 :]
        with pytest.raises(RemoteError):
            take(theirs, changed)
    with pytest.raises(RemoteError):
        theirs.open(b"\x13" + bytes(8) + frame[9:], 0, NOW)
    assert take(theirs, frame) == b"payload"


def test_same_keys_between_other_ids_open_nothing():
    ours, _ = ends()
    other = Session(
        me=peer(2).id,
        peer=peer(0),
        index=2,
        peer_index=1,
        keys=KEYS[::-1],
        initiator=False,
        hello_time_ms=0,
        created_at=NOW,
        valid_until=NOW + 9,
    )
    with pytest.raises(RemoteError, match="authentic"):
        take(other, ours.seal(b"x"))


def test_numbers_are_never_used_twice():
    ours, _ = ends()
    numbers = [decode_data_header(ours.seal(b""))[1] for _ in range(100)]
    assert numbers == list(range(100))
    ours._sent = MAX_COUNTER
    ours.seal(b"last")
    with pytest.raises(LocalError):
        ours.seal(b"one too many")
    assert not ours.is_usable(NOW)


def test_payload_over_the_cap_is_our_own_mistake():
    with pytest.raises(LocalError):
        ends()[0].seal(b"x" * 8193)


def test_age_and_count_ask_for_new_keys_and_the_initiator_asks_first():
    ours, theirs = ends()
    assert not ours.wants_rekey(NOW + REKEY_AFTER_S - 1)
    assert ours.wants_rekey(NOW + REKEY_AFTER_S)
    assert not theirs.wants_rekey(NOW + REKEY_AFTER_S)
    assert theirs.wants_rekey(NOW + REKEY_AFTER_S * RESPONDER_PATIENCE + 1)
    ours._sent = theirs._sent = REKEY_AFTER_FRAMES
    assert ours.wants_rekey(NOW)
    assert not theirs.wants_rekey(NOW)


def test_session_ends_with_its_age_and_with_the_credential():
    ours, _ = ends()
    assert ours.is_usable(NOW + MAX_SESSION_S - 1)
    assert not ours.is_usable(NOW + MAX_SESSION_S)
    ours, _ = ends(valid_until=NOW + 5)
    assert ours.is_usable(NOW + 4)
    assert not ours.is_usable(NOW + 5)


def test_text_of_a_session_holds_no_key():
    text = repr(ends()[0])
    assert "aaaa" not in text
    assert "6161" not in text
