"""Which cells are played: the whole of `make attack`, and the few of `make attack-quick`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.attack import holder_level, message_level, process_level, ring_level, stock
from tests.attack.lies import ATTACKS, LEAKED
from tests.attack.rows import Cell

if TYPE_CHECKING:
    from collections.abc import Callable

THRESHOLDS = ((3, 7), (4, 10))
HOLDER_CALLS = 500
QUICK_HOLDER_CALLS = 20
NOBODY = "nobody lies"
PAPER_HOLDER_ATTACKS = ("drop", "garbage", "chosen key, colluding")
"""Those that the plain scheme is shown with at the second threshold."""
VARIANTS = ("secp2psip", "paper", "stock")
PAPER_RING_ATTACKS = ("lie", "wrong successor")
"""Silence and fake neighbours hit the look-ups, which here are the same for both."""

RING_NODES = 200
RING_CALLS = 200
QUICK_RING_CALLS = 10
MESSAGE_CALLS = 100
EVIL_SHARES = (0.1, 0.2, 0.3)
SYBIL_COUNTS = (2, 4, 7, 14)
PROCESS_CALLS = 20
SILENT_CALLS = 40


def whole(seed: int) -> list[Cell]:
    """Return every cell, those that take longest first."""
    rings = [
        *_rings(seed, "secp2psip", ring_level.ATTACKS, EVIL_SHARES, RING_CALLS),
        *_rings(seed, "paper", PAPER_RING_ATTACKS, EVIL_SHARES, RING_CALLS),
        *_rings(seed, "stock", stock.ATTACKS, EVIL_SHARES, RING_CALLS),
        *(_ring(seed, "secp2psip", ring_level.SYBILS, count, RING_CALLS) for count in SYBIL_COUNTS),
        *_rings(seed, "secp2psip", (ring_level.DEAD,), EVIL_SHARES[:2], RING_CALLS),
        *(_ring(seed, variant, ring_level.OVERWRITE, 1, RING_CALLS) for variant in ("secp2psip", "stock")),
        *(_ring(seed, variant, NOBODY, 0, RING_CALLS) for variant in VARIANTS),
    ]
    return (
        rings + _messages(seed, MESSAGE_CALLS) + _holders(seed, THRESHOLDS, HOLDER_CALLS, lambda k, n: range(1, n + 1))
    )


def processes(seed: int) -> list[Cell]:
    """Return the cells that are played by real processes, on one ring, one after the other."""
    k, n = THRESHOLDS[0]

    def cell(attack: str, liars: int, calls: int) -> Cell:
        return Cell(
            variant="secp2psip",
            attack=attack,
            level="process",
            liars=liars,
            of=process_level.NODES,
            k=k,
            n=n,
            calls=calls,
            seed=seed,
        )

    liars = [cell(attack, k - 1, PROCESS_CALLS) for attack in process_level.ATTACKS]
    silent = cell(process_level.SILENT, process_level.NODES // 5, SILENT_CALLS)
    return [cell(NOBODY, 0, PROCESS_CALLS), *liars, silent]


def quick(seed: int) -> list[Cell]:
    """Return one cell on either side of each promise."""
    rings = [
        *_rings(seed, "secp2psip", ("mix",), EVIL_SHARES[-1:], QUICK_RING_CALLS),
        *_rings(seed, "secp2psip", (ring_level.DEAD,), EVIL_SHARES[1:2], 2 * QUICK_RING_CALLS),
        *(_ring(seed, variant, ring_level.OVERWRITE, 1, QUICK_RING_CALLS) for variant in ("secp2psip", "stock")),
    ]
    return (
        rings
        + _messages(seed, QUICK_RING_CALLS)
        + _holders(seed, THRESHOLDS[:1], QUICK_HOLDER_CALLS, lambda k, n: (1, k - 1, k, n - k, n))
    )


def play(cell: Cell) -> dict[str, Any]:
    """Play one cell and return its row."""
    if cell.level != "ring":
        return (holder_level if cell.level == "holder" else message_level).run(cell)
    return stock.run(cell) if cell.variant == "stock" else ring_level.run(cell)


def _messages(seed: int, calls: int) -> list[Cell]:
    k, n = THRESHOLDS[0]
    return [
        Cell(
            variant="secp2psip",
            attack=attack,
            level="message",
            liars=1,
            of=n + 2,
            k=k,
            n=n,
            calls=calls,
            seed=seed,
        )
        for attack in message_level.ATTACKS
    ]


def _rings(seed: int, variant: str, attacks: Any, shares: Any, calls: int) -> list[Cell]:
    return [_ring(seed, variant, attack, round(share * RING_NODES), calls) for share in shares for attack in attacks]


def _ring(seed: int, variant: str, attack: str, liars: int, calls: int) -> Cell:
    k, n = THRESHOLDS[0]
    return Cell(
        variant=variant, attack=attack, level="ring", liars=liars, of=RING_NODES, k=k, n=n, calls=calls, seed=seed
    )


def _holders(seed: int, thresholds: Any, calls: int, liars: Callable[[int, int], Any]) -> list[Cell]:
    cells = []
    for k, n in thresholds:
        for variant in ("secp2psip", "paper"):

            def cell(attack: str, count: int, variant: str = variant, k: int = k, n: int = n) -> Cell:
                return Cell(
                    variant=variant, attack=attack, level="holder", liars=count, of=n, k=k, n=n, calls=calls, seed=seed
                )

            # the plain scheme looks at no signature: a leaked key changes nothing for it
            attacks = [attack for attack in ATTACKS if variant == "secp2psip" or attack not in LEAKED]
            if variant == "paper" and (k, n) != THRESHOLDS[0]:
                attacks = [attack for attack in attacks if attack in PAPER_HOLDER_ATTACKS]
            cells.append(cell(NOBODY, 0))
            cells.extend(cell(attack, count) for attack in attacks for count in sorted(set(liars(k, n))))
    return cells
