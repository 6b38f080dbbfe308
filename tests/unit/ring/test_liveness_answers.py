"""Silences and signs of life; answers kept for requests that come again."""

from __future__ import annotations

from overlay.ring.answers import ANSWER_LIFETIME_S, MAX_PEERS, MAX_PER_PEER, AnswerCache
from overlay.ring.ids import RingId
from overlay.ring.liveness import MAX_KNOWN, MISSES_TO_DROP, SUSPECT_S, Liveness

BOB = RingId(7)


def test_three_silences_one_after_the_other_are_a_death():
    liveness = Liveness()
    verdicts = [liveness.missed(BOB, begun_at=float(t), now=t + 0.3) for t in range(MISSES_TO_DROP)]
    assert verdicts == [False, False, True]


def test_silences_at_the_same_moment_count_as_one():
    liveness = Liveness()
    assert not any(liveness.missed(BOB, begun_at=t / 100, now=0.3 + t / 100) for t in range(9))


def test_a_sign_of_life_ends_the_suspicion():
    liveness = Liveness()
    liveness.missed(BOB, begun_at=0.0, now=0.3)
    assert liveness.is_suspect(BOB, 1.0)
    assert liveness.suspects(1.0) == {BOB}
    assert liveness.heard(BOB)
    assert not liveness.heard(BOB)
    assert not liveness.is_suspect(BOB, 1.0)
    assert not liveness.missed(BOB, begun_at=2.0, now=2.3)


def test_suspicion_ends_by_itself():
    liveness = Liveness()
    liveness.missed(BOB, begun_at=0.0, now=0.0)
    assert not liveness.is_suspect(BOB, SUSPECT_S)
    assert liveness.suspects(SUSPECT_S) == frozenset()


def test_what_is_remembered_of_peers_is_bounded():
    liveness = Liveness()
    for number in range(2 * MAX_KNOWN):
        liveness.missed(RingId(number), begun_at=0.0, now=0.0)
    assert len(liveness.suspects(0.0)) == MAX_KNOWN


def test_a_repeated_request_gets_the_answer_of_the_first():
    answers = AnswerCache()
    answers.put(BOB, b"1", b"answer", 0.0)
    assert answers.get(BOB, b"1", 1.0) == b"answer"
    assert answers.get(RingId(8), b"1", 1.0) is None
    assert answers.get(BOB, b"1", ANSWER_LIFETIME_S + 1) is None


def test_one_peer_pushes_out_no_answers_of_others():
    answers = AnswerCache()
    answers.put(BOB, b"1", b"answer", 0.0)
    for number in range(10 * MAX_PER_PEER):
        answers.put(RingId(8), number.to_bytes(2, "big"), b"", 0.0)
    assert answers.get(BOB, b"1", 1.0) == b"answer"
    assert len(answers) == MAX_PER_PEER + 1


def test_kept_answers_are_bounded_and_swept():
    answers = AnswerCache()
    for number in range(2 * MAX_PEERS):
        answers.put(RingId(number), b"1", b"", 0.0)
    assert len(answers) == MAX_PEERS
    answers.sweep(ANSWER_LIFETIME_S + 1)
    assert len(answers) == 0
