# What adapter/softphone uses of pjsua2-python 2.15.1.post1 (SWIG, no types of its own).
from collections.abc import Iterator, Sequence
from typing import Any

PJSIP_TRANSPORT_UDP: int
PJSIP_TRANSPORT_TLS: int
PJSIP_TLSV1_2_METHOD: int
PJ_SSL_SOCK_PROTO_TLS1_2: int
PJSIP_TP_STATE_CONNECTED: int
PJSIP_TP_STATE_DESTROY: int
PJSIP_TP_STATE_DISCONNECTED: int
PJMEDIA_SRTP_MANDATORY: int
PJMEDIA_TP_PROFILE_SRTP: int
PJMEDIA_SRTP_KEYING_SDES: int
PJSIP_REDIRECT_STOP: int
PJSIP_REDIRECT_ACCEPT_REPLACE: int
PJSIP_INV_STATE_EARLY: int
PJSIP_INV_STATE_CONFIRMED: int
PJSIP_INV_STATE_DISCONNECTED: int
PJSIP_EVENT_RX_MSG: int
PJMEDIA_FILE_NO_LOOP: int
PJMEDIA_TYPE_AUDIO: int
PJSUA_CALL_MEDIA_ACTIVE: int
PJSUA_CALL_MEDIA_LOCAL_HOLD: int
PJSUA_CALL_MEDIA_REMOTE_HOLD: int
PJSUA_CALL_UNHOLD: int
PJMEDIA_FORMAT_PCM: int
PJMEDIA_FRAME_TYPE_AUDIO: int
PJSUA_DESTROY_NO_RX_MSG: int
PJSUA_INVALID_ID: int

class Error(Exception):
    reason: str
    status: int
    def info(self, multi_line: bool = ...) -> str: ...

class UaConfig:
    threadCnt: int
    mainThreadOnly: bool
    maxCalls: int
    userAgent: str

class LogConfig:
    level: int
    consoleLevel: int
    msgLogging: int
    filename: str

class MediaConfig:
    noVad: bool
    ecTailLen: int

class JsonDocument:
    def writeObject(self, obj: MediaConfig) -> None: ...
    def readObject(self, obj: MediaConfig) -> None: ...
    def saveString(self) -> str: ...
    def loadString(self, text: str) -> None: ...

class EpConfig:
    uaConfig: UaConfig
    logConfig: LogConfig
    medConfig: MediaConfig

class SockOpt:
    level: int
    optName: int
    def setOptValInt(self, opt_val: int) -> None: ...

class SockOptVector:
    def append(self, value: SockOpt) -> None: ...

class SockOptParams:
    sockOpts: SockOptVector

class TlsConfig:
    certBuf: str
    privKeyBuf: str
    method: int
    proto: int
    verifyServer: bool
    verifyClient: bool
    requireClientCert: bool
    sockOptParams: SockOptParams

class IntVector:
    def append(self, value: int) -> None: ...

class SslCertInfo:
    raw: str

class TlsInfo:
    remoteAddr: str
    remoteCertInfo: SslCertInfo

class OnTransportStateParam:
    hnd: Any
    type: str
    state: int
    tlsInfo: TlsInfo

class TransportConfig:
    tlsConfig: TlsConfig
    sockOptParams: SockOptParams
    port: int
    portRange: int
    boundAddress: str

class TransportInfo:
    localName: str
    localAddress: str

class CodecInfo:
    codecId: str
    priority: int

class AudDevManager:
    def setNullDev(self) -> int: ...
    def getCaptureDevMedia(self) -> AudioMedia: ...

class SipRxData:
    info: str
    wholeMsg: str
    srcAddress: str

class OnRejectedIncomingCallParam:
    statusCode: int

class Endpoint:
    def libCreate(self) -> None: ...
    def libInit(self, config: EpConfig) -> None: ...
    def libStart(self) -> None: ...
    def libHandleEvents(self, msec_timeout: int) -> int: ...
    def libDestroy(self, flags: int = ...) -> None: ...
    def transportCreate(self, type: int, config: TransportConfig) -> int: ...  # noqa: A002
    def transportGetInfo(self, id: int) -> TransportInfo: ...  # noqa: A002
    def audDevManager(self) -> AudDevManager: ...
    def codecEnum2(self) -> Sequence[CodecInfo]: ...
    def codecSetPriority(self, codec_id: str, priority: int) -> None: ...
    def hangupAllCalls(self) -> None: ...
    def transportShutdown(self, tp: Any) -> None: ...
    def onTransportState(self, prm: OnTransportStateParam) -> None: ...
    def onRejectedIncomingCall(self, prm: OnRejectedIncomingCallParam) -> None: ...

class AccountRegConfig:
    registrarUri: str
    registerOnAdd: bool
    timeoutSec: int
    retryIntervalSec: int
    firstRetryIntervalSec: int
    dropCallsOnFail: bool

class AccountNatConfig:
    contactRewriteUse: int
    contactUseSrcPort: int
    viaRewriteUse: int
    sipOutboundUse: int
    sdpNatRewriteUse: int

class AuthCredInfo:
    def __init__(self, scheme: str, realm: str, username: str, dataType: int, data: str) -> None: ...

class AuthCredInfoVector:
    def append(self, item: AuthCredInfo) -> None: ...

class AccountSipConfig:
    transportId: int
    contactParams: str
    authCreds: AuthCredInfoVector

class SrtpOpt:
    keyings: IntVector

class AccountMediaConfig:
    srtpUse: int
    srtpSecureSignaling: int
    srtpOpt: SrtpOpt
    transportConfig: TransportConfig
    lockCodecEnabled: bool

class AccountConfig:
    idUri: str
    sipConfig: AccountSipConfig
    regConfig: AccountRegConfig
    natConfig: AccountNatConfig
    mediaConfig: AccountMediaConfig

class OnIncomingCallParam:
    callId: int
    rdata: SipRxData

class OnRegStateParam:
    status: int
    code: int
    reason: str
    expiration: int

class AccountInfo:
    regIsActive: bool
    regStatus: int

class Account:
    def create(self, config: AccountConfig) -> None: ...
    def shutdown(self) -> None: ...
    def getInfo(self) -> AccountInfo: ...
    def setRegistration(self, renew: bool) -> None: ...
    def onIncomingCall(self, prm: OnIncomingCallParam) -> None: ...
    def onRegState(self, prm: OnRegStateParam) -> None: ...

class CallSetting:
    audioCount: int
    videoCount: int
    flag: int

class CallOpParam:
    statusCode: int
    reason: str
    opt: CallSetting
    def __init__(self, useDefaultCallSetting: bool = ...) -> None: ...

class CallMediaInfo:
    type: int
    status: int
    index: int

class CallInfo:
    id: int
    state: int
    stateText: str
    lastStatusCode: int
    lastReason: str
    remoteUri: str
    media: Sequence[CallMediaInfo]

class SipTransaction:
    method: str
    state: int
    statusCode: int
    statusText: str

class TsxStateEventSrc:
    rdata: SipRxData

class TsxStateEvent:
    src: TsxStateEventSrc
    tsx: SipTransaction
    type: int

class SipEventBody:
    tsxState: TsxStateEvent

class SipEvent:
    type: int
    body: SipEventBody

class OnCallStateParam:
    e: SipEvent

class OnCallTsxStateParam:
    e: SipEvent

class OnCallMediaStateParam: ...

class OnCallTransferRequestParam:
    dstUri: str
    statusCode: int

class OnCallReplaceRequestParam:
    statusCode: int
    reason: str

class OnDtmfDigitParam:
    digit: str
    method: int

class OnStreamDestroyedParam:
    streamIdx: int

class OnCallRedirectedParam:
    targetUri: str
    e: SipEvent

class MathStat:
    n: int
    min: int
    max: int
    last: int
    mean: int

class RtcpStreamStat:
    pkt: int
    loss: int
    reorder: int
    dup: int
    discard: int
    jitterUsec: MathStat

class RtcpStat:
    rxStat: RtcpStreamStat
    txStat: RtcpStreamStat
    rttUsec: MathStat

class JbufState:
    avgDelayMsec: int

class StreamStat:
    rtcp: RtcpStat
    jbuf: JbufState

class StreamInfo:
    codecName: str
    codecClockRate: int
    remoteRtpAddress: str
    proto: int

class MediaTransportInfo:
    localRtpName: str
    srcRtpName: str

class Call:
    def __init__(self, acc: Account, call_id: int = ...) -> None: ...
    @staticmethod
    def __swig_destroy__(instance: Any) -> None: ...
    def getInfo(self) -> CallInfo: ...
    def getAudioMedia(self, med_idx: int) -> AudioMedia: ...
    def getStreamInfo(self, med_idx: int) -> StreamInfo: ...
    def getStreamStat(self, med_idx: int) -> StreamStat: ...
    def getMedTransportInfo(self, med_idx: int) -> MediaTransportInfo: ...
    def makeCall(self, dst_uri: str, prm: CallOpParam) -> None: ...
    def answer(self, prm: CallOpParam) -> None: ...
    def hangup(self, prm: CallOpParam) -> None: ...
    def setHold(self, prm: CallOpParam) -> None: ...
    def reinvite(self, prm: CallOpParam) -> None: ...
    def dialDtmf(self, digits: str) -> None: ...
    def onDtmfDigit(self, prm: OnDtmfDigitParam) -> None: ...
    def onCallState(self, prm: OnCallStateParam) -> None: ...
    def onCallTsxState(self, prm: OnCallTsxStateParam) -> None: ...
    def onCallMediaState(self, prm: OnCallMediaStateParam) -> None: ...
    def onStreamDestroyed(self, prm: OnStreamDestroyedParam) -> None: ...
    def onCallRedirected(self, prm: OnCallRedirectedParam) -> int: ...

class AudioMedia:
    @staticmethod
    def __swig_destroy__(instance: Any) -> None: ...
    def startTransmit(self, sink: AudioMedia) -> None: ...
    def stopTransmit(self, sink: AudioMedia) -> None: ...
    def adjustRxLevel(self, level: float) -> None: ...
    def adjustTxLevel(self, level: float) -> None: ...
    def getRxLevel(self) -> int: ...
    def getTxLevel(self) -> int: ...

class ByteVector:
    def __init__(self, data: Sequence[int] = ...) -> None: ...
    def __iter__(self) -> Iterator[int]: ...

class MediaFormatAudio:
    def init(
        self, formatId: int, clockRate: int, channelCount: int, frameTimeUsec: int, bitsPerSample: int
    ) -> None: ...

class MediaFrame:
    type: int
    buf: ByteVector
    size: int

class AudioMediaPort(AudioMedia):
    def __init__(self) -> None: ...
    def createPort(self, name: str, fmt: MediaFormatAudio) -> None: ...
    def onFrameRequested(self, frame: MediaFrame) -> None: ...
    def onFrameReceived(self, frame: MediaFrame) -> None: ...

class ToneDesc:
    freq1: int
    freq2: int
    on_msec: int
    off_msec: int

class ToneDescVector:
    def append(self, value: ToneDesc) -> None: ...

class ToneGenerator(AudioMedia):
    def createToneGenerator(self, clock_rate: int = ..., channel_count: int = ...) -> None: ...
    def play(self, tones: ToneDescVector, loop: bool = ...) -> None: ...

class AudioMediaPlayer(AudioMedia):
    def createPlayer(self, file_name: str, options: int = ...) -> None: ...

class AudioMediaRecorder(AudioMedia):
    def createRecorder(self, file_name: str) -> None: ...
