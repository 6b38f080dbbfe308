"""What a person is told of how a call sounds.  I/O: none."""

from collections.abc import Mapping
from typing import Any, Final

Event = Mapping[str, Any]
_VERDICTS: Final = ((4.03, "good"), (3.6, "fair"), (3.1, "poor"))
"""Mean opinion scores from which on users are satisfied, some are not, many are not [ITU-T G.107, annex B]."""

_TROUBLES: Final[Mapping[str, tuple[str, str]]] = {
    "loss": ("the network loses {percent} of the sound from {peer}", "the sound from {peer} comes whole again"),
    "loss there": (
        "the network loses {percent} of your sound on its way to {peer}",
        "your sound reaches {peer} whole again",
    ),
    "late": (
        "{percent} of the sound from {peer} comes too late to be heard",
        "the sound from {peer} comes in time again",
    ),
    "delay": (
        "the sound takes {seconds} each way: give {peer} time to answer",
        "the sound is quick again",
    ),
}
"""What begins, and that it is over; the names are those of softphone/quality.py."""


def verdict(mos: float) -> str:
    """Return a mean opinion score as a person says it, such as `good`."""
    return next((word for least, word in _VERDICTS if mos >= least), "bad")


def quality_words(event: Event) -> str:
    """Return how a call sounds in few words, such as `good (4.3)`; empty where nothing is known."""
    mos = float(event.get("mos") or 0.0)
    return f"{verdict(mos)} ({mos:.1f})" if mos else ""


def trouble_words(event: Event, peer: str) -> str:
    """Return what spoils the sound, or that it no longer does."""
    figure = float(event.get("figure", 0.0))
    begun, over = _TROUBLES.get(str(event.get("trouble")), ("", ""))
    words = begun if event.get("on") else over
    return words.format(percent=f"{100 * figure:.0f} %", seconds=f"{figure / 1000:.1f} s", peer=peer)


def figures(event: Event) -> str:
    """Return the figures of a call that is over, on one line; empty where no sound came."""
    received, lost = int(event.get("packets_received", 0)), int(event.get("packets_lost", 0))
    if not received + lost:
        return ""
    parts = [f"heard {received} packets, {lost} lost ({100 * lost / (received + lost):.1f} %)"]
    if event.get("packets_late"):
        parts.append(f"{event['packets_late']} too late")
    parts.append(f"jitter {event.get('jitter_ms', 0.0):.1f} ms")
    if event.get("rtt_ms"):
        parts.append(f"round trip {event['rtt_ms']:.1f} ms")
    if words := quality_words(event):
        parts.append(f"{event.get('codec', '')} sounded {words}".strip())
    return ", ".join(parts)
