"""What the user wants: flags over variables over one TOML file over defaults, as one frozen value.  I/O: none itself.

The file is ``config.toml`` in the user's configuration directory, or the one of ``--config``; every key is a flag too::

    users = ["alice"]            # or user = "alice"
    bootstrap = "192.168.1.10:5480"     # without it, the network is asked
    overlay = "name of the overlay, where several announce themselves"
    sip = "192.168.1.20:5070"
    ring = "192.168.1.20:0"      # or ["192.168.1.20:0", "[2001:db8::20]:0"], to be in both rings
    state = "~/.local/state/secp2psip"
    accept = "everyone"          # whose calls are taken: "everyone", "contacts" or "nobody"; for some users
                                 # otherwise: ["contacts", "alice=nobody"]
    mic = "headset"              # microphone and speaker, as secp2psip devices names them
    speaker = "headset"
    code = "enrolment code, where the bootstrap server asks for one"
    overlay_key = "32 hexadecimal digits: the only bootstrap key to trust"

and two tables that are no flags: ``[phones]`` and ``[limits]`` (:mod:`adapter.config_tables`). Who set what:
:mod:`adapter.config_sources`, and ``secp2psip config``.

An unknown key is an error: a misspelt one must not pass in silence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import platformdirs

from adapter.config_sources import APP_NAME, Chosen, collect
from adapter.config_tables import read_limits, read_phones
from adapter.problems import UsageProblem
from adapter.sip.limits import DEFAULT_LIMITS, Limits
from adapter.sip.phone_secret import PhoneSecret
from adapter.whose_calls import WhoseCalls, read_whose_calls
from overlay.errors import LocalError, Secp2psipError
from overlay.ring.ids import spelt
from overlay.trust.identity import THUMBPRINT_BYTES, parse_aor
from overlay.trust.signed import check_overlay

DEFAULT_SIP_PORT: Final = 5070
DEFAULT_BOOTSTRAP_PORT: Final = 5480
MAX_USERS: Final = 32
"""Users of one adapter."""
MAX_PORT: Final = 65_535

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective configuration of one command."""

    state_dir: Path
    """Where keys, enrolments and the lock lie; one per device."""
    users: tuple[str, ...] = ()
    """Names as they are known on the ring; empty: the state directory or $USER decides."""
    bootstrap: Address | None = None
    """Host and port of the bootstrap server; needed for first registrations and renewals only, found if None."""
    overlay: str = ""
    """Which overlay to find, where several announce themselves; empty: the only one."""
    sip: Address | None = None
    """Where phones reach the adapter; None: the LAN address."""
    ring: Address | None = None
    """Where the other nodes reach the adapter; None: the LAN address, any port."""
    other_ring: Address | None = None
    """The same in the other family, for who is in both rings; None: one ring is enough."""
    accept: WhoseCalls = field(default_factory=WhoseCalls)
    """Whose calls are taken."""
    code: str = ""
    """Enrolment code, where the bootstrap server asks for one."""
    overlay_key: bytes | None = None
    """16-byte thumbprint of the only bootstrap key to trust."""
    mic: str = ""
    """The microphone of the built-in softphone; empty: the usual one."""
    speaker: str = ""
    """The same for its speaker."""
    via: Address | None = None
    """An adapter on another host to call through, as a phone of its user."""
    phones: Mapping[str, PhoneSecret] = field(default_factory=dict)
    """Users whose phones on other hosts are served, with what those prove themselves with."""
    limits: Limits = DEFAULT_LIMITS
    trace: bool = False
    """Show every protocol step."""
    json: bool = False
    """Write JSON lines for programs on standard output."""

    def __post_init__(self) -> None:
        if len(self.users) > MAX_USERS or len(set(self.users)) != len(self.users):
            raise LocalError(f"an adapter serves at most {MAX_USERS} users, each once")
        if self.overlay_key is not None and len(self.overlay_key) != THUMBPRINT_BYTES:
            raise LocalError(f"an overlay key's thumbprint has {THUMBPRINT_BYTES} bytes")


def load_settings(flags: Mapping[str, Any], *, config: Path | None = None) -> Settings:
    """Return `flags` (None: not given) over variables over the file over the defaults. Raises UsageProblem."""
    return settings_of(collect(flags, config=config), trace=bool(flags.get("trace")), json=bool(flags.get("json")))


def settings_of(sources: Mapping[str, Chosen], *, trace: bool = False, json: bool = False) -> Settings:
    """Return the settings that were chosen, checked, over the defaults. Raises UsageProblem."""
    chosen = {key: one.value for key, one in sources.items()}
    state = _text(chosen, "state")
    rings = _rings(chosen)
    return Settings(
        state_dir=Path(state).expanduser().absolute() if state else default_state_dir(),
        users=parse_users(chosen.get("users", [])),
        bootstrap=_bootstrap(chosen),
        sip=_address(chosen, "sip", DEFAULT_SIP_PORT),
        ring=rings[0],
        other_ring=rings[1],
        accept=read_whose_calls(chosen.get("accept", "")),
        code=_text(chosen, "code"),
        overlay=_overlay(_text(chosen, "overlay")),
        overlay_key=_overlay_key(_text(chosen, "overlay_key")),
        mic=_text(chosen, "mic"),
        speaker=_text(chosen, "speaker"),
        via=_address(chosen, "via", DEFAULT_SIP_PORT),
        phones=read_phones(chosen.get("phones", {})),
        limits=read_limits(chosen.get("limits", {})),
        trace=trace,
        json=json,
    )


def default_state_dir() -> Path:
    """Return the state directory of this device: ``~/.local/state/secp2psip`` where nothing else is set.

    Raises UsageProblem for a user without a home.
    """
    try:
        return platformdirs.user_state_path(APP_NAME)
    except RuntimeError:
        raise UsageProblem("there is no home directory", hint="set HOME, or name a place with --state DIR") from None


def parse_user(text: str) -> str:
    """Return the name that `text` means, in the spelling of the ring. Raises UsageProblem."""
    try:
        return parse_aor(text)
    except Secp2psipError:
        hint = "a name has 1 to 32 letters, digits, dots, hyphens or underscores and begins with a letter or digit"
        raise UsageProblem(f"{text!r} is not a user's name", hint=hint) from None


def parse_users(texts: object) -> tuple[str, ...]:
    """Return the names in `texts`, a list of them. Raises UsageProblem."""
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise UsageProblem("users is a list of names", hint='users = ["alice"]')
    names = tuple(dict.fromkeys(parse_user(text) for text in texts))
    if len(names) > MAX_USERS:
        raise UsageProblem(f"an adapter serves at most {MAX_USERS} users", hint="run a second one with --state DIR")
    return names


def parse_address(text: str, *, default_port: int, what: str = "address") -> Address:
    """Return (host, port) of ``HOST``, ``HOST:PORT`` or ``[IPV6]:PORT``. Raises UsageProblem."""
    hint = f"write HOST:PORT, for example 192.168.1.10:{default_port or 5480}"
    host, colon, port = text.strip().rpartition(":")
    if not colon or port.endswith("]") or _is_ipv6(text.strip()):
        host, port = text.strip(), str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or any(ch.isspace() or ch in "/@?#[]" for ch in host) or (":" in host and not _is_ipv6(host)):
        raise UsageProblem(f"{text!r} is no {what}", hint=hint)
    if not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise UsageProblem(f"{text!r} has no port between 0 and {MAX_PORT}", hint=hint)
    return host, int(port)


def format_address(address: Iterable[object]) -> str:
    """Return ``host:port``, with brackets around an IPv6 host."""
    host, port = address
    return spelt((host, port))


def _is_ipv6(host: str) -> bool:
    try:
        return ip_address(host).version == 6  # noqa: PLR2004 -- the version's own number
    except ValueError:
        return False


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, "")
    if not isinstance(value, str | Path):
        raise UsageProblem(f"{key} is a text", hint=f'{key} = "..."')
    return str(value)


def _address(values: Mapping[str, Any], key: str, default_port: int) -> Address | None:
    text = _text(values, key)
    return parse_address(text, default_port=default_port, what=f"{key} address") if text else None


def _rings(values: Mapping[str, Any]) -> tuple[Address | None, Address | None]:
    """Return where other nodes reach the adapter: nowhere said, at one address, or at one of each family."""
    given = values.get("ring") or []
    texts = given if isinstance(given, list | tuple) else [given]
    read = [address for text in texts if (address := _address({"ring": text}, "ring", 0)) is not None]
    if len(read) > 2 or len({":" in host for host, _ in read}) < len(read):  # noqa: PLR2004 -- the two families
        hint = "an adapter is in one ring of each family: --ring 192.168.1.20:0 --ring [2001:db8::20]:0"
        raise UsageProblem("there are two ring addresses of one family", hint=hint)
    first, second, *_ = (*read, None, None)
    return first, second


def _bootstrap(values: Mapping[str, Any]) -> Address | None:
    address = _address(values, "bootstrap", DEFAULT_BOOTSTRAP_PORT)
    if address is not None and address[1] == 0:
        raise UsageProblem("a bootstrap server has no port 0", hint="write the address that secp2psip-bootstrap shows")
    return address


def _overlay(text: str) -> str:
    if text:
        try:
            check_overlay(text)
        except LocalError as error:
            raise UsageProblem(f"{text!r} is no overlay: {error}", hint="secp2psip-bootstrap shows its name") from None
    return text


def _overlay_key(text: str) -> bytes | None:
    if not text:
        return None
    try:
        key = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        key = b""
    if len(key) != THUMBPRINT_BYTES:
        hint = "secp2psip-bootstrap shows it as its fingerprint: 32 hexadecimal digits"
        raise UsageProblem(f"{text!r} is not the fingerprint of an overlay key", hint=hint)
    return key
