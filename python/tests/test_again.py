"""``async for ws in connect(uri)``: what connects again, after which time, and what ends it."""

import asyncio
import socket
from contextlib import aclosing

import pytest

import aiowebsocket
from aiowebsocket import ConnectionClosed, ConnectionClosedError, InvalidStatus, ProtocolError
from support import close, text

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


def again(uri, **options):
    """What ``async for`` goes over, closed at the end and not when the collector finds it."""
    return aclosing(aiowebsocket.connect(uri, **options).__aiter__())


async def serve(server, *answers):
    """Each connection gets one of these: a refusal, or what comes behind the handshake."""
    for answer in answers:
        peer = await server.accept()
        if answer.startswith(b"HTTP"):
            await peer.head()
            await peer.tell(answer)
        else:
            await peer.answer(behind=answer)
        peer.shut()


async def test_a_feed_goes_on_over_ends_and_refusals(server, naps):
    serving = asyncio.ensure_future(
        serve(server, text("one") + close(1001), BUSY, text("two") + close(1012), b"", text("three") + close(1000))
    )
    received, codes = [], []
    async with again(server.uri) as feed:
        async for ws in feed:
            try:
                async for message in ws:
                    received.append(message)
            except ConnectionClosedError:
                pass
            codes.append(ws.close_code)
            if len(received) == 3:
                break
    await serving
    assert (received, codes) == (["one", "two", "three"], [1001, 1012, 1006, 1000])
    lost, busy, restarts, broken = naps
    assert 0 <= lost <= 5, "RFC 6455 7.2.3"
    assert busy >= 100, "Retry-After"
    assert restarts >= 5, "1012: it restarts"
    assert 0 < broken <= 60


@pytest.mark.parametrize("answer", [BUSY, close(1001)])
async def test_a_socket_that_was_given_serves_once(server, naps, answer):
    serving = asyncio.ensure_future(serve(server, answer))
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.setblocking(False)
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        async with again("ws://elsewhere.example/", sock=sock) as feed:
            async for ws in feed:
                await ws.wait_closed()
    await serving
    assert naps == []


@pytest.mark.parametrize("answer", [FORBIDDEN, close(1008, "go away")])
async def test_what_would_fail_in_the_same_way_is_raised(server, naps, answer):
    serving = asyncio.ensure_future(serve(server, answer))
    with pytest.raises((InvalidStatus, ConnectionClosedError)):
        async for ws in aiowebsocket.connect(server.uri):
            await ws.wait_closed()
    await serving
    assert naps == []


@pytest.mark.parametrize(("answer", "code"), [(b"\xf0\0", 1002), (text(b"\xff"), 1007), (text("a" * 11), 1009)])
async def test_a_server_that_breaks_the_protocol_is_not_asked_again(server, naps, answer, code):
    serving = asyncio.ensure_future(serve(server, answer))
    with pytest.raises(ProtocolError) as caught:
        async for ws in aiowebsocket.connect(server.uri, max_size=10):
            await ws.wait_closed()
    assert caught.value.code == code
    await serving
    assert naps == []

    serving = asyncio.ensure_future(serve(server, answer, text("in")))
    async with again(server.uri, max_size=10, process_exception=lambda error: None) as feed:
        async for ws in feed:
            try:
                assert await ws.recv() == "in"
                break
            except ProtocolError:
                pass
    await serving
    assert len(naps) == 1


async def test_process_exception_decides(server, naps):
    serving = asyncio.ensure_future(serve(server, FORBIDDEN, text("in") + close(1000)))
    told = []
    async with again(server.uri, process_exception=told.append) as feed:
        async for ws in feed:
            assert await ws.recv() == "in"
            break
    assert isinstance(told[0], InvalidStatus) and len(naps) == 1
    await serving

    serving = asyncio.ensure_future(serve(server, BUSY))
    with pytest.raises(KeyError) as caught:
        async for ws in aiowebsocket.connect(server.uri, process_exception=lambda error: KeyError("no more")):
            pass
    assert isinstance(caught.value.__cause__, InvalidStatus)
    await serving


async def test_leaving_the_loop_closes_the_connection(server):
    serving = asyncio.ensure_future(server.accept())

    async def once():
        feed = aiowebsocket.connect(server.uri).__aiter__()
        ws = await feed.__anext__()
        leaving = asyncio.ensure_future(feed.aclose())
        return ws, leaving

    opening = asyncio.ensure_future(once())
    peer = await serving
    await peer.answer()
    ws, leaving = await opening
    await peer.finish()
    await leaving
    assert ws.is_closed and ws.close_code == 1000


async def test_the_log_says_where_and_why(server, naps, caplog):
    serving = asyncio.ensure_future(serve(server, BUSY, b"", close(1012, "soon\nFORGED"), close(1000)))
    address = f"ws://127.0.0.1:{server.port}/feed"
    with caplog.at_level("INFO", "aiowebsocket"):
        async with again(server.uri.replace("ws://", "ws://me:secret@") + "?token=secret") as feed:
            async for ws in feed:
                await ws.wait_closed()
                if ws.close_code == 1000:
                    break
    await serving
    refused, broken, restarts = (line.rpartition(": again in ")[0] for line in caplog.messages)
    assert refused.startswith(f"{address}?…: ") and "503" in refused
    assert broken == f"{address}?…: ended: the peer ended the connection without a Close frame (1006)"
    assert restarts.startswith(f"{address}?…: ended: the connection was closed: 1012 ")
    assert restarts.endswith('"soon\\nFORGED"')
    assert "secret" not in caplog.text


async def test_the_log_says_that_the_peer_was_silent(server, naps, caplog):
    async def keep_silent():
        await (await server.accept()).answer()
        peer = await server.accept()
        await peer.answer(behind=close(1000))
        peer.shut()

    silent = asyncio.ensure_future(keep_silent())
    with caplog.at_level("INFO", "aiowebsocket"):
        async with again(server.uri, ping_interval=0.01, ping_timeout=0.01) as feed:
            async for ws in feed:
                await ws.wait_closed()
                if ws.close_code == 1000:
                    break
    await silent
    (line,) = caplog.messages
    assert line.startswith(f"{server.uri}: ended: the peer is silent: no byte came within ping_timeout after a ping")


async def test_delays_of_the_program(server, naps):
    """They begin anew after each connection, and a server that asks for more gets it."""
    begun = []

    def delays():
        begun.append(len(naps))
        yield from [0.25, 0.5, 200]

    refused = BUSY.replace(b"Retry-After: 100\r\n", b"")
    answers = [refused, BUSY, BUSY, close(1000), b"", refused, close(1012), close(1000)]
    serving = asyncio.ensure_future(serve(server, *answers))
    opened = 0
    async with again(server.uri, reconnect_delays=delays) as feed:
        async for ws in feed:
            await ws.wait_closed()
            opened += 1
            if opened == 4:
                break
    await serving
    *told, restarts = naps
    assert told == [0.25, 100, 200, 0.25, 0.25, 0.5]
    assert 5 <= restarts <= 30
    assert begun == [0, 3, 4, 6]


async def test_delays_that_end(server, naps):
    serving = asyncio.ensure_future(serve(server, close(1011), FORBIDDEN, b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"))
    opened = 0
    with pytest.raises(InvalidStatus) as caught:
        async for ws in aiowebsocket.connect(server.uri, reconnect_delays=lambda: [1, 2], process_exception=lambda error: None):
            await ws.wait_closed()
            opened += 1
    await serving
    assert (opened, caught.value.status, naps) == (1, 502, [1, 2])


async def test_delays_change_nothing_about_what_is_raised(server, naps):
    serving = asyncio.ensure_future(serve(server, FORBIDDEN))
    with pytest.raises(InvalidStatus):
        async for ws in aiowebsocket.connect(server.uri, reconnect_delays=lambda: [1]):
            pass
    await serving
    assert naps == []
