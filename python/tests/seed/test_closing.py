"""Opening and closing: what may be called when, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest

from aiowebsocket import AioWebSocket
from aiowebsocket.enumerations import SocketState
from aiowebsocket.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, OpenTimeout

from .peer import Peer, serving


def test_the_closing_handshake_then_the_socket(run) -> None:
    async def play(peer: Peer) -> None:
        assert await peer.frame() == (True, 8, b"\x03\xe8")
        peer.send(8, b"\x03\xe8")
        peer.writer.write_eof()
        assert await peer.end() == b""

    async def main() -> None:
        async with serving(play) as uri:
            async with AioWebSocket(uri) as aws:
                converse = aws.manipulator
                assert aws.state == SocketState.opened == 1
                assert aws.manipulator is aws.converse is converse
            assert aws.state == SocketState.closed
            # Used after the block, which once worked by accident.
            for call in (converse.receive(), converse.send("x"), converse.send("x", fin=False)):
                with pytest.raises(ConnectionClosed):
                    await call

    run(main())


def test_without_a_block(run) -> None:
    async def main() -> None:
        async with serving(Peer.answer_close) as uri:
            aws = AioWebSocket(uri)
            await aws.create_connection()
            with pytest.raises(ConnectionError, match="Connection is already exists."):
                await aws.create_connection()
            assert aws.hands is not None
            closing = asyncio.ensure_future(aws.close_connection())
            await asyncio.sleep(0)
            assert aws.state == SocketState.closing
            await closing
            assert aws.state == SocketState.closed
            with pytest.raises(ConnectionError, match="SocketState is closed, can not close."):
                await aws.close_connection()
            with pytest.raises(ConnectionError, match="Connection is already exists."):
                await aws.create_connection()

    run(main())


def test_closing_inside_the_block(run) -> None:
    async def main() -> None:
        async with serving(Peer.answer_close) as uri, AioWebSocket(uri) as aws:
            await aws.close_connection()

    run(main())


def test_closing_after_the_server_did_is_no_error(run) -> None:
    async def play(peer: Peer) -> None:
        peer.send(8, b"\x03\xe8")
        await peer.frame()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            with pytest.raises(ConnectionClosed):
                await aws.manipulator.receive()
            assert aws.state == SocketState.closed
            await aws.close_connection()

    run(main())


def test_the_block_swallows_nothing_and_closes(run) -> None:
    async def main() -> None:
        async with serving(Peer.answer_close) as uri:
            with pytest.raises(ZeroDivisionError):
                async with AioWebSocket(uri) as aws:
                    raise ZeroDivisionError
            assert aws.state == SocketState.closed

    run(main())


def test_receiving_while_it_is_closed(run) -> None:
    async def main() -> None:
        async with serving(Peer.answer_close) as uri, AioWebSocket(uri) as aws:
            receiving = asyncio.ensure_future(aws.manipulator.receive())
            await asyncio.sleep(0.01)
            await aws.close_connection()
            with pytest.raises(ConnectionClosed):
                await receiving

    run(main())


def test_a_server_that_never_answers(run) -> None:
    async def play(peer: Peer) -> None:
        await peer.end()

    async def main() -> None:
        async with serving(play, accepts=False) as uri:
            for connect in (lambda aws: aws.__aenter__(), lambda aws: aws.create_connection()):
                aws = AioWebSocket(uri, timeout=0.1)
                with pytest.raises(OpenTimeout) as raised:
                    await connect(aws)
                assert isinstance(raised.value, ConnectionError)
                assert aws.state == 0

    run(main())


def test_a_subclass_that_takes_too_long(run) -> None:
    class Slow(AioWebSocket):
        async def create_connection(self) -> None:
            await asyncio.sleep(5)

    async def main() -> None:
        with pytest.raises(ConnectionError):
            await Slow("ws://127.0.0.1", timeout=0.1).__aenter__()

    run(main())


def test_a_refusal(run) -> None:
    async def play(peer: Peer) -> None:
        peer.writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone")

    async def main() -> None:
        aws = AioWebSocket("")
        async with serving(play, accepts=False) as uri:
            aws.uri = uri
            with pytest.raises(ConnectionError, match="Connection failed,status code:404") as raised:
                await aws.create_connection()
            assert isinstance(raised.value, InvalidStatus)
            assert (raised.value.status, raised.value.body) == (404, b"none")
        # It may be tried again.
        assert aws.state == 0
        async with serving(Peer.answer_close) as uri:
            aws.uri = uri
            async with aws:
                assert aws.state == 1

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmU=\r\n\r\n",
        b"HTTP/1.1 101\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"",
    ],
)
def test_an_answer_that_is_none(run, answer: bytes) -> None:
    async def play(peer: Peer) -> None:
        peer.writer.write(answer)

    async def main() -> None:
        async with serving(play, accepts=False) as uri:
            with pytest.raises(InvalidHandshake):
                await AioWebSocket(uri).create_connection()

    run(main())


def test_nothing_is_left_open(run) -> None:
    def sockets() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    async def refuse(peer: Peer) -> None:
        peer.writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")

    async def main() -> None:
        counts = []
        for _ in range(5):
            async with serving(Peer.answer_close) as uri, AioWebSocket(uri):
                pass
            async with serving(refuse, accepts=False) as uri:
                with pytest.raises(InvalidStatus):
                    await AioWebSocket(uri).create_connection()
            await asyncio.sleep(0.05)
            counts.append(sockets())
        assert counts[-1] <= counts[1]

    run(main())
