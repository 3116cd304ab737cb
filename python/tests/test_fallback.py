"""What only a transport of asyncio can do. Everything else is tested by all other tests, which run on such a loop too."""

import asyncio
import time

import pytest

from aiowebsocket import client
from support import PING, Link, arrived, choke, frame, parked, text, timers, turn


@pytest.fixture(autouse=True)
def on_transports(loop_kind):
    if loop_kind != "transports":
        pytest.skip("loops that watch sockets have no transport between")


async def test_what_comes_before_the_connection_is_there(server, monkeypatch):
    """The transport reads as soon as it is made, and the connection is made behind it."""
    make = client._watcher

    async def late(loop, sock):
        watcher = await make(loop, sock)
        server._peers[-1].say(text("early"))
        await arrived()
        assert watcher._early, "it has come, and waits"
        return watcher

    monkeypatch.setattr(client, "_watcher", late)
    link = await Link.open(server)
    assert await asyncio.wait_for(link.ws.recv(), 5) == "early"
    link.peer.say(text("later"))
    assert await asyncio.wait_for(link.ws.recv(), 5) == "later"


async def test_the_loop_tells_the_time(server):
    """What cannot watch a socket cannot watch a timer of the kernel, see test_alarm.py."""
    link = await Link.open(server, ping_interval=0.05)
    assert (await link.peer.frame()).opcode == PING
    assert timers() == 0


async def test_what_a_transport_holds_has_not_left(server, monkeypatch):
    """`send` waits for it; and at the end it is waited for no longer than `close_timeout`."""
    make, made = client._watcher, []

    async def seen(loop, sock):
        made.append(await make(loop, sock))
        return made[0]

    monkeypatch.setattr(client, "_watcher", seen)
    link = await Link.open(server, close_timeout=0.05)
    transport = made[0]._transport
    await choke(link.ws, transport.get_write_buffer_size)
    assert link.ws.queued > 0
    sending = asyncio.ensure_future(link.ws.send("behind"))
    await parked(sending)
    await asyncio.wait_for(link.ws.close(), 5)
    assert transport.get_write_buffer_size() == 0, "it was given up"
    await asyncio.wait([sending])
    assert sending.exception() is not None


async def test_no_more_is_brought_than_is_taken(server):
    """A program that takes less in a turn of the loop than a transport brings in one holds the peer up."""
    link = await Link.open(server, on_message=lambda ws, message: time.sleep(0.0001))
    telling = asyncio.ensure_future(link.peer.tell(text("x" * 100) * 200_000))
    # In each of these turns a transport could bring 256 KiB.
    for _ in range(150):
        await turn()
    assert not telling.done()
    telling.cancel()
    await asyncio.wait([telling])


async def test_who_fails_when_the_peer_has_gone(server):
    """What is written then breaks the socket, and there is no side to be shut any more: nobody is told of that."""
    for count in (100, 200, 300):
        link = await Link.open(server, on_message=lambda ws, message: time.sleep(0.0001))
        # In a later turn than the one that read it.
        link.peer.say(text("x") * count + frame(3))
        link.peer.shut()
        await asyncio.wait_for(link.ws.wait_closed(), 5)
        assert link.ws.close_code == 1002
