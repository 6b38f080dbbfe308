"""What `secp2psip contacts` does with the pins of this device, whoever owns them at the moment.  I/O: none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapter.pins import digits
from adapter.problems import Problem
from overlay.errors import LocalError
from overlay.trust.identity import parse_aor

if TYPE_CHECKING:
    from adapter.pins import Pin, Pins


def change_contacts(pins: Pins, verb: str, name: str) -> dict[str, Any]:
    """List, show, verify or forget, and return the answer. Raises Problem for a name that is no contact."""
    if verb == "list":
        return {"contacts": [contact_report(pin) for pin in pins.all()]}
    aor = parse_aor(name)
    pin = pins.get(aor)
    if pin is None:
        raise Problem(f"{aor} is no contact of this device", hint="call them first; secp2psip contacts lists them")
    if verb == "verify":
        return {"contacts": [contact_report(pins.verify(aor))]}
    if verb == "forget":
        pins.forget(aor)
    elif verb != "show":
        raise LocalError(f"contacts are listed, shown, verified or forgotten, not {verb}")
    return {"contacts": [contact_report(pin)]}


def contact_report(pin: Pin) -> dict[str, Any]:
    """Tell one contact."""
    return {
        "name": pin.aor,
        "fingerprint": digits(pin.thumbprint),
        "thumbprint": pin.thumbprint.hex(),
        "generation": pin.generation,
        "first_seen": round(pin.first_seen),
        "verified": pin.verified,
    }
