"""The bar that shows how loud a call is."""

import pytest

from adapter.commands.talking import METER_CELLS, VOLUMES, meter


@pytest.mark.parametrize(
    ("level", "bar"), [(0.0, "....."), (0.01, "....."), (0.03, "|...."), (0.5, "||..."), (1.0, "|||||")]
)
def test_a_level_is_a_bar(level, bar):
    assert meter(level) == bar
    assert len(bar) == METER_CELLS


def test_the_usual_volume_is_among_the_steps():
    assert 100 in VOLUMES
    assert list(VOLUMES) == sorted(VOLUMES)
