"""The control socket on a real Unix socket: questions, watchers, and clients that misbehave."""

import asyncio
import json
import stat

import pytest

from adapter.control import MAX_CONNECTIONS, MAX_REQUEST_BYTES, MAX_WATCHER_QUEUE, ControlServer
from adapter.control_client import ControlClient, ControlError, NoAdapter
from adapter.problems import Problem
from adapter.sockets import MAX_UNIX_PATH_BYTES, connect_unix
from overlay.errors import LocalError


async def echo(fields):
    return {"heard": fields}


async def fail(_fields):
    raise Problem("bob has no phone", hint="ask him", code="unavailable")


async def crash(_fields):
    raise ZeroDivisionError


@pytest.fixture
async def server(tmp_path):
    server = ControlServer(tmp_path / "control.sock", {"echo": echo, "fail": fail, "crash": crash})
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server, tmp_path):
    client = await ControlClient.connect(tmp_path / "control.sock")
    yield client
    await client.close()


@pytest.fixture
async def raw(server, tmp_path):
    reader, writer = await asyncio.open_unix_connection(sock=connect_unix(tmp_path / "control.sock"))
    yield reader, writer
    writer.close()
    await writer.wait_closed()


async def exchange(raw, line):
    reader, writer = raw
    writer.write(line)
    return json.loads(await reader.readline())


async def test_a_question_is_answered(client):
    assert await client.ask("echo", aor="bob") == {"heard": {"aor": "bob"}}


async def test_questions_asked_together_get_their_own_answers(client):
    answers = await asyncio.gather(*(client.ask("echo", number=number) for number in range(20)))
    assert [answer["heard"]["number"] for answer in answers] == list(range(20))


async def test_an_error_keeps_its_code_sentence_and_hint(client):
    with pytest.raises(ControlError) as caught:
        await client.ask("fail")
    assert (caught.value.code, str(caught.value), caught.value.hint) == ("unavailable", "bob has no phone", "ask him")


async def test_a_crashing_command_answers_and_the_connection_lives(client):
    with pytest.raises(ControlError) as caught:
        await client.ask("crash")
    assert caught.value.code == "internal"
    assert await client.ask("echo") == {"heard": {}}


async def test_an_unknown_command_names_the_known_ones(client):
    with pytest.raises(ControlError) as caught:
        await client.ask("sing")
    assert caught.value.hint == "there are: crash, echo, fail, watch"


async def test_a_late_answer_is_not_taken_for_the_next_one(tmp_path):
    release = asyncio.Event()

    async def wait(_fields):
        await release.wait()
        return {}

    server = ControlServer(tmp_path / "control.sock", {"wait": wait, "echo": echo})
    await server.start()
    client = await ControlClient.connect(tmp_path / "control.sock")
    client.timeout_s = 0.01
    with pytest.raises(ControlError, match="did not answer"):
        await client.ask("wait")
    with pytest.raises(ControlError) as caught:
        await client.ask("echo")
    assert caught.value.code == "gone"
    await client.close()
    await server.stop()


async def test_two_watchers_see_every_event_in_order(server, client):
    watches = [await client.watch(), await client.watch()]
    for number in range(5):
        server.publish({"event": "step", "number": number})
    for watch in watches:
        events = aiter(watch)
        assert [(await anext(events))["number"] for _ in range(5)] == list(range(5))
        await watch.close()


async def test_a_watch_has_begun_when_it_is_returned(server, client):
    watch = await client.watch()
    server.publish({"event": "first"})
    assert await anext(aiter(watch)) == {"event": "first"}
    assert server.watchers == 1
    await watch.close()


async def test_a_watcher_gets_the_last_words_and_then_the_end(server, client):
    watch = await client.watch()
    server.publish({"event": "stopping"})
    await server.stop()
    assert [event async for event in watch] == [{"event": "stopping"}]


async def test_a_watcher_that_hangs_up_is_forgotten(server, client):
    watch = await client.watch()
    await watch.close()
    await client.ask("echo")  # a turn of the loop in which the server hears of it
    server.publish({"event": "nobody hears this"})
    await client.ask("echo")
    assert server.watchers == 0


async def test_a_watcher_that_does_not_read_is_dropped_and_the_others_live(server, client, raw):
    slow_reader, slow_writer = raw
    slow_writer.write(b'{"v":1,"id":0,"do":"watch"}\n')
    await slow_reader.readline()
    watch = await client.watch()
    events = aiter(watch)
    slow_writer.transport.pause_reading()  # the slow screen: nothing leaves its socket any more
    padding = "x" * 4096
    count = 0
    while server.watchers == 2:
        server.publish({"event": "step", "number": count, "padding": padding})
        assert (await anext(events))["number"] == count
        count += 1
        assert count < MAX_WATCHER_QUEUE * 4, "the slow watcher is still there"
    server.publish({"event": "after"})
    assert await anext(events) == {"event": "after"}
    await watch.close()


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"\n",
        b"\xff\xfe\n",
        b"[1,2]\n",
        b"{}\n",
        b'{"v":1,"id":1,"do":7}\n',
        b'{"v":1,"id":"one","do":"echo"}\n',
        b"[" * 10_000 + b"\n",
        b'{"v":2,"id":1,"do":"echo"}\n',
    ],
)
async def test_a_garbage_line_gets_an_error_and_the_connection_lives(raw, line):
    answer = await exchange(raw, line)
    assert (answer["ok"], answer["code"], answer["id"]) == (False, "bad", None)
    assert (await exchange(raw, b'{"v":1,"id":3,"do":"echo"}\n')) == {"v": 1, "id": 3, "ok": True, "heard": {}}


async def test_an_oversize_line_ends_the_connection_with_a_reason(raw):
    answer = await exchange(raw, b'{"v":1,"do":"' + b"a" * MAX_REQUEST_BYTES + b'"}\n')
    assert answer["code"] == "bad"
    assert await raw[0].read() == b""


async def test_the_socket_is_0600_and_gone_after_stop(server, tmp_path):
    path = tmp_path / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await server.stop()
    assert not path.exists()
    await server.stop()


async def test_what_a_dead_adapter_left_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    path.write_text("stale")
    server = ControlServer(path, {"echo": echo})
    await server.start()
    client = await ControlClient.connect(path)
    assert await client.ask("echo") == {"heard": {}}
    await client.close()
    await server.stop()


async def test_a_path_too_long_for_a_unix_address_works(tmp_path):
    deep = tmp_path.joinpath(*["d" * 40] * 4)
    deep.mkdir(parents=True)
    path = deep / "control.sock"
    assert len(str(path)) > MAX_UNIX_PATH_BYTES
    server = ControlServer(path, {"echo": echo})
    await server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    client = await ControlClient.connect(path)
    assert await client.ask("echo") == {"heard": {}}
    watch = await client.watch()
    server.publish({"event": "seen"})
    assert await anext(aiter(watch)) == {"event": "seen"}
    await watch.close()
    await client.close()
    await server.stop()
    assert not path.exists()


@pytest.mark.parametrize("stale", [False, True])
async def test_without_an_adapter_the_client_says_so(tmp_path, stale):
    path = tmp_path / "control.sock"
    if stale:
        path.write_text("")
    with pytest.raises(NoAdapter, match="no adapter runs on"):
        await ControlClient.connect(path)


async def test_too_many_connections_are_told_so(server, tmp_path):
    clients = [await ControlClient.connect(tmp_path / "control.sock") for _ in range(MAX_CONNECTIONS)]
    for client in clients:
        await client.ask("echo")
    one_more = await ControlClient.connect(tmp_path / "control.sock")
    with pytest.raises(ControlError) as caught:
        await one_more.ask("echo")
    assert caught.value.code in {"busy", "gone"}
    assert await clients[0].ask("echo") == {"heard": {}}
    for client in [*clients, one_more]:
        await client.close()


async def test_stop_ends_a_request_under_way(server, tmp_path):
    started = asyncio.Event()

    async def forever(_fields):
        started.set()
        await asyncio.Event().wait()

    path = tmp_path / "second.sock"
    second = ControlServer(path, {"forever": forever})
    await second.start()
    client = await ControlClient.connect(path)
    asking = asyncio.create_task(client.ask("forever"))
    await started.wait()
    await second.stop()
    with pytest.raises(ControlError) as caught:
        await asking
    assert caught.value.code == "gone"
    await client.close()


async def test_a_command_may_stop_the_server_and_still_be_answered(tmp_path):
    path = tmp_path / "control.sock"

    async def stop(_fields):
        await server.stop()
        return {"stopping": True}

    server = ControlServer(path, {"stop": stop})
    await server.start()
    client = await ControlClient.connect(path)
    assert await client.ask("stop") == {"stopping": True}
    await client.close()


async def test_bytes_in_an_event_are_written_in_hexadecimal(server, client):
    watch = await client.watch()
    server.publish({"event": "step", "node": b"\x01\xff"})
    assert (await anext(aiter(watch)))["node"] == "01ff"
    await watch.close()


def test_watch_cannot_be_replaced(tmp_path):
    with pytest.raises(LocalError):
        ControlServer(tmp_path / "control.sock", {"watch": echo})
