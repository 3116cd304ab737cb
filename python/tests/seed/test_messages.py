"""What `send` puts on the wire, and what `receive` makes of what comes."""

from __future__ import annotations

import asyncio

import pytest

from aiowebsocket import AioWebSocket, CloseCode
from aiowebsocket.enumerations import ControlFrames, DataFrames
from aiowebsocket.exceptions import ConnectionClosed, FrameError, ProtocolError, ReadTimeout

from .peer import Peer, serving


def test_the_kind_follows_the_type_and_code_overrides(run) -> None:
    async def play(peer: Peer) -> None:
        expected = [
            (True, 1, "hä".encode()),
            (True, 2, b"\xff\x00"),
            (True, 2, b"b"),
            (True, 2, b"view"),
            (True, 1, b"as text"),
            (True, 1, b"by position"),
            (True, 2, b"str as binary"),
            (True, 2, b""),
            (True, 2, b"m"),
        ]
        assert [await peer.frame() for _ in expected] == expected
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            converse = aws.manipulator
            assert await converse.send("hä") is None
            await converse.send(b"\xff\x00")
            await converse.send(bytearray(b"b"))
            await converse.send(memoryview(b"view"))
            await converse.send(b"as text", code=DataFrames.text)
            await converse.send(b"by position", True, DataFrames.text)
            await converse.send("str as binary", code=2)
            await converse.send(b"")
            await converse.send(b"m", True, False)

    run(main())


def test_messages_that_cannot_be_sent_leave_nothing(run) -> None:
    async def play(peer: Peer) -> None:
        assert await peer.frame() == (True, 1, b"after")
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            converse = aws.manipulator
            for bad, error in [
                (converse.send(b"\xff", code=DataFrames.text), UnicodeError),
                (converse.send(b"\xff", fin=False, code=DataFrames.text), UnicodeError),
                (converse.send("\ud800"), UnicodeError),
                (converse.send(7), TypeError),
                (converse.send(b"x", code=3), ValueError),
                (converse.send(b"x", code=DataFrames.cont), ValueError),
                (converse.send(b"x", code=ControlFrames.ping), FrameError),
                (converse.send(b"", code=ControlFrames.pong), FrameError),
                (converse.send(b"\x03\xee", code=ControlFrames.close), ValueError),
                (converse.send(b"\x03", code=ControlFrames.close), ValueError),
                (converse.frame.write(True, 1, b"x", rsv1=1), FrameError),
            ]:
                with pytest.raises(error):
                    await bad
            await converse.send("after")

    run(main())


def test_messages_in_parts(run) -> None:
    async def play(peer: Peer) -> None:
        expected = [
            (False, 1, b"a"),
            (False, 0, b"b"),
            (True, 0, b"c"),
            (False, 2, b"1"),
            (True, 0, b"2"),
            (True, 1, b"whole"),
        ]
        assert [await peer.frame() for _ in expected] == expected
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            converse = aws.manipulator
            await converse.send("a", fin=False)
            with pytest.raises(RuntimeError, match="all text or all binary"):
                await converse.send(b"b", fin=False)
            await converse.send(b"b", False, DataFrames.cont)
            await converse.send("c")
            await converse.send(b"1", fin=False)
            await converse.send("2", code=DataFrames.cont)
            await converse.send("whole")

    run(main())


def test_whole_messages_and_no_control_frames(run) -> None:
    async def play(peer: Peer) -> None:
        peer.send(1, "hä".encode())
        peer.send(1, "hä".encode())
        peer.send(2, b"b")
        peer.send(2, b"b")
        peer.send(9, b"ping")
        peer.send(10, b"pong")
        peer.send(1, b"fr", fin=False)
        peer.send(9, b"between")
        peer.send(0, b"ag")
        peer.send(1, b"")
        peer.send(2, b"L" * 100_000)
        # The latest ping is answered.
        fin, opcode, payload = await peer.frame()
        assert (fin, opcode) == (True, 10)
        if payload == b"ping":
            assert await peer.frame() == (True, 10, b"between")
        else:
            assert payload == b"between"
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            converse = aws.manipulator
            assert await converse.receive() == "hä".encode()
            assert await converse.receive(text=True) == "hä"
            assert await converse.receive() == b"b"
            assert await converse.receive(True) == "b"
            assert await converse.receive(mask=True) == b"frag"
            assert await converse.receive() is None
            assert await converse.receive() == b"L" * 100_000

    run(main())


def test_bytes_that_are_no_text(run) -> None:
    async def play(peer: Peer) -> None:
        peer.send(2, b"\xff")
        peer.send(2, b"next")
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            with pytest.raises(UnicodeDecodeError):
                await aws.manipulator.receive(text=True)
            assert await aws.manipulator.receive(text=True) == "next"

    run(main())


def test_pings_are_answered_while_nobody_receives(run) -> None:
    async def play(peer: Peer) -> None:
        peer.send(9, b"are you there")
        assert await peer.frame() == (True, 10, b"are you there")
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri):
            await asyncio.sleep(0.2)

    run(main())


def test_a_ping_of_ones_own(run) -> None:
    async def play(peer: Peer) -> None:
        _, opcode, payload = await peer.frame()
        assert opcode == 9
        peer.send(10, payload)
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            await aws.manipulator.frame.write(True, ControlFrames.ping, b"")

    run(main())


def test_the_queue_is_counted(run) -> None:
    async def play(peer: Peer) -> None:
        for i in range(3):
            peer.send(2, bytes([i]))
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            converse = aws.manipulator
            while converse.get_queue_size < 3:
                await asyncio.sleep(0.01)
            assert (converse.message_queue.qsize(), converse.message_queue.empty()) == (3, False)
            assert await converse.receive() == b"\0"
            assert converse.get_queue_size == 2

    run(main())


def test_sends_from_several_tasks_while_another_receives(run, echo: str) -> None:
    async def main() -> None:
        async with AioWebSocket(f"ws://{echo}/") as aws:
            converse = aws.manipulator
            messages = [f"{i} ".encode() * 1000 for i in range(50)]
            received = asyncio.gather(*[receive(converse, len(messages))])
            await asyncio.gather(*(converse.send(message) for message in messages))
            assert sorted((await received)[0]) == sorted(messages)

    async def receive(converse, count: int) -> list:
        return [await converse.receive() for _ in range(count)]

    run(main())


def test_two_receivers(run) -> None:
    async def play(peer: Peer) -> None:
        await peer.frame()
        peer.send(2, b"one")
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            first = asyncio.ensure_future(aws.manipulator.receive())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await aws.manipulator.receive()
            await aws.manipulator.send("go")
            assert await first == b"one"

    run(main())


def test_cancelling_loses_nothing(run) -> None:
    async def play(peer: Peer) -> None:
        peer.writer.write(b"\x82\x05he")
        await peer.frame()
        peer.writer.write(b"llo")
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(aws.manipulator.receive(), 0.05)
            await aws.manipulator.send("go on")
            assert await aws.manipulator.receive() == b"hello"

    run(main())


def test_read_timeout(run) -> None:
    async def play(peer: Peer) -> None:
        await peer.frame()
        peer.send(2, b"late")
        await peer.answer_close()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(play) as uri, AioWebSocket(uri, read_timeout=0.2) as aws:
            # Not counted from a time when nobody received.
            await asyncio.sleep(0.15)
            began = loop.time()
            with pytest.raises(ReadTimeout, match="read_timeout, 0.2 seconds") as raised:
                await aws.manipulator.receive()
            assert 0.19 < loop.time() - began < 1
            assert isinstance(raised.value, asyncio.TimeoutError)
            assert isinstance(raised.value, ConnectionError)
            await aws.manipulator.send("go on")
            assert await aws.manipulator.receive() == b"late"

    run(main())


def test_any_byte_puts_read_timeout_off(run) -> None:
    async def play(peer: Peer) -> None:
        for byte in b"\x82\x06slowly":
            await asyncio.sleep(0.1)
            peer.writer.write(bytes([byte]))
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri, read_timeout=0.3) as aws:
            assert await aws.manipulator.receive() == b"slowly"

    run(main())


def test_no_read_timeout(run) -> None:
    async def play(peer: Peer) -> None:
        await asyncio.sleep(0.1)
        peer.send(2, b"x")
        await peer.answer_close()

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri, read_timeout=None) as aws:
            assert await aws.manipulator.receive() == b"x"

    run(main())


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\xc2\x01x", 1002),
        (b"\x83\x01x", 1002),
        (b"\x82\x81\0\0\0\0x", 1002),
        (b"\x09\x00", 1002),
        (b"\x82\x7e\x00\x01x", 1002),
        (b"\x81\x01\xff", 1007),
        (b"\x82\x7f\x00\x00\x00\x00\x04\x00\x00\x01", 1009),
    ],
)
def test_a_server_that_breaks_the_protocol(run, raw: bytes, code: int) -> None:
    async def play(peer: Peer) -> None:
        peer.writer.write(raw)
        _, opcode, payload = await peer.frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (8, code)

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            with pytest.raises(ProtocolError) as raised:
                await aws.manipulator.receive()
            assert raised.value.code == code
            assert isinstance(raised.value, FrameError)
            assert isinstance(raised.value, ConnectionClosed)

    run(main())


def test_the_end_is_told_with_code_name_and_reason(run) -> None:
    async def play(peer: Peer) -> None:
        peer.send(2, b"last")
        peer.send(8, b"\x03\xe9bye \xc3\xa4")
        assert (await peer.frame())[1:] == (8, b"\x03\xe9")

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            await asyncio.sleep(0.05)
            assert await aws.manipulator.receive() == b"last"
            for call in (aws.manipulator.receive, lambda: aws.manipulator.send("x")):
                with pytest.raises(ConnectionClosed, match=r'1001 \(Going Away\): "bye ä"') as raised:
                    await call()
                assert (raised.value.code, raised.value.reason) == (CloseCode.GOING_AWAY, "bye ä")
                assert isinstance(raised.value, asyncio.IncompleteReadError)
                assert isinstance(raised.value, ConnectionError)

    run(main())


def test_the_end_without_a_close_frame(run) -> None:
    async def play(peer: Peer) -> None:
        peer.writer.write(b"\x82\x05he")

    async def main() -> None:
        async with serving(play) as uri, AioWebSocket(uri) as aws:
            with pytest.raises(asyncio.IncompleteReadError) as raised:
                await aws.manipulator.receive()
            assert raised.value.code == 1006

    run(main())
