"""PJSIP set up as one user agent with one account.  I/O: UDP sockets, by PJSIP.  Run by the child process alone.

No worker thread for SIP: every callback comes out of `poll`, on the loop's thread. Sound runs on PJSIP's null device.
"""

import contextlib
import json
import random
import socket
from collections.abc import Callable
from typing import Final

import pjsua2 as pj

from adapter.softphone.commands import Open
from adapter.softphone.gate import SOCKET_BUFFER_BYTES
from adapter.softphone.message import clip

EXPIRY_S: Final = 300
"""Registration lifetime asked for; PJSIP refreshes it by itself."""
RETRY_S: Final = 20
"""After a registration that failed for want of an answer."""
RTP_LOW: Final = 16_384
RTP_HIGH: Final = 32_704
"""RTP ports lie below the range that the kernel hands out by itself."""
RTP_SPAN: Final = 62
"""Four calls, two ports each, and room for ports that others took."""
RTP_DRAWS: Final = 50
JITTER_MS: Final = 60
"""Sound is held back this long, so that late packets find their place."""
JITTER_MAX_MS: Final = 240
JITTER_NO_DISCARD: Final = 0
"""PJMEDIA_JB_DISCARD_NONE."""
MAX_CALLS: Final = 4
"""What the wheel was built for; PJSIP answers 486 to more by itself."""
LOG_LEVEL: Final = 4
"""Level 5 would write SRTP keys into the log."""


class UserAgent:
    """PJSIP's endpoint, transport and account, from start to orderly end."""

    def __init__(
        self,
        plan: Open,
        *,
        on_incoming: Callable[[pj.OnIncomingCallParam], None],
        on_registration: Callable[[int, str], None],
        on_rejected: Callable[[], None],
    ) -> None:
        """Start PJSIP; raises pj.Error where the address or a codec cannot be had."""
        self._endpoint = _Endpoint(on_rejected)
        self._endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = MAX_CALLS
        config.uaConfig.userAgent = "secp2psip"
        config.logConfig.consoleLevel = 0
        config.logConfig.level = LOG_LEVEL if plan.log else 0
        config.logConfig.filename = plan.log
        config.logConfig.msgLogging = 0
        config.medConfig.noVad = True  # silence is sent too: who sends nothing is taken for dead
        config.medConfig.ecTailLen = 0  # no echo canceller works with the null device
        _fix_jitter_buffer(config.medConfig)
        self._endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.port = 0
        transport.boundAddress = plan.host
        buffer = pj.SockOpt()
        buffer.level, buffer.optName = socket.SOL_SOCKET, socket.SO_RCVBUF
        buffer.setOptValInt(SOCKET_BUFFER_BYTES)
        transport.sockOptParams.sockOpts.append(buffer)
        number = self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self._endpoint.libStart()
        self._devices = self._endpoint.audDevManager()
        self._devices.setNullDev()
        self._order_codecs(plan.codecs)
        self.address = self._endpoint.transportGetInfo(number).localName
        self.account: pj.Account = _Account(on_incoming, on_registration)
        self.account.create(_account_config(plan))

    def poll(self) -> bool:
        """Look at sockets and timers once, without waiting; tell whether there was anything (gate.py: its cost)."""
        return self._endpoint.libHandleEvents(0) > 0

    def silence(self) -> pj.AudioMedia:
        """Give the null device's microphone."""
        return self._devices.getCaptureDevMedia()

    def close(self) -> None:
        """End PJSIP; every call and file port has been destroyed before."""
        with contextlib.suppress(pj.Error):
            self.account.shutdown()
        with contextlib.suppress(pj.Error):
            self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_RX_MSG)  # 20 ms in place of a second of waiting for answers

    def _order_codecs(self, wanted: tuple[str, ...]) -> None:
        for codec in self._endpoint.codecEnum2():
            name = codec.codecId.partition("/")[0]
            priority = 255 - wanted.index(name) if name in wanted else 0
            self._endpoint.codecSetPriority(codec.codecId, priority)


def _fix_jitter_buffer(media: pj.MediaConfig) -> None:
    """Set a jitter buffer of constant depth: the adaptive one drops a frame of speech whenever the machine is busy.

    Measured on two cores with five busy loops: 4 of 117 windows of speech spoilt before, none of 116 after. What comes
    too fast, as from a quicker clock, still goes at JITTER_MAX_MS. The wrapper takes the kind of discarding by no other
    way than its JSON form.
    """
    written = pj.JsonDocument()
    written.writeObject(media)
    document = json.loads(written.saveString())
    document["MediaConfig"].update(
        jbDiscardAlgo=JITTER_NO_DISCARD,
        jbInit=JITTER_MS,
        jbMinPre=JITTER_MS,
        jbMaxPre=JITTER_MS,
        jbMax=JITTER_MAX_MS,
    )
    changed = pj.JsonDocument()
    changed.loadString(json.dumps(document))
    changed.readObject(media)


class _Endpoint(pj.Endpoint):
    def __init__(self, on_rejected: Callable[[], None]) -> None:
        super().__init__()
        self._on_rejected = on_rejected

    def onRejectedIncomingCall(self, prm: pj.OnRejectedIncomingCallParam) -> None:  # noqa: ARG002, N802  PJSIP's name
        self._on_rejected()


class _Account(pj.Account):
    def __init__(
        self, on_incoming: Callable[[pj.OnIncomingCallParam], None], on_registration: Callable[[int, str], None]
    ) -> None:
        super().__init__()
        self._on_incoming = on_incoming
        self._on_registration = on_registration

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802  PJSIP's name
        self._on_incoming(prm)

    def onRegState(self, prm: pj.OnRegStateParam) -> None:  # noqa: N802  PJSIP's name
        self._on_registration(prm.code, clip(prm.reason))


def _account_config(plan: Open) -> pj.AccountConfig:
    config = pj.AccountConfig()
    config.idUri = f"sip:{plan.user}@{plan.host}"
    if plan.registrar:
        config.regConfig.registrarUri = f"sip:{plan.registrar}"
    config.regConfig.registerOnAdd = False
    config.regConfig.timeoutSec = EXPIRY_S
    config.regConfig.retryIntervalSec = RETRY_S
    config.regConfig.dropCallsOnFail = False  # an adapter that died is no reason to end a call
    nat = config.natConfig  # with these as they come, the Contact would name a port that nobody can reach
    nat.contactUseSrcPort = nat.contactRewriteUse = nat.viaRewriteUse = nat.sipOutboundUse = 0
    config.mediaConfig.lockCodecEnabled = False  # no re-INVITE where the answer names two codecs
    media = config.mediaConfig.transportConfig
    media.boundAddress = plan.host
    media.port = _free_rtp_ports(plan.host)
    media.portRange = RTP_SPAN
    return config


def _free_rtp_ports(host: str) -> int:
    """Draw the even first port of a range of our own, so that two phones on one host rarely meet in one range."""
    draw = random.SystemRandom()
    for _ in range(RTP_DRAWS):
        port = draw.randrange(RTP_LOW, RTP_HIGH, RTP_SPAN + 2)
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for offset in (0, 1):
                probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                probe.bind((host, port + offset))
            return port
    return RTP_LOW  # PJSIP walks on by itself from a taken port
