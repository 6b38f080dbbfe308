"""PJSIP set up as one user agent.  I/O: UDP and TLS sockets, by PJSIP.  Run by the child process alone.

Two accounts of one user: a plain one, over UDP, which registers, and an encrypted one, over TLS with SRTP, for calls
whose other phone names its certificate. Which of them a call belongs to is decided by the transport of its INVITE.
Where the adapter asks for a password there is a third, plain and without it, for the phones that a 302 leads to.

No worker thread for SIP: every callback comes out of `poll`, on the loop's thread. Sound runs on PJSIP's null device.
"""

import contextlib
import json
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pjsua2 as pj

from adapter.calls.contacts import FINGERPRINT_PARAMETER, TLS_PORT_PARAMETER
from adapter.sip.certificate import make_certificate
from adapter.softphone.certificates import Certificates, fingerprint_of
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
JITTER_MAX_MS: Final = 160
"""What a network that stood still can make of that: for good, since PJSIP gives it back by dropping frames of speech
alone. Room for Wi-Fi that saves power and hands over ten times a second."""
JITTER_NO_DISCARD: Final = 0
"""PJMEDIA_JB_DISCARD_NONE."""
MAX_CALLS: Final = 4
"""What the wheel was built for; PJSIP answers 486 to more by itself."""
LOG_LEVEL: Final = 4
"""Level 5 would write SRTP keys into the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Whom PJSIP's callbacks reach; all of them come out of `poll`."""

    incoming: Callable[[pj.Account, pj.OnIncomingCallParam], None]
    """An INVITE came, on this account."""
    registration: Callable[[int, str], None]
    """Status and reason of an answer to REGISTER."""
    rejected: Callable[[], None]
    """PJSIP turned an INVITE away by itself."""
    mismatch: Callable[[], None]
    """At the other end is not the certificate that is demanded; nothing was sent over that connection."""


class UserAgent:
    """PJSIP's endpoint, transports and accounts, from start to orderly end."""

    def __init__(self, plan: Open, handlers: Handlers) -> None:
        """Start PJSIP; raises pj.Error where the address or a codec cannot be had."""
        self.certificates = Certificates()
        self._endpoint = _Endpoint(handlers, self.certificates)
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
        udp = self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, _udp_config(plan.host))
        self.address = self._endpoint.transportGetInfo(udp).localName
        self.tls = self.fingerprint = ""
        tls = pj.PJSUA_INVALID_ID
        if plan.encrypt:
            config_tls, self.fingerprint = _tls_config(plan.host)
            tls = self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_TLS, config_tls)
            self.tls = self._endpoint.transportGetInfo(tls).localName
        self._endpoint.libStart()
        self._devices = self._endpoint.audDevManager()
        self._devices.setNullDev()
        self._order_codecs(plan.codecs)
        self.account: pj.Account = _Account(handlers)
        self.account.create(self._registering(plan, transport=udp))
        self.bare: pj.Account | None = None
        self.encrypted: pj.Account | None = None
        if plan.password:
            self.bare = _Account(handlers)
            self.bare.create(_plain(plan, transport=udp))
        if self.tls:
            self.encrypted = _Account(handlers)
            self.encrypted.create(_encrypted(_account_config(plan, transport=tls)))

    def poll(self) -> bool:
        """Look at sockets and timers once, without waiting; tell whether there was anything (gate.py: its cost)."""
        return self._endpoint.libHandleEvents(0) > 0

    def silence(self) -> pj.AudioMedia:
        """Give the null device's microphone."""
        return self._devices.getCaptureDevMedia()

    def close(self) -> None:
        """End PJSIP; every call and file port has been destroyed before."""
        for account in filter(None, (self.account, self.bare, self.encrypted)):
            with contextlib.suppress(pj.Error):
                account.shutdown()
        with contextlib.suppress(pj.Error):
            self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_RX_MSG)  # 20 ms in place of a second of waiting for answers

    def _registering(self, plan: Open, *, transport: int) -> pj.AccountConfig:
        """Return the account that the adapter knows."""
        config = _plain(plan, transport=transport)
        if self.tls:
            # the adapter hands these on to callers who can make use of them
            port = self.tls.rpartition(":")[2]
            config.sipConfig.contactParams = f";{TLS_PORT_PARAMETER}={port};{FINGERPRINT_PARAMETER}={self.fingerprint}"
        if plan.registrar:
            config.regConfig.registrarUri = f"sip:{plan.registrar}"
        if plan.password:
            # for its realm alone; where a 302 leads to is called from `bare`: a phone there could ask for it too
            config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", plan.realm, plan.user, 0, plan.password))
        return config

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


_OVER: Final = frozenset({pj.PJSIP_TP_STATE_DISCONNECTED, pj.PJSIP_TP_STATE_DESTROY})


class _Endpoint(pj.Endpoint):
    def __init__(self, handlers: Handlers, certificates: Certificates) -> None:
        super().__init__()
        self._handlers = handlers
        self._certificates = certificates

    def onRejectedIncomingCall(self, prm: pj.OnRejectedIncomingCallParam) -> None:  # noqa: ARG002, N802  PJSIP's name
        self._handlers.rejected()

    def onTransportState(self, prm: pj.OnTransportStateParam) -> None:  # noqa: N802  PJSIP's name
        """Look at the other end's certificate before anything is sent to it.

        Without worker threads this comes before the INVITE that opened the connection leaves, and a connection that is
        shut here takes the INVITE with it.
        """
        if prm.type != "TLS":
            return
        link = int(prm.hnd)
        if prm.state in _OVER:
            self._certificates.ended(link)
        if prm.state != pj.PJSIP_TP_STATE_CONNECTED:
            return
        info = prm.tlsInfo  # kept: its members die with it
        if not self._certificates.connected(info.remoteAddr, fingerprint_of(info.remoteCertInfo.raw), link):
            self.transportShutdown(prm.hnd)
            self._handlers.mismatch()


class _Account(pj.Account):
    def __init__(self, handlers: Handlers) -> None:
        super().__init__()
        self._handlers = handlers

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802  PJSIP's name
        self._handlers.incoming(self, prm)

    def onRegState(self, prm: pj.OnRegStateParam) -> None:  # noqa: N802  PJSIP's name
        self._handlers.registration(prm.code, clip(prm.reason))


def _udp_config(host: str) -> pj.TransportConfig:
    transport = pj.TransportConfig()
    transport.port = 0
    transport.boundAddress = host
    transport.sockOptParams.sockOpts.append(_option(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES))
    return transport


def _tls_config(host: str) -> tuple[pj.TransportConfig, str]:
    """Return a TLS transport with a certificate of its own, made now and kept in memory alone, and its fingerprint.

    Nobody vouches for either end's certificate, so PJSIP verifies none: whose it is says the ring, by its fingerprint.
    Both ends have to show one.
    """
    pem = make_certificate(host, now=datetime.now(tz=UTC)).decode("ascii")
    transport = pj.TransportConfig()
    transport.port = 0
    transport.boundAddress = host
    tls = transport.tlsConfig
    tls.certBuf = tls.privKeyBuf = pem
    tls.method = pj.PJSIP_TLSV1_2_METHOD
    tls.proto = pj.PJ_SSL_SOCK_PROTO_TLS1_2
    tls.verifyServer = tls.verifyClient = False
    tls.requireClientCert = True
    # without it the 200 waits for the acknowledgement of the 100: 40 ms of call set-up
    tls.sockOptParams.sockOpts.append(_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1))
    return transport, fingerprint_of(pem)


def _option(level: int, name: int, value: int) -> pj.SockOpt:
    option = pj.SockOpt()
    option.level, option.optName = level, name
    option.setOptValInt(value)
    return option


def _encrypted(config: pj.AccountConfig) -> pj.AccountConfig:
    """Have an account speak SRTP and nothing else, its keys inside SIP over TLS [RFC 4568] [RFC 3711]."""
    # The other phone's BYE comes back over the connection of our INVITE, which is known and stands; to our listener it
    # would have to open one of its own first, and a phone that ends would be gone before.
    config.natConfig.contactUseSrcPort = 1
    _speak_srtp(config.mediaConfig, over_tls_alone=True)
    return config


def _speak_srtp(media: pj.AccountMediaConfig, *, over_tls_alone: bool) -> None:
    """Have an account speak SRTP and nothing else; PJSIP refuses then, or does not, to send keys over plain SIP."""
    media.srtpUse = pj.PJMEDIA_SRTP_MANDATORY
    media.srtpSecureSignaling = int(over_tls_alone)
    keyings = pj.IntVector()
    keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
    media.srtpOpt.keyings = keyings


def _plain(plan: Open, *, transport: int) -> pj.AccountConfig:
    config = _account_config(plan, transport=transport)
    if plan.srtp:
        _speak_srtp(config.mediaConfig, over_tls_alone=False)
    return config


def _account_config(plan: Open, *, transport: int) -> pj.AccountConfig:
    config = pj.AccountConfig()
    # the address of record is the adapter's, which on this host has the same address as we [RFC 3261 §10]
    config.idUri = f"sip:{plan.user}@{plan.registrar.rpartition(':')[0] or plan.host}"
    config.sipConfig.transportId = transport
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
