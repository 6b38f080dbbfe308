"""A few calls of the process level: the real programs, with liars among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from tests.attack import plan, process_level

CALLS = 4

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rows() -> dict[str, dict[str, Any]]:
    """Play every attack but the one that takes longest, all on one ring."""
    cells = [replace(cell, calls=CALLS) for cell in plan.processes(1) if cell.attack != process_level.SILENT]
    return {row["attack"]: row async for row in process_level.play(cells)}


@pytest.mark.parametrize("attack", process_level.ATTACKS)
async def test_fewer_than_k_lying_programs_forge_nothing_and_stop_no_call(rows, attack):
    assert (rows[attack]["ok"], rows[attack]["forged"]) == (CALLS, 0), rows[attack]


@pytest.mark.parametrize("attack", ["drop", "garbage", "chosen key, colluding", "leaked, solving"])
async def test_the_lies_were_met(rows, attack):
    assert rows[attack]["felt"] > 0
    assert rows[plan.NOBODY]["felt"] == 0
