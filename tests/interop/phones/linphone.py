"""linphonec with the account a person would set up: the adapter as proxy, and the adapter dialled.  I/O: its pipe."""

from __future__ import annotations

from tests.interop.phones.base import Phone

_OFF = ("opus/48000", "speex/8000", "speex/16000", "speex/32000", "BV16/8000", "G729/8000", "GSM/8000", "G722/8000")
"""Codecs that a tone does not survive or that the others have not."""
_ON = ("PCMU/8000", "PCMA/8000")


class Linphone(Phone):
    kind = "linphone"
    program = "linphonec"
    transports = frozenset({"udp", "tcp"})

    async def start(self) -> None:
        seat = self.seat
        (seat.folder / ".local/share/linphone").mkdir(parents=True, exist_ok=True)
        account = f"<sip:{seat.domain};transport={seat.transport}>"
        codecs = []
        for number, name in enumerate((*_ON, *_OFF)):
            mime, rate = name.split("/")
            codecs += [f"[audio_codec_{number}]", f"mime={mime}", f"rate={rate}", f"enabled={int(name in _ON)}"]
        lines = [
            *("[sip]", f"sip_port={seat.port}", f"sip_tcp_port={seat.port}", "sip_tls_port=-1", "guess_hostname=1"),
            *(f"use_ipv6={int(':' in seat.host)}", "default_proxy=0", "inc_timeout=60"),
            *(("media_encryption=srtp", "media_encryption_mandatory=1") if seat.srtp else ()),
            *("[net]", "mtu=1300", "download_bw=0", "upload_bw=0"),
            *("[rtp]", "audio_rtp_port=7078"),
            *("[sound]", "echocancellation=0", "agc=0"),
            *("[video]", "enabled=0", "capture=0", "display=0"),
            *("[misc]", "store_friends=0", "log_collection_upload_server_url="),
            *("[proxy_0]", f"reg_proxy={account}", f"reg_identity=sip:{seat.user}@{seat.domain}"),
            *(f"reg_expires={seat.expires_s}", "reg_sendregister=1", "publish=0"),
            *("[auth_info_0]", f"username={seat.user}", f"passwd={seat.password or 'none'}"),
            *codecs,
        ]
        (seat.folder / "rc").write_text("\n".join(lines) + "\n")
        log = seat.folder / "linphone-debug.log"
        tool = await self.run(
            "linphonec", *(["-a"] if seat.answers else []), "-c", str(seat.folder / "rc"), "-d", "5", "-l", str(log)
        )
        await tool.hear("linphonec> ", within_s=15)
        tool.say("soundcard use files")
        tool.say(f"play {seat.voice.long}")
        tool.say(f"record {self.recording}")

    async def call(self, name: str) -> None:
        self.tool.say(f"call {self.target(name)}")

    async def hang_up(self) -> None:
        self.tool.say("terminate")

    async def stop(self) -> None:
        if self._tool is not None:
            await self._tool.stop("quit")
