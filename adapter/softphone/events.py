"""What the softphone's child process tells: the life of a registration and of a call.

I/O: none. Times are seconds of CLOCK_MONOTONIC, which all processes of a host share.
"""

from dataclasses import dataclass
from typing import Final

from adapter.softphone.message import Message
from adapter.softphone.quality import TROUBLES
from overlay.errors import LocalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Message):
    """What the child tells the parent."""

    at: float
    """When, in seconds of CLOCK_MONOTONIC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent(Event):
    """What the child tells of one of its calls."""

    call: int = 0
    """Which one: a number of its own for each call of a phone, above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Event):
    """The user agent runs."""

    address: str
    """`host:port` of its SIP socket."""
    tls: str = ""
    """`host:port` where it takes SIP over TLS, or empty."""
    fingerprint: str = ""
    """SHA-256 of its certificate in hexadecimal, or empty: made at start, in memory alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Event):
    """The command was carried out."""

    about: str
    """Kind of the command, such as `call`."""
    call: int = 0
    """The number of the call that was placed; 0 for every other command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """The command could not be carried out."""

    about: str
    """Kind of the command."""
    reason: str
    """Why, in plain words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(Event):
    """The registrar answered a REGISTER, ours or a refresh; 200 is good, 408 means no answer."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trying(CallEvent):
    """100 came: the first from the adapter, one after Redirected from the other phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ringing(CallEvent):
    """The other phone rings (180, 182, 183)."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirected(CallEvent):
    """A 302 came, passed the checks, and the next INVITE goes to its Contact."""

    contact: str
    """The Contact's URI as it stood in the 302."""
    fingerprint: str = ""
    """SHA-256 in hexadecimal of the certificate that the other phone has to show, or empty: the call is plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming(CallEvent):
    """Somebody calls, and a line is free."""

    remote_uri: str
    """The From header's URI: unproven."""
    request_uri: str
    """What the INVITE asked for, parameters and all (the announcement token rides there)."""
    source: str
    """`host:port` that the INVITE came from."""
    fingerprint: str = ""
    """SHA-256 in hexadecimal of the certificate at the other end of the TLS connection; empty over UDP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(Incoming):
    """Somebody called and every line was taken: he heard 486 Busy Here, and nothing more is told of that call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Established(CallEvent):
    """200 and ACK passed, media runs."""

    status: int
    """200."""
    remote_uri: str
    """The URI that we called, the Contact of a 302 where one came; of an incoming call the unproven From."""
    media_remote: str
    """`host:port` that our RTP goes to, by the SDP; empty where the SDP gave no audio."""
    codec: str
    """Such as `G722`."""
    outgoing: bool
    encrypted: bool
    """SIP over TLS and SRTP. Whose certificate it was, Redirected or Incoming told."""
    setup_ms: float
    """From the INVITE (sent or received) to here."""
    srtp: bool = False
    """The sound goes as SRTP; where the call is not `encrypted`, its keys went through SIP in the clear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels(Event):
    """How loud the call is just now; only where Open asked for it."""

    microphone: float
    """0.0 to 1.0."""
    speaker: float
    """The other side, 0.0 to 1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(CallEvent):
    """The call is on hold, or goes on: no sound is expected while it is."""

    on: bool
    here: bool
    """We did it; False: the other side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digit(CallEvent):
    """The other side pressed a key of its dial pad."""

    digit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred(CallEvent):
    """The other side asked this phone to call somebody else, which it does not do; the call goes on."""

    to: str
    """Whom, in the other side's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundLost(CallEvent):
    """A microphone or speaker went away, or could not be had; the call goes on without it."""

    what: str
    """`microphone` or `speaker`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality(CallEvent):
    """How the call has sounded for the last quality.WINDOW_S; shares of packets in percent."""

    codec: str
    loss_percent: float
    """What the network lost on the way to us."""
    late_percent: float
    """What came too late to be heard."""
    loss_there_percent: float
    """What the network lost on the way to the other side, by that side's reports."""
    jitter_ms: float
    rtt_ms: float
    """0.0 until the other side's first report, some 5 s into the call."""
    delay_ms: float
    """From mouth to ear, without what microphone and loudspeaker take."""
    rating: float
    """R of the E-model, 0 to 100 [ITU-T G.107]."""
    mos: float
    """Mean opinion score, 1.0 to 4.5, of a telephone call that sounds like this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubled(CallEvent):
    """Something began to spoil the sound, or no longer does."""

    trouble: str
    """One of quality.TROUBLES."""
    on: bool
    figure: float
    """A share of the packets, 0.0 to 1.0; of `delay` the milliseconds from mouth to ear."""

    def __post_init__(self) -> None:
        """Hold the trouble to its list; LocalError otherwise."""
        super(Troubled, self).__post_init__()  # zero-argument super() does not work in a slotted dataclass
        if self.trouble not in TROUBLES:
            raise LocalError(f"no such trouble: {self.trouble!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioLost(CallEvent):
    """Nothing was received for this long; SoundWatch hangs up later unless sound comes back."""

    seconds: float


CAUSES: Final = (
    "hung up here",
    "hung up there",
    "refused",
    "unreachable",
    "not answered",
    "redirect refused",
    "not encrypted",
    "not verified",
    "no sound",
    "no media",
    "internal",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(CallEvent):
    """The call is over and its recording is complete on disk."""

    status: int
    """Last SIP status: 200 of a call that was up, the refusal's of one that was not, 487 given up, 408 no answer."""
    reason: str
    """Plain words: our own reason where we ended it, else the other side's reason phrase."""
    cause: str
    """One of CAUSES, for programs."""
    established: bool
    duration_s: float
    """From Established to the end; 0.0 for a call that never was."""
    packets_received: int = 0
    packets_sent: int = 0
    packets_lost: int = 0
    """RTP packets that the sequence numbers say should have come."""
    packets_late: int = 0
    """RTP packets that came after their turn."""
    packets_lost_there: int = 0
    """Packets of ours that the other side reported lost."""
    loss_percent: float = 0.0
    """Lost or late, of all that should have been heard."""
    jitter_ms: float = 0.0
    """Mean, of what we received."""
    rtt_ms: float = 0.0
    """The latest by RTCP; 0.0 where none came (first report after about 5 s)."""
    delay_ms: float = 0.0
    """From mouth to ear, without what microphone and loudspeaker take; 0.0 where nothing was heard, as for the rest."""
    codec: str = ""
    """Such as `G722`; of a call that was never up it is empty."""
    rating: float = 0.0
    """R of the E-model, 0 to 100, of the whole call as it was heard here [ITU-T G.107]."""
    mos: float = 0.0
    """Mean opinion score, 1.0 to 4.5."""
    heard_from: str = ""
    """`host:port` that RTP really came from."""
    microphone_holes: int = 0
    """Frames of 20 ms that our own microphone gave too late, or too many at once: the other side heard a gap."""
    speaker_holes: int = 0
    """The same of our speaker, which took no more."""

    def __post_init__(self) -> None:
        """Hold the cause to its list; LocalError otherwise."""
        super(Ended, self).__post_init__()  # zero-argument super() does not work in a slotted dataclass
        if self.cause not in CAUSES:
            raise LocalError(f"no such cause: {self.cause!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildDied(Event):
    """The child process is gone though nobody asked it to go; made by the parent, never on the wire."""

    reason: str
    in_call: bool = False
    """A call was up or being set up: it is over, and no Ended comes for it."""
    calls: tuple[int, ...] = ()
    """The numbers of these calls."""
