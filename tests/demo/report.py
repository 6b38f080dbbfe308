"""What the demo shows while it runs, and its verdict.  I/O: the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_AUDIO = 0.9
MIN_OUTLIVED_S = 10


class Report:
    """Acts, ladders, tables and the verdict, on a terminal or in a log."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._failed: list[str] = []

    def act(self, title: str) -> None:
        """Begin an act."""
        self._console.print(f"\n[bold]{title}[/bold]")

    def say(self, text: str) -> None:
        """Say one thing that was seen."""
        self._console.print(f"  {text}", markup=False)

    def fail(self, text: str) -> None:
        """Say one thing that did not hold; the demo will not pass."""
        self._failed.append(text)
        self._console.print(f"  {text}", style="red", markup=False)

    def ladder(self, title: str, steps: Sequence[dict[str, Any]]) -> None:
        """Show protocol steps, each with its time and what is worth seeing of it."""
        self._console.print(f"  {title}:", markup=False)
        for step in steps:
            detail = " ".join(f"{key}={value}" for key, value in (step.get("detail") or {}).items())
            line = f"  {step['at_ms']:9.1f} ms  {step['step']:<24} {detail}"
            self._console.print(line[: max(80, self._console.width)], markup=False, overflow="crop", no_wrap=True)

    def pieces(self, user: str, found: dict[str, Any]) -> None:
        """Show where a user's pieces lie."""
        table = Table(title=f"{user}'s key pieces", title_justify="left", box=None)
        for column in ("piece", "node", "address", "verdict"):
            table.add_column(column)
        for piece in sorted(found["pieces"], key=lambda piece: piece["index"]):
            verdict = "good" if piece["ok"] else piece["why"]
            table.add_row(str(piece["index"]), piece["node"][:8], piece["address"], verdict)
        self._console.print(table)
        self.say(f"an attacker needs {found['attackers_needed']} of {found['nodes']} nodes")

    def verdict(self, figures: dict[str, Any]) -> bool:
        """Check every promise against the figures, show them, and return whether all held."""
        call, audio = figures["call"], figures["audio"]
        checks = {
            f"bob's pieces lie on {figures['n']} distinct nodes": figures["distinct_holders"] == figures["n"],
            "the call was answered with 200": call["established"] and call["status"] == 200,
            "a 302 came and the next INVITE went to its Contact": call["redirected"],
            "sound went straight from phone to phone": call["media_direct"],
            "bob's key was verified by 2k-1 distinct nodes": call["verified"],
            "alice was heard": audio["a_to_b"] >= MIN_AUDIO,
            "bob was heard": audio["b_to_a"] >= MIN_AUDIO,
            "a call without the bootstrap server": figures["bootstrap_dead_call"],
            "the call outlived the ring by 10 s of good sound": figures["ring_dead_audio_s"] >= MIN_OUTLIVED_S,
        }
        self.act("Verdict")
        for promise, held in checks.items():
            self._console.print(
                f"  {'held  ' if held else 'FAILED'}  {promise}", style=None if held else "red", markup=False
            )
        times = figures["timings_ms"]
        self.say(
            f"register {times['register_p50']} ms (median), INVITE to 302 {times['invite_to_302']} ms, "
            f"INVITE to 200 {times['invite_to_200']} ms"
        )
        return all(checks.values()) and not self._failed
