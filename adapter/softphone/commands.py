"""What the softphone asks of its child process.

I/O: none.
"""

from dataclasses import dataclass, field
from typing import Final

from adapter.softphone.message import Message

MAX_LINES: Final = 3
"""Calls at a time in one child. The wheel was built for four; the fourth is the one who hears busy and is told of."""
MAX_VOLUME: Final = 300
MAX_DIGITS: Final = 32
CODECS: Final = ("G722", "PCMU", "PCMA")
"""Best first. Speex is off: it distorts; iLBC, GSM and L16 have no use here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Message):
    """What the parent asks of the child."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCommand(Command):
    """What is asked of one call; Failed where there is none that it could mean."""

    call: int = 0
    """Its number, as events bear it; 0: the one that rings, for Answer and Ring, else the one that is not on hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(Command):
    """Start the user agent; answered by Opened or Failed."""

    host: str
    """IPv4 address that SIP and RTP bind to; ports are ephemeral."""
    user: str
    """User part of our own address `sip:user@host`."""
    registrar: str = ""
    """`host:port` of the adapter (UDP), or empty: no registration."""
    password: str = field(default="", repr=False)
    """What an adapter on another host asks for; empty: nothing is answered to a challenge."""
    realm: str = ""
    """The only realm that the password is good for."""
    play: str = ""
    """WAV file (mono, 16-bit PCM) that the other side hears; empty: silence."""
    loop: bool = True
    """Play the file again and again; False: once, silence after it."""
    record: str = ""
    """WAV file that takes what the other side says, 16 kHz; each call writes it anew; empty: none."""
    auto_answer: bool = False
    """Answer an incoming call at once."""
    lines: int = 1
    """Calls at a time, 1 to MAX_LINES; whoever calls beyond hears 486."""
    together: bool = False
    """They all go on at a time, as where a file is played to many; False: to answer one puts the other on hold."""
    codecs: tuple[str, ...] = CODECS
    """Codec names, best first; every other codec is off."""
    microphone: str = ""
    """What the other side hears, as devices.SoundEnd writes it, beside `play`; empty: no microphone."""
    speaker: str = ""
    """Where the other side is heard, and the tones of ringing; empty: nowhere."""
    levels: bool = False
    """Tell every LEVELS_EVERY_S how loud a call is."""
    encrypt: bool = True
    """Offer SIP over TLS and SRTP to phones that announce their certificate; False: none of it."""
    require_encryption: bool = False
    """Neither place nor take a call that is not encrypted."""
    srtp: bool = False
    """Speak SRTP and nothing else with phones that announce no certificate, its keys in plain SIP [RFC 4568 §9]."""
    forbidden: tuple[str, ...] = ()
    """`host:port` that a 302 must never send us to: our own adapter (the registrar always is one)."""
    log: str = ""
    """File for PJSIP's own log at level 4, or empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(Command):
    """Send a REGISTER; answered by Registered, or by Failed where none could be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unregister(Command):
    """Take the registration back and go on with what runs; Done once the registrar said so, or did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Command):
    """Place a call; Done once the INVITE left, Failed where it could not."""

    uri: str
    """SIP URI, mostly `sip:bob@ADAPTER:PORT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(CallCommand):
    """Answer the incoming call; Done or Failed. The call that is up is put on hold, but for Open.together."""

    status: int = 200
    """200 takes the call; 403, 480, 486 and 603 refuse it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUp(CallCommand):
    """End the call there is, in whatever state; always Done, Ended follows where there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring(CallCommand):
    """Ring for the call that waits to be answered; Done, without a sound where there is no speaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(CallCommand):
    """Send silence in place of our sound, or our sound again; Done, or Failed where no call is up."""

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(CallCommand):
    """Set how loud the other side is heard; Done, or Failed where no call is up."""

    percent: int
    """0 to MAX_VOLUME; 100 is as it comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(CallCommand):
    """Put the call on hold, or go on with it; Held follows. Failed where no call is up [RFC 3264 §8.4].

    To go on with one call puts the other on hold, but for Open.together.
    """

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits(CallCommand):
    """Send keys of the dial pad into the call; Done, or Failed where no call is up [RFC 4733]."""

    digits: str
    """1 to MAX_DIGITS of 0-9, *, # and A-D."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Command):
    """Hang up, unregister, exit; the child's end of the channel closes."""
