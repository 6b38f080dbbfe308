"""Two things a phone needs that one process and one host do not show: a restart, and a phone on another host."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from adapter.kernel import SpoofableHost
from adapter.service import AdapterService
from adapter.service_config import ServiceConfig
from adapter.sip.endpoint import SipEndpoint
from adapter.sip.phone_secret import PhoneSecret
from adapter.sip.registrations import Registrations
from tests.integration.test_sip_endpoint import Service, register
from tests.support.sip_phone import UdpPhone, spell

if TYPE_CHECKING:
    from pathlib import Path


def make_endpoint(path: Path | None = None, **phones: str) -> SipEndpoint:
    return SipEndpoint(
        accepts=lambda host: host == "127.0.0.1",
        handler=Service(),
        registrations=None if path is None else Registrations(path),
        phones={user: PhoneSecret.from_password(user, word) for user, word in phones.items()},
    )


async def test_a_phone_is_reachable_and_may_call_right_after_a_restart(tmp_path):
    path = tmp_path / "phones.sqlite"
    endpoint = make_endpoint(path)
    await endpoint.open("127.0.0.1", 0)
    address = endpoint.address
    phone = await UdpPhone.open(address)
    assert (await register(phone)).status == 200
    await endpoint.close()

    endpoint = make_endpoint(path)
    await endpoint.open(*address)
    try:
        assert [binding.source for binding in endpoint.contacts("alice")] == [phone.address]
        uri = "sip:bob@127.0.0.1"
        phone.send(spell("INVITE", uri=uri, to=f"<{uri}>", call_id="call"))
        assert [(await phone.answer()).status, (await phone.answer()).status] == [100, 302]
    finally:
        await phone.close()
        await endpoint.close()


async def test_a_phone_of_another_host_proves_itself_and_a_stranger_does_not():
    endpoint = make_endpoint(alice="secret")
    await endpoint.open("127.0.0.1", 0)
    # a socket bound to another loopback address stands for another host
    phone = await UdpPhone.open(endpoint.address, host="127.0.0.2")
    try:
        contact = "Contact: <sip:alice@{}:{}>".format(*phone.address)
        asked = await phone.ask(spell(headers=(contact,)))
        assert asked.status == 401
        nonce = re.search('nonce="([^"]+)"', asked.all("WWW-Authenticate")[0]).group(1)

        def answer(password: str, count: int) -> str:
            def h(text: str) -> str:
                return hashlib.sha256(text.encode()).hexdigest()

            uri, nc = "sip:127.0.0.1:5070", f"{count:08x}"
            response = h(f"{h(f'alice:secp2psip:{password}')}:{nonce}:{nc}:c0:auth:{h(f'REGISTER:{uri}')}")
            return (
                f'Authorization: Digest username="alice", realm="secp2psip", nonce="{nonce}", uri="{uri}", '
                f'response="{response}", algorithm=SHA-256, cnonce="c0", qop=auth, nc={nc}'
            )

        assert (await phone.ask(spell(cseq=2, headers=(contact, answer("guess", 1))))).status == 401
        assert endpoint.contacts("alice") == ()
        assert (await phone.ask(spell(cseq=3, headers=(contact, answer("secret", 1))))).status == 200
        assert [binding.source for binding in endpoint.contacts("alice")] == [phone.address]
        assert (await phone.ask(spell("OPTIONS", cseq=4, user="alice"))).status == 200
    finally:
        await phone.close()
        await endpoint.close()


async def test_an_adapter_does_not_start_where_its_addresses_can_be_forged(tmp_path):
    config = ServiceConfig(
        users=("alice",),
        state_dir=tmp_path / "state",
        bootstrap=None,
        sip=("127.0.0.1", 0),
        ring=("127.0.0.1", 0),
    )
    service = AdapterService(config, emit=lambda _: None, read_kernel=lambda: {"net.ipv4.conf.eth0.accept_local": "1"})
    with pytest.raises(SpoofableHost):
        await service.start()
    assert not (tmp_path / "state").exists()
