"""twinkle-console with a virtual headset; of its settings only the two that let it follow a 302.  I/O: its pipe."""

from __future__ import annotations

import asyncio
import wave

from tests.interop.phones.base import Phone
from tests.interop.tool import InteropFailed, Tool

_RATE_HZ = 8000


class Twinkle(Phone):
    kind = "twinkle"
    program = "twinkle-console"

    async def start(self) -> None:
        seat = self.seat
        if seat.sound is None:
            raise InteropFailed("twinkle needs PulseAudio")
        home = seat.folder / ".twinkle"
        home.mkdir(exist_ok=True)
        (seat.folder / ".asoundrc").write_text(seat.sound.asoundrc())
        mic, speaker = f"mic_{seat.headset}", f"spk_{seat.headset}"
        system = {
            **dict.fromkeys(("dev_ringtone", "dev_speaker"), f"alsa:{speaker}"),
            "dev_mic": f"alsa:{mic}",
            "validate_audio_dev": "no",
            "alsa_play_period_size": "128",
            "alsa_capture_period_size": "32",
            "log_show_sip": "yes",
            "gui_use_systray": "no",
            **dict.fromkeys(("sip_udp_port", "sip_tcp_port"), str(seat.port)),
            "rtp_port": "8000",
            "sip_max_udp_size": "65535",
            **dict.fromkeys(("play_ringtone", "play_ringback", "call_waiting"), "no"),
        }
        profile = {
            "user_name": seat.user,
            "user_domain": seat.domain,
            "auth_name": seat.user,
            "auth_pass": seat.password or "none",
            "registrar": seat.domain,
            "register_at_startup": "yes",
            "registration_time": str(seat.expires_s),
            "codecs": "g711u,g711a",
            "ptime": "20",
            **dict.fromkeys(("speex_dsp_vad", "speex_dsp_agc", "speex_dsp_aec", "speex_dsp_nrd"), "no"),
            "allow_redirection": "yes",
            "ask_user_to_redirect": "no",
            "max_redirections": "5",
            "sip_transport": "udp",
            "ext_100rel": "disabled",
            **dict.fromkeys(("use_stun", "zrtp_enabled"), "no"),
        }
        for name, values in (("twinkle.sys", system), ("phone.cfg", profile)):
            (home / name).write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        self._pulse = {"PULSE_SERVER": f"unix:{seat.sound.socket}", "PULSE_LATENCY_MSEC": "60"}
        self._player = await self._side("paplay", f"--device={mic}", str(seat.voice.long))
        self._recorder = await self._side(
            "parec", f"--device={speaker}.monitor", f"--rate={_RATE_HZ}", "--channels=1", "--format=s16le"
        )
        await self.run("twinkle-console", "phone.cfg", env=self._pulse)
        if seat.answers:
            self.tool.say("auto_answer -a on")  # the profile's word for it is not heeded

    async def _side(self, *argv: str) -> Tool:
        return await Tool.start(argv[0], argv, log=self.seat.folder / f"{argv[0]}.out", env=self._pulse)

    async def call(self, name: str) -> None:
        self.tool.say(f"call {self.target(name)}")

    async def hang_up(self) -> None:
        self.tool.say("bye")

    async def decline(self) -> None:
        self.tool.say("reject")

    async def stop(self) -> None:
        if self._tool is None:
            return
        await self._tool.stop("quit")
        await asyncio.gather(self._player.stop(), self._recorder.stop())
        data = self._recorder.log.read_bytes()
        with wave.open(str(self.recording), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(_RATE_HZ)
            file.writeframes(data[: len(data) // 2 * 2])
