"""What a connection says of itself: state, addresses, request and response, counters, the log."""

import asyncio
import logging
import socket

import pytest

import aiowebsocket
from aiowebsocket import ConnectionClosedError, Headers, InvalidStatus, State
from support import CLOSE, PATIENCE, PING, Link, Peer, arrived, binary, close, frame, parked, text


async def test_state(link):
    assert link.ws.state is State.OPEN
    closing = asyncio.ensure_future(link.ws.close())
    await asyncio.sleep(0)
    assert link.ws.state is State.CLOSING
    await link.peer.finish()
    await closing
    assert link.ws.state is State.CLOSED
    assert [state.value for state in State] == [0, 1, 2, 3]


async def test_the_peers_close_begins_the_closing(link):
    link.peer.say(close(1000))
    assert (await link.peer.frame()).opcode == CLOSE
    assert link.ws.state is State.CLOSING


async def test_addresses(link):
    assert link.ws.remote_address == ("127.0.0.1", link.server.port)
    assert link.ws.local_address == link.peer.sock.getpeername()
    closing = asyncio.ensure_future(link.ws.close())
    await link.peer.finish()
    await closing
    assert link.ws.remote_address == ("127.0.0.1", link.server.port), "also when it is over"


async def test_addresses_of_ipv6():
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("there is no IPv6 here")
    with listener:
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        port = listener.getsockname()[1]
        opening = asyncio.ensure_future(_opened(aiowebsocket.connect(f"ws://[::1]:{port}/")))
        sock, _ = await loop.sock_accept(listener)
        peer = Peer(sock)
        await peer.answer()
        ws = await opening
        assert ws.remote_address == ("::1", port, 0, 0)
        assert ws.local_address == sock.getpeername()
        peer.shut()
        await ws.wait_closed()


async def test_a_socket_without_addresses():
    ours, theirs = socket.socketpair()
    opening = asyncio.ensure_future(_opened(aiowebsocket.connect("ws://unix.example/", sock=ours)))
    peer = Peer(theirs)
    await peer.answer()
    ws = await opening
    assert (ws.local_address, ws.remote_address) == (None, None)
    peer.shut()
    await ws.wait_closed()


async def _opened(connecting):
    return await connecting


async def test_request_and_response(server):
    link = await Link.open(server, "Set-Cookie: a=1", "set-cookie: b=2", "X-Empty:", headers=[("X-One", "ü"), ("Cookie", "c=3")])
    request, response = link.ws.request, link.ws.response
    assert request.path == "/feed"
    assert request.headers["x-one"] == "ü"
    assert ("Cookie", "c=3") in request.headers.raw_items()
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert response.status_code == 101
    assert response.body == b""
    assert response.headers["Upgrade"] == "websocket"
    assert response.headers.get_all("SET-COOKIE") == ["a=1", "b=2"]
    assert response.headers["Set-Cookie"] == "a=1, b=2"
    assert response.headers["x-empty"] == ""
    assert "X-Empty" in response.headers and "X-Other" not in response.headers
    with pytest.raises(KeyError):
        response.headers["X-Other"]


def test_headers():
    headers = Headers([("A", "1"), ("b", "2"), ("a", "3")])
    assert dict(headers) == {"a": "1, 3", "b": "2"}
    assert len(headers) == 2
    assert headers.get("C") is None
    assert 1 not in headers
    assert headers.raw_items() == [("A", "1"), ("b", "2"), ("a", "3")]
    assert repr(headers) == "Headers([('A', '1'), ('b', '2'), ('a', '3')])"


async def test_what_is_secret_is_not_shown(server):
    headers = {"Authorization": "Bearer hunter2", "Cookie": "a=hunter2", "X-Client": "mine"}
    opening = asyncio.ensure_future(_opened(aiowebsocket.connect(
        f"{server.uri}?token=hunter2", headers=headers, secret_headers={"X-Api-Key": "hunter2"})))
    peer = await server.accept()
    await peer.answer("Set-Cookie: b=hunter2", "X-Server: theirs")
    ws = await opening
    shown = repr(ws.request)
    assert shown.startswith("Request(path='/feed?…', headers=Headers([")
    for line in ["('Authorization', '…')", "('Cookie', '…')", "('X-Api-Key', '…')", "('X-Client', 'mine')"]:
        assert line in shown
    assert "('set-cookie', '…'), ('x-server', 'theirs')" in repr(ws.response)
    assert "hunter2" not in shown + repr(ws.response) + repr(ws.request.headers)
    assert ws.request.path == "/feed?token=hunter2"
    assert (ws.request.headers["X-Api-Key"], ws.response.headers["Set-Cookie"]) == ("hunter2", "b=hunter2")
    assert dict(ws.request.headers)["authorization"] == "Bearer hunter2"
    peer.shut()
    await ws.wait_closed()


async def test_a_refusal_has_its_response(server):
    connecting = asyncio.ensure_future(_opened(aiowebsocket.connect(server.uri)))
    peer = await server.accept()
    await peer.head()
    peer.say(b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwait")
    with pytest.raises(InvalidStatus) as caught:
        await connecting
    response = caught.value.response
    assert (response.status_code, response.headers["Retry-After"], response.body) == (429, "7", b"wait")


async def test_counters(link):
    def counts():
        ws = link.ws
        return ws.messages_received, ws.bytes_received, ws.messages_sent, ws.bytes_sent

    assert counts() == (0, 0, 0, 0)
    said = [text("abc"), binary(bytes(1000)), frame(PING, b"p"), frame(1, b"x", fin=False), frame(0, b"y")]
    link.peer.say(*said)
    for _ in range(3):
        await link.ws.recv()
    # The pong to the ping between them leaves when what was read is given away.
    await arrived()
    assert counts() == (3, len(b"".join(said)), 0, 7)
    await link.ws.send("abcd")
    await link.ws.send(iter(["a", "b"]))
    link.ws.send_nowait(b"")
    await link.ws.send_many(["a", "b"])
    # Header, key and payload each: a pong, one message, two parts, an empty one, two of a byte.
    assert counts() == (3, len(b"".join(said)), 5, 7 + 10 + 7 + 7 + 6 + 7 + 7)
    await link.peer.frames(7)


async def test_what_is_kept_counts_as_received(link):
    link.peer.say(text("a"), text("b"))
    await arrived()
    assert (link.ws.messages_received, link.ws.pending) == (2, 2)
    await link.ws.recv()
    assert link.ws.messages_received == 2


async def test_the_log(server, caplog):
    with caplog.at_level(logging.DEBUG, "aiowebsocket"):
        link = await Link.open(server)
        closing = asyncio.ensure_future(link.ws.close(1001, "away"))
        await link.peer.finish()
        await closing
    *steps, opened, ended = [record.getMessage() for record in caplog.records if record.name == "aiowebsocket"]
    told = "\n".join(steps)
    assert f"asking for {server.uri}" in told and "the server answers 101" in told
    assert opened.startswith("<aiowebsocket.WebSocket open ") and opened.endswith("is open")
    assert ended.startswith("<aiowebsocket.WebSocket closed ") and ended.endswith("ended: 1001 away")


async def test_a_logger_that_raises(loop, server):
    """Whoever waits is told of the end all the same."""

    class Broken(logging.LoggerAdapter):
        def debug(self, line, *arguments):
            if "ended" in line:
                raise ArithmeticError("broken")

    logger = logging.getLogger("broken")
    logger.setLevel(logging.DEBUG)
    link = await Link.open(server, logger=Broken(logger, {}))
    receiving = asyncio.ensure_future(link.ws.recv())
    await parked(receiving)
    link.peer.shut()
    with pytest.raises(ConnectionClosedError):
        await asyncio.wait_for(receiving, PATIENCE)
    (report,) = loop.reports
    assert isinstance(report["exception"], ArithmeticError)
    loop.reports.clear()


async def test_a_logger_of_the_programs(server, caplog):
    logger = logging.getLogger("mine")
    with caplog.at_level(logging.DEBUG, "mine"):
        link = await Link.open(server, logger=logger)
        link.peer.shut()
        await link.ws.wait_closed()
    assert {record.name for record in caplog.records if record.name != "asyncio"} == {"mine"}


async def test_nothing_is_logged_where_nobody_listens(server, caplog):
    with caplog.at_level(logging.INFO):
        link = await Link.open(server)
        link.peer.shut()
        await link.ws.wait_closed()
    assert [record for record in caplog.records if record.name == "aiowebsocket"] == []
