"""What a person does in a call by single keys, and the moving line that shows it.  I/O: softphone, screen.

`call` and `listen` share it. A key that comes too late, or that the other side will not have, is a line on the screen
and no more: a call is not lost over it.
"""

import time
from typing import Final

from adapter.screen import Screen
from adapter.softphone import events
from adapter.softphone.phone import PhoneError, Softphone
from adapter.sound_words import verdict

HELP: Final = "keys: m mute, p hold, + and - volume, 0-9 * # dial, h hang up"
NO_TRANSFER: Final = (
    "nobody is handed over: the other phone would call where nobody has proved who answers; let them call each other"
)
VOLUMES: Final = (0, 25, 50, 75, 100, 150, 200, 300)
"""What + and - go through, in percent."""
DIAL_KEYS: Final = frozenset("0123456789*#")
METER_CELLS: Final = 5
QUIETEST: Final = 0.02
"""A level that is not worth a cell."""


class Talk:
    """One call that is up; a new one for each."""

    def __init__(self, phone: Softphone, screen: Screen, *, peer: str, call: int) -> None:
        """`call` is the phone's number of it."""
        self._phone, self._screen, self._peer, self._call = phone, screen, peer, call
        self.is_shown = True
        """The moving line is this call's."""
        self._since = time.monotonic()
        self._muted = self._held = self._held_there = False
        self._volume = VOLUMES.index(100)
        self._levels = self._quality = ""

    def begin(self, *, has_keys: bool) -> None:
        """Show that the call is up, and which keys there are where somebody can press them."""
        if has_keys:
            self._screen.show({"event": "keys", "text": HELP})
        self.show()

    async def press(self, key: str) -> bool:
        """Do what a key stands for; False where it stands for nothing here."""
        try:
            return await self._press(key)
        except PhoneError as error:
            self._screen.show({"event": "warning", "text": str(error), "hint": ""})
            return True

    def note(self, event: events.Event) -> None:
        """Take what the phone tells of the call into the moving line."""
        match event:
            case events.Levels(microphone=microphone, speaker=speaker):
                self._levels = f"you {meter(microphone)} {self._peer} {meter(speaker)}"
            case events.Quality(mos=mos):
                self._quality = f"sounds {verdict(mos)}"
            case events.Held(on=on, here=True):
                self._held = on
            case events.Held(on=on):
                self._held_there = on
            case _:
                return
        self.show()

    async def _press(self, key: str) -> bool:
        match key:
            case "m":
                await self._phone.mute(on=not self._muted, call=self._call)
                self._muted = not self._muted
                self._screen.show({"event": "muted", "on": self._muted})
            case "p":
                await self._phone.hold(on=not self._held, call=self._call)  # Held follows
            case "+" | "=" | "-":
                step = -1 if key == "-" else 1
                self._volume = min(max(0, self._volume + step), len(VOLUMES) - 1)
                await self._phone.volume(VOLUMES[self._volume], call=self._call)
            case "t":
                self._screen.show({"event": "keys", "text": NO_TRANSFER})
            case "?":
                self._screen.show({"event": "keys", "text": HELP})
            case _ if key in DIAL_KEYS:
                await self._phone.digits(key, call=self._call)
                self._screen.show({"event": "dialled", "digits": key})
            case _:
                return False
        self.show()
        return True

    def show(self) -> None:
        """Set the moving line to this call, where it is this call's."""
        if not self.is_shown:
            return
        states = [
            "muted" if self._muted else "",
            "on hold" if self._held else "",
            f"{self._peer} holds" if self._held_there else "",
            f"volume {VOLUMES[self._volume]} %" if VOLUMES[self._volume] != 100 else "",  # noqa: PLR2004 -- as it comes
        ]
        words = ["in call with", self._peer, *(f"({state})" for state in states if state), self._levels, self._quality]
        self._screen.wait(" ".join(filter(None, words)), since=self._since)


def meter(level: float) -> str:
    """Return a level of 0.0 to 1.0 as a bar of METER_CELLS characters."""
    cells = 0 if level < QUIETEST else max(1, min(METER_CELLS, round(level * METER_CELLS)))
    return "|" * cells + "." * (METER_CELLS - cells)
