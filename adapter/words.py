"""What each event is called in front of a person: one sentence per kind of event.  I/O: none.

Events come from the adapter service (step, ready, warning, receipt), from the softphone (registered, ringing,
established, ...) and from the commands themselves (calling, listening, adapter-gone, ...). Tables are in tables.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from adapter.pins import digits
from adapter.sound_words import figures, trouble_words

Event = Mapping[str, Any]
STEP_WIDTH: Final = 24
"""Characters of the longest step name, "302 Moved Temporarily", and some air."""
INDENT: Final[Mapping[str, int]] = {"finding": 9, "step": 14}
"""Columns before the text of an event that has something in front of it: what does not fit goes on below the text."""
MAX_DETAIL_CHARS: Final = 200
_OURS: Final = "bold magenta"
_SIP: Final = "bold cyan"
_GOOD: Final = "green"
_BAD: Final = "bold red"
_DOUBT: Final = "yellow"
_QUIET: Final = "dim"


def sentence(event: Event, *, trace: bool = False) -> Text | None:
    """Return the words for `event`, None where a person has no use for it. With `trace`, steps show their details."""
    if event["event"] == "step":
        return _step(event, trace=trace)
    words = _WORDS.get(event["event"])
    if words is None:
        return Text.assemble((f"{event['event']} ", _QUIET), details(event)) if trace else None
    return words(event)


def details(event: Mapping[str, Any], *, without: Sequence[str] = ("event",)) -> str:
    """Return `key=value` pairs on one line, bounded, without empty ones."""
    pairs = (f"{key}={_value(value)}" for key, value in event.items() if key not in without and value not in ("", None))
    text = "  ".join(pairs)
    return text if len(text) <= MAX_DETAIL_CHARS else text[: MAX_DETAIL_CHARS - 3] + "..."


def trust(event: Event) -> Text:
    """Return what is proved of the other side, in words [paper §II.C]."""
    if not event.get("verified"):
        if event.get("announced"):
            return Text("announced: the caller's adapter has just proved the key behind this name", style=_GOOD)
        if event.get("via"):
            return Text(f"not verified here: the adapter at {event['via']} says who this is", style=_DOUBT)
        return Text("not verified: nothing proves who this is", style=_DOUBT)
    needed, nodes = event.get("attackers_needed"), event.get("nodes")
    text = Text("verified", style=_GOOD)
    if event.get("basis") == "signatures":
        text = Text("verified by the bootstrap server's signatures alone (too few nodes to witness)", style=_DOUBT)
    if event.get("basis") == "pin":
        return Text("verified by the key known from earlier calls alone (the pieces do not bear it)", style=_DOUBT)
    if needed and nodes:
        text.append(f": {attack(needed, nodes)}")
    return text


def attack(needed: int, nodes: int) -> str:
    """Return how strong the key on the ring is: the fewest nodes that hold k pieces."""
    return f"an attacker needs {needed} of {nodes} nodes"


def plural(count: int, noun: str) -> str:
    """Return "1 node", "2 nodes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Return a length of time as a person says it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def name_in(uri: str) -> str:
    """Return the user part of a SIP URI, or the URI where it has none."""
    user, at, _host = uri.strip("<>").removeprefix("sips:").removeprefix("sip:").partition("@")
    return user if at else uri


def _step(event: Event, *, trace: bool) -> Text:
    name = str(event.get("step", ""))
    style = _OURS if name.startswith(("SECP2PSIP", "CHALLENGE", "PIECES", "STORED", "JOINED")) else _SIP
    if name[:3].isdigit() and name[0] in "456":
        style = _BAD
    text = Text.assemble((f"{float(event.get('at_ms', 0.0)):9.1f} ms  ", _QUIET), (name, style))
    detail = event.get("detail")
    if isinstance(detail, Mapping) and (words := details(detail) if trace else _whose(detail)):
        text.append(" " * max(1, STEP_WIDTH - len(name)))
        text.append(words, style=_QUIET)
    return text


def _whose(detail: Event) -> str:
    """Return whom a step is about, where it says so: an adapter serves several people, and several calls at once."""
    match detail:
        case {"caller": caller, "callee": callee}:
            return f"{caller} calls {callee}"
        case {"caller": caller}:
            return f"for {caller}"
        case {"says it is from": name}:
            return f"says it is from {name}"
        case {"user": user}:
            return f"for {user}"
    return ""


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(_value(item) for item in value)
    if isinstance(value, Mapping):
        return "{" + " ".join(f"{key}:{_value(item)}" for key, item in value.items()) + "}"
    return str(value)


def _ready(event: Event) -> Text:
    users = [str(user) for user in event.get("users", ())]
    text = Text.assemble(("ready", _GOOD), ", ")
    if event.get("ring"):
        text.append("on the ring at ").append(str(event["ring"]), style=_SIP)
    else:
        text.append("not on the ring yet: it joins when the first phone registers")
    text.append("\n\ntype this into the phone on this machine, as its registrar or domain (transport UDP")
    text.append(" or TCP" if event.get("sip_tcp") else "").append("):\n\n")
    for user in users:
        text.append(f"    {event.get('sip', '')}", style="bold")
        text.append(f"    user name {user}, any password\n")
    if event.get("sip_tls"):
        text.append(f"\nover TLS: {event['sip_tls']}, a certificate of its own with the SHA-256 fingerprint\n")
        text.append(f"    {event.get('tls_fingerprint', '')}\n", style=_QUIET)
    text.append("\nthen dial a name. Ctrl-C leaves the ring.")
    return text


def _warning(event: Event) -> Text:
    text = Text.assemble(("warning: ", _DOUBT), str(event.get("text", "")))
    if event.get("hint"):
        text.append(f"\nhint: {event['hint']}", style=_DOUBT)
    return text


def _registered(event: Event) -> Text | None:
    status = int(event.get("status", 200))
    if status != 200:  # noqa: PLR2004 -- SIP's OK
        return Text(f"the adapter refused the phone: {status} {event.get('reason', '')}", style=_BAD)
    user = event.get("user")
    return (
        Text.assemble(("registered", _GOOD), f" as {user} with the adapter at {event.get('adapter')}") if user else None
    )


def _calling(event: Event) -> Text:
    return Text.assemble("calling ", (str(event["to"]), "bold"), f" as {event['user']}")


def _discovered(event: Event) -> Text:
    trust = "the key known here" if event["known"] else "not seen before, and the only one trusted from now on"
    where = Text.assemble("found overlay ", (str(event["overlay"]), "bold"), f" at {event['bootstrap']}")
    return Text.assemble(where, "\nits key is ", (str(event["fingerprint"]), "bold"), f": {trust}")


def _redirected(event: Event) -> Text:
    return Text.assemble("redirected to the phone at ", (_bare(str(event["contact"])), "bold"))


def _incoming(event: Event) -> Text:
    who = name_in(str(event["remote_uri"]))
    if event.get("waiting"):
        return Text.assemble((f"{who} is calling too", "bold"), ": a puts this call on hold and answers, d declines")
    return Text.assemble((f"{who} is calling", "bold"), f" from {event.get('source', 'somewhere')}")


def _missed(event: Event) -> Text:
    how = "" if event.get("announced") else " (nobody announced it)"
    return Text(f"missed call from {event.get('peer')}{how}: another call was up", style=_DOUBT)


def _established(event: Event) -> Text:
    who = event.get("peer") or name_in(str(event.get("remote_uri", "")))
    text = Text.assemble("talking with ", (str(who), "bold"), f"  {event.get('codec', '')}")
    text.append(
        f"  sound goes straight to {event['media_remote']}" if event.get("media_remote") else "  no sound agreed"
    )
    text.append("\n").append(trust(event))
    if not event.get("encrypted") and event.get("srtp"):
        text.append("\nthe sound is encrypted", style=_DOUBT)
        who = "SRTP, whose keys went through SIP that anybody on the way could read; which phone it is nothing proves"
        return text.append(f": {who}", style=_QUIET)
    if not event.get("encrypted"):
        return text.append("\nnot encrypted: the call itself is plain SIP and RTP", style=_DOUBT)
    whose = (
        "each phone's certificate is the one that its user signed for"
        if event.get("verified")
        else f"with whom, the adapter at {event['via']} says"
        if event.get("via")
        else "with whom, nothing proves"
    )
    return text.append("\nencrypted", style=_GOOD).append(f": SIP over TLS, sound over SRTP; {whose}", style=_QUIET)


def _turned_away(event: Event) -> Text:
    text = Text(f"turned away a call that says it is from {event.get('peer')}", style=_DOUBT)
    return text.append(f": {event.get('why')}\nhint: --allow-unannounced takes such calls", style=_QUIET)


def _held(event: Event) -> Text:
    who = "you" if event.get("here") else "the other side"
    return Text(f"{who} put the call on hold" if event.get("on") else "the call goes on")


def _referred(event: Event) -> Text:
    who, whom = event.get("peer") or "the other side", name_in(str(event.get("to", "")))
    text = Text(f"{who} wants you to talk with {whom}: this phone calls nobody on another's word", style=_DOUBT)
    return text.append(f"\nhint: hang up and call {whom} yourself, so that the ring proves who that is", style=_QUIET)


def _audio_lost(event: Event) -> Text:
    return Text(f"nothing heard for {duration(event['seconds'])}", style=_DOUBT)


def _ended(event: Event) -> Text | None:
    if not event.get("established"):
        if not event.get("peer"):
            return None  # a call of our own that failed ends with an error line, which says more
        if event.get("cause") == "hung up here":
            return Text(f"declined the call from {event['peer']}")
        return Text(f"missed call from {event['peer']}: {event.get('reason')}", style=_DOUBT)
    text = Text.assemble(("call ended", _GOOD), f" after {duration(event.get('duration_s', 0.0))}")
    if event.get("reason"):
        text.append(f": {event['reason']}")
    if line := figures(event):
        text.append(f"\n{line}", style=_QUIET)
    return text


def _troubled(event: Event) -> Text:
    return Text(trouble_words(event, str(event.get("peer", "the other side"))), style=_DOUBT if event["on"] else _GOOD)


def _child_died(event: Event) -> Text:
    text = Text(f"the softphone's own process died: {event.get('reason', '')}", style=_BAD)
    peers = [str(peer) for peer in event.get("peers") or ()]
    return text.append(f"\nthe call with {' and '.join(peers)} is over") if peers else text


def _listening(event: Event) -> Text:
    how = "answering by itself" if event.get("auto_answer") else "press a to answer"
    return Text.assemble(("ready", _GOOD), ": ", (str(event["user"]), "bold"), f" can be called ({how}; Ctrl-C ends)")


def _adapter_gone(event: Event) -> Text:
    rest = "the call goes on without it" if event.get("in_call") else "waiting for it to come back"
    return Text(f"the adapter went away: {rest}", style=_DOUBT)


def _receipt(event: Event) -> Text | None:
    """Say what a receipt proves; the bare fact of the call was told by the softphone."""
    liars = event.get("liars") or ()
    if not liars:
        return None
    return Text(
        f"{plural(len(liars), 'node')} lied about {event.get('callee', 'the key')} and changed nothing", style=_DOUBT
    )


def _finding(event: Event) -> Text:
    style = {"good": _GOOD, "doubtful": _DOUBT, "bad": _BAD}[str(event["level"])]
    text = Text.assemble((f"{event['level']:<9}", style), (f"{event['check']}: ", "bold"), str(event["text"]))
    return text.append(f"\n{'':<9}hint: {event['hint']}", style=style) if event.get("hint") else text


def _key_changed(event: Event) -> Text:
    return Text.assemble(
        ("key changed", _GOOD),
        f": {event['user']} goes on with generation {event['generation']}, fingerprint "
        f"{digits(bytes.fromhex(event['thumbprint']))}; who knew the old key follows to this one",
    )


def _key_exported(event: Event) -> Text:
    text = Text.assemble(("key written", _GOOD), f": {event['user']}, {event['fingerprint']}, to {event['file']}. ")
    return text.append("Who has the file and the passphrase is this user: keep them apart")


def _key_imported(event: Event) -> Text:
    head = "key taken" if event["new"] else "this key was here already"
    text = Text.assemble((head, _GOOD), f": {event['user']}, {event['fingerprint']}. ")
    return text.append("Let it be used on one device at a time: of two, only the last heard of is called")


def _key_revoked(event: Event) -> Text:
    known = f"{plural(event['holders'], 'node')} of the ring know that the key of {event['user']} is revoked"
    if event["server"]:
        return Text.assemble(("key revoked", _GOOD), f": {known}, and so does the bootstrap server")
    return Text.assemble(
        ("being revoked", _DOUBT),
        f": {known}, and nothing of it is published from here any more; but the bootstrap server does not know yet:"
        f" {event['why']}. The wish is written down: the adapter of this device asks the server every minute, after a"
        " restart too, and secp2psip status tells how far it is",
    )


def _bare(uri: str) -> str:
    return uri.strip("<>").split(";", 1)[0].removeprefix("sip:")


_WORDS: Final[Mapping[str, Callable[[Event], Text | None]]] = {
    "ready": _ready,
    "discovered": _discovered,
    "finding": _finding,
    "warning": _warning,
    "receipt": _receipt,
    "registered": _registered,
    "calling": _calling,
    "trying": lambda _: None,
    "ringing": lambda _: Text("ringing"),
    "redirected": _redirected,
    "incoming": _incoming,
    "missed": _missed,
    "turned-away": _turned_away,
    "established": _established,
    "audio-lost": _audio_lost,
    "levels": lambda _: None,
    "quality": lambda _: None,
    "troubled": _troubled,
    "keys": lambda event: Text(str(event["text"]), style=_QUIET),
    "muted": lambda event: Text("muted: silence is sent" if event["on"] else "no longer muted"),
    "held": _held,
    "dialled": lambda event: Text(f"dialled {event['digits']}"),
    "digit": lambda event: Text(f"the other side dialled {event['digit']}"),
    "referred": _referred,
    "sound-lost": lambda event: Text(f"the {event['what']} went away: the call goes on without it", style=_BAD),
    "ended": _ended,
    "child-died": _child_died,
    "phone-back": lambda _: Text.assemble(("the softphone is back", _GOOD), "; calls can come again"),
    "listening": _listening,
    "adapter-gone": _adapter_gone,
    "adapter-back": lambda _: Text.assemble(("the adapter is back", _GOOD), "; registered again"),
    "key-changed": _key_changed,
    "key-exported": _key_exported,
    "key-imported": _key_imported,
    "key-revoked": _key_revoked,
    "interrupted": lambda event: Text(str(event.get("text", "ended by Ctrl-C")), style=_DOUBT),
    "stopped": lambda _: Text("left the ring"),
}
