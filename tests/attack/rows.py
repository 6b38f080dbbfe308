"""One cell of the table: an attack, who carries it out, and what became of the calls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Z_95 = 1.959963984540054


class Verdict(Enum):
    """What a caller got."""

    OK = "ok"
    """A 302 to the callee's own phone."""
    REFUSED = "refused"
    """No 302: the phone was told why not."""
    STALE = "stale"
    """No 302, because an outdated record was followed to the end."""
    FORGED = "forged"
    """Somebody took a key that the name's owner never held, or was sent to a phone that is not the callee's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is tried."""

    variant: str
    """`paper`, `stock` or `secp2psip`."""
    attack: str
    level: str
    """`holder`, `ring` or `message`."""
    liars: int
    """Evil nodes that hold any copy; at the ring level all evil nodes."""
    of: int
    """Nodes that hold any copy; at the ring level all nodes."""
    k: int
    n: int
    calls: int
    seed: int

    @property
    def name(self) -> str:
        """What seeds the cell's dice, so that it plays the same alone and among others."""
        return f"{self.seed}/{self.variant}/{self.level}/{self.attack}/{self.liars}/{self.of}/{self.k}/{self.n}"


@dataclass
class Tally:
    """What became of the calls so far."""

    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    took_ms: list[float] = field(default_factory=list)
    """Set-up times of the calls that were ok, in milliseconds of the network's clock."""

    def add(self, verdict: Verdict, took_ms: float) -> None:
        self.verdicts[verdict] += 1
        if verdict is Verdict.OK:
            self.took_ms.append(took_ms)

    def row(self, cell: Cell, **more: Any) -> dict[str, Any]:
        calls = sum(self.verdicts.values())
        return {
            "variant": cell.variant,
            "attack": cell.attack,
            "level": cell.level,
            "liars": cell.liars,
            "of": cell.of,
            "k": cell.k,
            "n": cell.n,
            "calls": calls,
            **{verdict.value: count for verdict, count in self.verdicts.items()},
            "p50_ms": quantile(self.took_ms, 0.50),
            "p95_ms": quantile(self.took_ms, 0.95),
            "p99_ms": quantile(self.took_ms, 0.99),
            "ci95": [round(bound, 5) for bound in wilson(self.verdicts[Verdict.OK], calls)],
            **more,
        }


def quantile(values: list[float], share: float) -> float | None:
    """Return the smallest value that `share` of all do not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, by Wilson's score."""
    if of == 0:
        return (0.0, 1.0)
    share, z2 = hits / of, Z_95 * Z_95
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z_95 * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return (max(0.0, middle - half), min(1.0, middle + half))
