"""`HandShake`, `Converse` and `Frames` on streams of asyncio."""

from __future__ import annotations

import asyncio

import pytest

from aiowebsocket.converses import AioWebSocket, Converse, DataFrames, HandShake, SocketState, parse_uri
from aiowebsocket.exceptions import ConnectionClosed, HandShakeError, ProtocolError, ReadTimeout

from .peer import Peer, serving


async def connect(uri: str, **headers: object) -> tuple[Converse, HandShake, int]:
    remote = parse_uri(uri)
    reader, writer = await asyncio.open_connection(remote.host, remote.port)
    hands = HandShake(remote, reader, writer, headers.get("headers"), headers.get("union_header"))
    await hands.shake_()
    status = await hands.shake_result()
    return Converse(reader, writer), hands, status


def test_messages(run) -> None:
    async def play(peer: Peer) -> None:
        assert peer.lines[0] == "GET /a?b HTTP/1.1"
        assert peer.value("X-A") == "1"
        expected = [(True, 1, "hä".encode()), (True, 2, b"b"), (False, 1, b"fr"), (True, 0, b"ag"), (True, 1, b"")]
        assert [await peer.frame() for _ in expected] == expected
        peer.send(9, b"ping")
        peer.send(1, b"fr", fin=False)
        peer.send(0, b"ag")
        peer.send(2, b"")
        peer.send(1, "ä".encode() * 500_000)
        peer.send(2, b"x" * 500_000)
        peer.send(1, b"one")
        peer.send(1, b"two")
        assert await peer.frame() == (True, 10, b"ping")
        assert await peer.answer_close() == b"\x03\xe8"

    async def main() -> None:
        async with serving(play) as uri:
            converse, _, status = await connect(uri + "/a?b", union_header={"X-A": "1"})
            assert status == 101
            assert converse.frame.reader is converse.reader
            assert converse.frame.writer is converse.writer
            await converse.send("hä")
            await converse.send(b"b")
            await converse.send("fr", fin=False)
            await converse.send("ag")
            await converse.send(b"", code=DataFrames.text)
            assert await converse.receive() == b"frag"
            assert await converse.receive() is None
            assert await converse.receive(text=True) == "ä" * 500_000
            assert await converse.receive() == b"x" * 500_000
            assert await converse.receive(text=True) == "one"
            assert await converse.receive() == b"two"
            await converse.frame._link.close()
            with pytest.raises(ConnectionClosed):
                await converse.receive()
            with pytest.raises(ConnectionClosed):
                await converse.send("x")

    run(main())


def test_frames_behind_the_handshake_are_kept(run) -> None:
    async def play(peer: Peer) -> None:
        peer.writer.write(b"\x81\x05first\x81\x06second")
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri:
            converse, _, _ = await connect(uri)
            assert await converse.receive() == b"first"
            assert converse.get_queue_size == 1
            assert await converse.receive() == b"second"
            await converse.frame._link.close()

    run(main())


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
        (b"HTTP/1.1 500 X\r\n\r\nno length", 500),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", None),
        (b"HTTP/1.1 200 " + b"x" * 100_000, None),
        (b"", None),
    ],
)
def test_answers_that_open_nothing(run, answer: bytes, status: int | None) -> None:
    async def play(peer: Peer) -> None:
        peer.writer.write(answer)

    async def main() -> None:
        async with serving(play, accepts=False) as uri:
            if status is None:
                with pytest.raises(HandShakeError):
                    await connect(uri)
            else:
                converse, _, got = await connect(uri)
                assert got == status
                assert converse.writer.is_closing()

    run(main())


def test_the_request_as_text() -> None:
    hands = HandShake(parse_uri("ws://[::1]:8080/x"), None, None, {"X": "ä"}, {})
    text = hands.shake_headers("::1", 8080, "/x")
    assert text.startswith("GET /x HTTP/1.1\r\nHost: [::1]:8080\r\nX: ")
    assert text.endswith("\r\n\r\n")
    with pytest.raises(ValueError, match="version"):
        hands.shake_headers("::1", 8080, "/x", 8)


def test_the_hook_at_the_end_is_called_once(run) -> None:
    async def play(peer: Peer) -> None:
        peer.send(8, b"\x0f\xa0why")
        await peer.frame()

    async def main() -> None:
        called = []

        async def hook() -> None:
            called.append(1)

        async with serving(play) as uri:
            converse, _, _ = await connect(uri)
            converse.frame.receive_close = hook  # type: ignore[method-assign]
            for _ in range(2):
                with pytest.raises(ConnectionClosed, match='4000: "why"'):
                    await converse.receive()
            assert called == [1]

    run(main())


def test_the_end_and_what_breaks_the_protocol(run) -> None:
    async def cut(peer: Peer) -> None:
        peer.writer.write(b"\x82\x05he")

    async def reserved(peer: Peer) -> None:
        peer.writer.write(b"\x83\x00")
        assert await peer.frame() == (True, 8, b"\x03\xea")
        assert await peer.end() == b""

    async def main() -> None:
        async with serving(cut) as uri:
            converse, _, _ = await connect(uri)
            with pytest.raises(asyncio.IncompleteReadError):
                await converse.receive()
        async with serving(reserved) as uri:
            converse, _, _ = await connect(uri)
            with pytest.raises(ProtocolError) as raised:
                await converse.receive()
            assert raised.value.code == 1002

    run(main())


def test_read_timeout_cancelling_and_two_receivers(run) -> None:
    async def play(peer: Peer) -> None:
        peer.writer.write(b"\x82\x02h")
        await peer.frame()
        peer.writer.write(b"i")
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri:
            converse, _, _ = await connect(uri)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(converse.receive(), 0.05)
            converse.frame.read_timeout = 0.1
            with pytest.raises(ReadTimeout):
                await converse.receive()
            converse.frame.read_timeout = None
            first = asyncio.ensure_future(converse.receive())
            await asyncio.sleep(0.01)
            with pytest.raises(RuntimeError, match="another task"):
                await converse.receive()
            await converse.send("go")
            assert await first == b"hi"
            # Somebody receives while it is closed.
            receiving = asyncio.ensure_future(converse.receive())
            await asyncio.sleep(0.01)
            await converse.frame._link.close()
            with pytest.raises(ConnectionClosed):
                await receiving

    run(main())


class Streamed(AioWebSocket):
    """As a program of 2020 has it: its connection is its own, and its Converse knows how to send a Close frame."""

    async def create_connection(self) -> None:
        if self.state is not SocketState.zero.value:
            raise ConnectionError("Connection is already exists.")
        remote = _, host, port, _, ssl = parse_uri(self.uri)
        reader, writer = await asyncio.open_connection(host=host, port=port, ssl=ssl or None)
        self.reader = reader
        self.writer = writer
        self.hands = HandShake(remote, reader, writer, headers=self.headers, union_header=self.union_header)
        await self.hands.shake_()
        status_code = await self.hands.shake_result()
        if status_code != 101:
            raise ConnectionError(f"Connection failed,status code:{status_code}")
        self.converse = Closing(reader, writer)
        self.state = SocketState.opened.value

    async def close_connection(self) -> None:
        if self.state is SocketState.closed.value:
            raise ConnectionError("SocketState is closed, can not close.")
        await self.converse.send(message=b"", closed=True)


class Closing(Converse):
    async def send(self, message, fin: bool = True, mask: bool = True, closed: bool = False):  # type: ignore[override]
        if isinstance(message, str):
            message = message.encode()
        code = 0x08 if closed else DataFrames.text.value
        await self.frame.write(fin=fin, code=code, message=message, mask=mask)


def test_closing_where_the_server_reads_nothing(run, loop) -> None:
    """The limit on closing counts, and whoever sends meanwhile is told."""
    if type(loop).__module__.startswith("uvloop"):
        pytest.skip("it takes the 10 seconds of the limit")
    closed = asyncio.Event()

    async def play(peer: Peer) -> None:
        await closed.wait()

    async def main() -> None:
        async with serving(play) as uri:
            converse, _, _ = await connect(uri)
            sending = asyncio.ensure_future(converse.send(bytes(32 << 20)))
            await asyncio.sleep(0.2)
            assert not sending.done(), "it waits for room"
            await asyncio.wait_for(converse.frame._link.close(), 15)
            with pytest.raises(ConnectionError):
                await sending
            assert converse.frame._link.state == SocketState.closed
            closed.set()

    run(main())


def test_a_subclass_with_streams(run) -> None:
    async def play(peer: Peer) -> None:
        assert await peer.frame() == (True, 1, b"hello")
        peer.send(1, b"hi")
        assert await peer.answer_close() == b""

    async def main() -> None:
        async with serving(play) as uri:
            async with Streamed(uri) as aws:
                assert aws.state == SocketState.opened
                with pytest.raises(ConnectionError, match="already exists"):
                    await aws.create_connection()
                await aws.manipulator.send(b"hello")
                assert await aws.manipulator.receive() == b"hi"
            assert aws.state == SocketState.closed
            assert aws.writer.is_closing()

    run(main())
