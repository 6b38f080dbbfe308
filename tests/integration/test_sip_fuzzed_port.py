"""A short run of the fuzzer at a real SIP port; `make fuzz-sip` is the long one."""

from tests.fuzz.port import Port


async def test_a_port_serves_after_damaged_datagrams_and_streams():
    port = Port(7)
    await port.run(datagrams=600, streams=100)
    assert (port.sent, port.connections) == (600, 100)
