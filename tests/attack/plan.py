"""Which cells are played: the whole of `make attack`, and the few of `make attack-quick`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.attack import holder_level
from tests.attack.lies import ATTACKS, LEAKED
from tests.attack.rows import Cell

if TYPE_CHECKING:
    from collections.abc import Callable

THRESHOLDS = ((3, 7), (4, 10))
HOLDER_CALLS = 500
QUICK_HOLDER_CALLS = 20
NOBODY = "nobody lies"

LEVELS: dict[str, Callable[[Cell], dict[str, Any]]] = {"holder": holder_level.run}


def whole(seed: int) -> list[Cell]:
    """Return every cell, those that take longest first."""
    return _holders(seed, THRESHOLDS, HOLDER_CALLS, lambda k, n: range(1, n + 1))


def quick(seed: int) -> list[Cell]:
    """Return one cell on either side of each promise."""
    return _holders(seed, THRESHOLDS[:1], QUICK_HOLDER_CALLS, lambda k, n: (1, k - 1, k, n - k, n))


def play(cell: Cell) -> dict[str, Any]:
    """Play one cell and return its row."""
    return LEVELS[cell.level](cell)


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
            cells.append(cell(NOBODY, 0))
            cells.extend(cell(attack, count) for attack in attacks for count in sorted(set(liars(k, n))))
    return cells
