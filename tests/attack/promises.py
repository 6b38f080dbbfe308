"""What the rows must show, and what they show instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.attack.lies import LEAKED
from tests.attack.process_level import SILENT
from tests.attack.ring_level import DEAD, OVERWRITE, SYBILS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Row = dict[str, Any]

SET_UP_MS = 500
PROCESS_SET_UP_MS = 1_000
"""Of the same order, where the programs share a few cores with each other."""
RING_OK = 0.99
"""Share of calls that succeed in a ring whose nodes are evil up to the greatest share tried."""


class Promise(NamedTuple):
    """One sentence, the rows that it speaks of, and whether one of them keeps it."""

    sentence: str
    concerns: Callable[[Row], bool]
    holds: Callable[[Row], bool]
    anywhere: bool = False
    """One row that shows it is enough: how the baselines fail."""


def ours(row: Row) -> bool:
    return row["variant"] == "secp2psip"


def at_holders(row: Row) -> bool:
    return ours(row) and row["level"] == "holder"


PROMISES: Sequence[Promise] = (
    Promise(
        "secp2psip: fewer than k liars forge nothing, the dealing key leaked or not",
        lambda row: at_holders(row) and row["liars"] < row["k"],
        lambda row: row["forged"] == 0,
    ),
    Promise(
        "secp2psip: evil nodes alone, however many, forge nothing",
        lambda row: ours(row) and row["attack"] not in LEAKED,
        lambda row: row["forged"] == 0,
    ),
    Promise(
        "secp2psip: fewer than k liars stop no call",
        lambda row: at_holders(row) and row["liars"] < row["k"],
        lambda row: row["ok"] == row["calls"],
    ),
    Promise(
        "secp2psip: up to n-k droppers stop no call",
        lambda row: at_holders(row) and row["attack"] == "drop" and row["liars"] <= row["n"] - row["k"],
        lambda row: row["ok"] == row["calls"],
    ),
    Promise(
        f"secp2psip: {RING_OK:.0%} of calls succeed with up to 30 % of the ring evil",
        # who may enrol as often as it takes has all places of one user: docs/threats.md §6
        lambda row: ours(row) and row["level"] == "ring" and row["attack"] != SYBILS,
        lambda row: row["ok"] >= RING_OK * row["calls"],
    ),
    Promise(
        f"secp2psip: 95 of 100 calls are set up within {SET_UP_MS} ms, a fifth of the ring dead, round trips of 20 ms",
        lambda row: ours(row) and row["attack"] == DEAD,
        lambda row: row["p95_ms"] is not None and row["p95_ms"] < SET_UP_MS,
    ),
    Promise(
        "secp2psip: no message attack keeps an honest call from succeeding",
        lambda row: ours(row) and row["level"] == "message",
        lambda row: row["ok"] == row["calls"],
    ),
    Promise(
        "secp2psip, real processes: fewer than k liars, or a fifth stopped, forge nothing and stop no call",
        lambda row: ours(row) and row["level"] == "process",
        lambda row: row["forged"] == 0 and row["ok"] == row["calls"],
    ),
    Promise(
        f"secp2psip, real processes: 95 of 100 calls are set up within {PROCESS_SET_UP_MS} ms, a fifth stopped",
        lambda row: ours(row) and row["level"] == "process" and row["attack"] == SILENT,
        lambda row: row["p95_ms"] is not None and row["p95_ms"] < PROCESS_SET_UP_MS,
    ),
    Promise(
        "paper: one liar gets a key of its choice accepted",
        lambda row: row["variant"] == "paper" and row["level"] == "holder" and row["liars"] == 1,
        lambda row: row["forged"] > 0,
        anywhere=True,
    ),
    Promise(
        "stock: one outsider overwrites what a name stands for",
        lambda row: row["variant"] == "stock" and row["attack"] == OVERWRITE,
        lambda row: row["forged"] > 0,
        anywhere=True,
    ),
)


class Judged(NamedTuple):
    """A promise beside what became of it."""

    sentence: str
    rows: int
    """How many rows it was tried in; none is neither kept nor broken."""
    broken: tuple[Row, ...]


def judge(rows: Sequence[Row]) -> list[Judged]:
    """Return each promise with the rows that break it."""
    judged = []
    for promise in PROMISES:
        concerned = [row for row in rows if promise.concerns(row)]
        broken = [row for row in concerned if not promise.holds(row)]
        if promise.anywhere and len(broken) < len(concerned):
            broken = []
        judged.append(Judged(promise.sentence, len(concerned), tuple(broken)))
    return judged
