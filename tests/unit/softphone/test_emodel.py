"""The E-model against the figures that the recommendations print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.softphone.emodel import CONCEALED, IMPAIRMENTS, Impairment, effective, mean_opinion, rating, too_late

G729A = Impairment(ie=11, bpl=19.0)
G7231 = Impairment(ie=15, bpl=16.1)


def test_the_defaults_give_the_recommendations_own_rating():
    assert round(rating(delay_ms=0, loss=0), 1) == 93.2  # G.107, clause 7.7


@pytest.mark.parametrize(("value", "mos"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_the_opinion_of_a_rating_is_that_of_the_table(value, mos):
    assert mean_opinion(value) == pytest.approx(mos, abs=0.01)  # G.107, table B.1


@pytest.mark.parametrize(
    ("delay_ms", "points"), [(150, 0), (200, 3), (250, 10), (300, 15), (400, 25), (500, 30), (600, 35), (800, 40)]
)
def test_a_delay_costs_what_the_planning_table_says(delay_ms, points):
    assert too_late(delay_ms) == pytest.approx(points, abs=1.5)  # G.113 (02/96), table 3


@pytest.mark.parametrize(
    ("impairment", "table"),
    [
        (G729A, {0: 11, 0.5: 13, 1: 15, 1.5: 17, 2: 19, 3: 23, 4: 26, 8: 36, 16: 49}),
        (G7231, {0: 15, 0.5: 17, 1: 19, 1.5: 22, 2: 24, 3: 27, 4: 32, 8: 41, 16: 55}),
    ],
    ids=["G.729A", "G.723.1"],
)
def test_loss_costs_what_the_planning_tables_say(impairment, table):
    for percent, points in table.items():  # G.113 (02/2001), appendix I, tables I.2 and I.3, random loss
        assert effective(impairment, percent / 100) == pytest.approx(points, abs=1.2), percent


def test_losses_in_clusters_cost_more_than_losses_apart():
    assert effective(CONCEALED, 0.04, burst=2.0) > effective(CONCEALED, 0.04)


def test_every_codec_that_the_phone_speaks_has_its_values():
    from adapter.softphone.commands import CODECS

    assert set(CODECS) == set(IMPAIRMENTS)


@given(st.floats(0, 10_000), st.floats(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_more_delay_or_more_loss_never_makes_a_call_better(delay, more_delay, loss, more_loss):
    here = rating(delay_ms=delay, loss=loss)
    there = rating(delay_ms=delay + more_delay, loss=min(1.0, loss + more_loss))
    assert 0 <= there <= here + 0.06 <= 93.4  # the model itself gains that much in its first milliseconds
    assert 1.0 <= mean_opinion(there) <= mean_opinion(here) + 0.01 <= 4.5
