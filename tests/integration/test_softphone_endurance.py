"""Twenty calls in a row and five killed children, by the whole path: `make endurance` in small."""

import pytest

from tests.benchmarks.endurance import CHILD_KB, GROWTH, endure

pytestmark = pytest.mark.audio


async def test_calls_in_a_row_lose_nothing_and_a_killed_child_comes_back(tmp_path):
    report = await endure(tmp_path, calls=20, kills=5)
    calls, kills = report["calls"], report["kills"]
    assert calls["lost"] == []
    assert all(row["growth"] < GROWTH for row in calls["memory_kb"].values()), calls["memory_kb"]
    assert report["children_peak_kb"] <= CHILD_KB
    assert kills["kills"] >= 5
    assert kills["said"] == kills["recoveries"] > 0
    assert kills["calls_lost_after_it"] == 0
