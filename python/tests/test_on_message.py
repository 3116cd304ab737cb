"""`on_message`: a function that is called with each message, from within the callback that read it."""

import asyncio

import pytest

import aiowebsocket
from aiowebsocket import ConnectionClosedOK
from support import PING, PONG, Link, arrived, binary, close, frame, text, turn


class Got(list):
    def __call__(self, ws, message):
        self.append(message)


async def test_each_message(server):
    got = Got()
    link = await Link.open(server, on_message=got, behind=text("behind the handshake"))
    await arrived()
    link.peer.say(text("a"), frame(PING, b"p"), binary(b"b"), text(""))
    assert (await link.peer.frame()).opcode == PONG
    assert got == ["behind the handshake", "a", b"b", ""]
    assert link.ws.pending == 0
    large = bytes(1 << 20)
    await link.peer.tell(binary(large))
    while len(got) < 5:
        await turn()
    assert got[4] == large


async def test_it_is_given_the_connection(server):
    link = await Link.open(server, on_message=lambda ws, message: ws.send_nowait(message + "!"))
    link.peer.say(text("a"), text("b"))
    assert [came.payload for came in await link.peer.frames(2)] == [b"a!", b"b!"]


async def test_nobody_else_receives(server):
    link = await Link.open(server, on_message=Got())
    for call in (link.ws.recv, link.ws.recv_many, link.ws.__anext__, link.ws.recv_nowait, link.ws._recv_part):
        with pytest.raises(RuntimeError, match="on_message"):
            call()


async def test_what_it_raises_goes_to_the_loop(loop, server):
    got = []

    def failing(ws, message):
        got.append(message)
        if message == "a":
            raise KeyError("in the callback")

    link = await Link.open(server, on_message=failing)
    link.peer.say(text("a"), text("b"))
    while len(got) < 2:
        await turn()
    assert got == ["a", "b"], "and the connection goes on"
    (report,) = loop.reports
    assert isinstance(report["exception"], KeyError)
    loop.reports.clear()


async def test_it_may_close(server):
    def closing(ws, message):
        asyncio.ensure_future(_closed(ws))

    link = await Link.open(server, on_message=closing)
    link.peer.say(text("a"))
    assert (await link.peer.finish()).code == 1000
    await link.ws.wait_closed()


async def _closed(ws):
    await ws.close()


async def test_the_end(server):
    got = Got()
    link = await Link.open(server, on_message=got)
    link.peer.say(text("a"), close(1001, "away"))
    await link.peer.frame()
    link.peer.shut()
    await link.ws.wait_closed()
    assert (got, link.ws.close_code) == (["a"], 1001)
    with pytest.raises(ConnectionClosedOK):
        await link.ws.send("b")


async def test_a_flood_lets_others_have_their_turn(server):
    """No more than 256 KiB in one turn, and one read more."""
    run = longest = 0

    def count(ws, message):
        nonlocal run, longest
        run += len(message)
        longest = max(longest, run)

    link = await Link.open(server, on_message=count)
    telling = asyncio.ensure_future(link.peer.tell(binary(bytes(16 << 10)) * 1000))
    while link.ws.messages_received < 1000:
        await turn()
        run = 0
    await telling
    assert 0 < longest <= 600 << 10


async def test_what_is_awaited_is_refused():
    async def coroutine(ws, message): ...

    class Receiver:
        async def receive(self, message): ...

    for function in (coroutine, Receiver().receive):
        with pytest.raises(TypeError, match="not awaited"):
            aiowebsocket.connect("ws://127.0.0.1/", on_message=function)
