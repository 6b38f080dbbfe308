"""Sound between two clocks: for ten minutes of virtual time nothing is lost and nothing piles up."""

from __future__ import annotations

import itertools
import math
import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.softphone.devices import FRAME_BYTES, FRAME_SAMPLES, RATE_HZ
from adapter.softphone.elastic import BAND, LOOK_BACK, MARGIN, MOST_MARGIN, QUIET, Pace, fitted
from adapter.softphone.valves import MOST_BYTES, SILENCE, Inlet, Outlet

CHUNK = RATE_HZ // 200
"""A sound server hands over 5 ms at a time."""
TICKS_OF_TEN_MINUTES = 30_000
LOUD = array("h", [int(8000 * math.sin(2 * math.pi * 300 * n / RATE_HZ)) for n in range(RATE_HZ)]).tobytes()


def voice(pauses):
    """Sound without an end: a loud second and, where somebody pauses, a fifth of a second of nothing."""
    return LOUD + (bytes(RATE_HZ // 5 * 2) if pauses else b"")


def inflow(ppm, pauses, ticks=TICKS_OF_TEN_MINUTES, late=0.0, seed=1):
    """Run an inlet whose card is off by so many millionths; what waited after each frame, in samples."""
    inlet, sound, rng = Inlet(), voice(pauses), random.Random(seed)
    came = at = 0
    left = []
    for tick in range(ticks):
        now = (tick + late * rng.random()) * FRAME_SAMPLES
        while (came + 1) * CHUNK <= now * (1 + ppm / 1e6):
            piece = sound[at : at + CHUNK * 2]
            at = (at + CHUNK * 2) % len(sound)
            inlet.put(piece)
            came += 1
        assert len(inlet.take()) == FRAME_BYTES
        left.append(inlet.waiting)
    return inlet, left


@pytest.mark.parametrize("pauses", [True, False])
@pytest.mark.parametrize("ppm", [-120, 0, 120])
def test_a_card_that_is_off_loses_nothing_in_ten_minutes_and_nothing_piles_up(ppm, pauses):
    inlet, left = inflow(ppm, pauses)
    assert inlet.holes == 0
    assert max(left[500:]) <= MARGIN + BAND + 2 * CHUNK
    assert min(left[500:]) >= 0


def test_a_card_that_is_far_off_is_followed_where_people_pause():
    for ppm in (-2000, 2000):
        inlet, left = inflow(ppm, pauses=True)
        assert inlet.holes == 0
        assert max(left[500:]) <= MARGIN + BAND + FRAME_SAMPLES


def test_ticks_of_a_busy_machine_are_no_drift():
    inlet, left = inflow(0, pauses=True, ticks=5000, late=0.4)
    assert inlet.holes == 0
    assert max(left[500:]) <= MARGIN + BAND + 2 * FRAME_SAMPLES


def test_a_card_that_stops_for_a_moment_leaves_one_hole_and_no_delay():
    inlet = Inlet()
    for tick in range(2000):
        if not 500 <= tick < 503:
            inlet.put(LOUD[:FRAME_BYTES])
        elif tick == 502:
            inlet.put(LOUD[: 3 * FRAME_BYTES])  # what it held back comes at once
        inlet.take()
    assert 1 <= inlet.holes <= 4
    for _ in range(500):
        inlet.put(SILENCE)
        inlet.take()
    assert inlet.waiting <= MOST_MARGIN + BAND + FRAME_SAMPLES


def test_an_inlet_holds_no_more_than_its_most():
    inlet = Inlet()
    inlet.put(bytes(10 * MOST_BYTES))
    assert inlet.waiting * 2 <= MOST_BYTES
    assert inlet.holes == 0  # nobody has listened yet


def test_who_does_not_listen_for_a_while_misses_nothing_and_then_hears_what_is_said_now():
    inlet = Inlet()
    for _ in range(10):
        inlet.put(SILENCE)
        inlet.take()
    for _ in range(1000):
        inlet.put(SILENCE)
    inlet.put(LOUD[: 2 * FRAME_BYTES])
    heard = [inlet.take() for _ in range(MOST_BYTES // FRAME_BYTES - 1)]
    assert any(frame != SILENCE for frame in heard)
    assert inlet.holes == 0


def test_a_frame_that_is_late_is_silence_and_the_next_waits_until_there_is_some_in_hand():
    inlet = Inlet()
    inlet.put(LOUD[: 2 * FRAME_BYTES])
    assert inlet.take() == LOUD[:FRAME_BYTES]
    assert inlet.take() == SILENCE
    assert inlet.holes == 1
    inlet.put(LOUD[:FRAME_BYTES])
    assert inlet.take() != SILENCE


def outflow(ppm, pauses, ticks=TICKS_OF_TEN_MINUTES, starts_at=0):
    """Run an outlet whose card is off; its holes, and what waited before each frame, in bytes."""
    outlet, sound = Outlet(), voice(pauses)
    waiting, at, played = 0, 0, 0
    seen = []
    for tick in range(ticks):
        frame = (sound + sound)[at : at + FRAME_BYTES]
        at = (at + FRAME_BYTES) % len(sound)
        if tick == starts_at:
            played = int(tick * FRAME_SAMPLES * (1 + ppm / 1e6))
        if tick >= starts_at:
            due = int(tick * FRAME_SAMPLES * (1 + ppm / 1e6)) - played
            chunk = due // CHUNK * CHUNK
            played += chunk
            waiting = max(0, waiting - 2 * chunk)
        seen.append(waiting)
        waiting += len(outlet.offer(frame, waiting))
    return outlet, seen


@pytest.mark.parametrize("pauses", [True, False])
@pytest.mark.parametrize("ppm", [-120, 0, 120])
def test_a_speaker_that_is_off_never_runs_dry_and_never_floods(ppm, pauses):
    outlet, seen = outflow(ppm, pauses)
    assert outlet.holes == 0
    assert min(seen[1000:]) > 0
    assert max(seen[3000 if pauses else 25_000 :]) <= 2 * (MARGIN + BAND + 2 * CHUNK)


def test_a_speaker_that_starts_late_is_no_fault_and_leaves_no_delay():
    outlet, seen = outflow(0, pauses=True, ticks=3000, starts_at=70)
    assert outlet.holes == 0
    assert max(seen[1000:]) <= 2 * (MARGIN + BAND + 2 * CHUNK)


def test_a_speaker_that_takes_nothing_gets_no_more_than_the_most():
    outlet, waiting = Outlet(), 0
    for _ in range(1000):
        waiting += len(outlet.offer(LOUD[:FRAME_BYTES], waiting))
    assert waiting <= MOST_BYTES
    assert outlet.holes > 0


@given(st.binary(min_size=FRAME_BYTES, max_size=FRAME_BYTES), st.integers(-FRAME_SAMPLES, FRAME_SAMPLES))
def test_a_fitted_frame_has_the_length_that_was_asked_for(frame, change):
    assert len(fitted(frame, change)) == FRAME_BYTES - 2 * change


def test_one_sample_goes_where_it_is_missed_least():
    wave = array("h", [int(8000 * math.sin(2 * math.pi * 400 * n / RATE_HZ)) for n in range(FRAME_SAMPLES)])
    steepest = max(abs(b - a) for a, b in itertools.pairwise(wave))
    for change in (-1, 1):
        told = array("h", fitted(wave.tobytes(), change))
        assert max(abs(b - a) for a, b in itertools.pairwise(told)) <= steepest + 1


@pytest.mark.parametrize(
    ("loudness", "before", "is_pause"),
    [(0, 101, True), (QUIET, 101, True), (300, 300, False), (300, 20_000, True), (400, 20_000, False)],
)
def test_what_is_a_pause_after_what_was_loud_before(loudness, before, is_pause):
    pace = Pace()
    for _ in range(LOOK_BACK):
        pace.step(MARGIN + BAND + 50, flat(before))
    assert pace.step(MARGIN + BAND + 50, flat(loudness)) == (50 if is_pause else 0)


def flat(loudness):
    return array("h", [loudness, -loudness] * (FRAME_SAMPLES // 2)).tobytes()


def test_a_hole_raises_the_margin_up_to_a_bound_and_calm_lowers_it():
    pace = Pace()
    for _ in range(100):
        pace.hole()
    assert pace.margin == MOST_MARGIN
    for _ in range(10_000):
        pace.step(MOST_MARGIN + 1, LOUD[:FRAME_BYTES])
    assert pace.margin == MARGIN
