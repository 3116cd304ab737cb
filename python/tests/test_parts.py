"""Messages in parts: sent as they become ready, received as they arrive; and `decode`, which says what a message is received as."""

import asyncio
import time

import pytest

import aiowebsocket
from aiowebsocket import ConcurrencyError, ConnectionClosedError, ConnectionClosedOK
from support import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Link,
    arrived,
    binary,
    close,
    frame,
    parked,
    text,
    turn,
)


async def sent(link, count):
    return [(came.opcode, came.payload, came.fin) for came in await link.peer.frames(count)]


async def later(parts):
    for part in parts:
        await asyncio.sleep(0)
        yield part


# ---- sent


async def test_an_iterable(link):
    await link.ws.send(["é", "", "b"])
    assert await sent(link, 3) == [(TEXT, "é".encode(), False), (CONTINUATION, b"", False), (CONTINUATION, b"b", True)]
    await link.ws.send(part for part in (b"a", bytearray(b"b")))
    assert await sent(link, 2) == [(BINARY, b"a", False), (CONTINUATION, b"b", True)]
    await link.ws.send([b"whole"])
    assert await sent(link, 1) == [(BINARY, b"whole", True)]


async def test_an_async_iterable(link):
    await link.ws.send(later(["a", "b"]))
    expected = [(TEXT, b"a", False), (CONTINUATION, b"b", False), (CONTINUATION, b"", True)]
    assert await sent(link, 3) == expected


async def test_a_part_leaves_when_it_is_there(link):
    goes_on = asyncio.Event()

    async def parts():
        yield "a"
        await goes_on.wait()
        yield "b"

    sending = asyncio.ensure_future(link.ws.send(parts()))
    assert await sent(link, 1) == [(TEXT, b"a", False)]
    assert not sending.done()
    goes_on.set()
    await sending
    assert await sent(link, 2) == [(CONTINUATION, b"b", False), (CONTINUATION, b"", True)]


async def test_as_another_kind(link):
    await link.ws.send([b"a", b"b"], text=True)
    await link.ws.send(["a", "b"], text=False)
    assert [opcode for opcode, _, _ in await sent(link, 4)] == [TEXT, CONTINUATION, BINARY, CONTINUATION]


async def test_no_parts(link):
    await link.ws.send([])
    await link.ws.send(later([]))
    await link.ws.send("behind")
    assert await sent(link, 1) == [(TEXT, b"behind", True)], "no parts are no message"


@pytest.mark.parametrize("call", ["send", "send_many", "another in parts"])
async def test_others_wait_for_the_end(link, call):
    goes_on = asyncio.Event()

    async def parts():
        yield "a"
        await goes_on.wait()

    first = asyncio.ensure_future(link.ws.send(parts()))
    await parked(first)
    calls = {
        "send": lambda: link.ws.send("behind"),
        "send_many": lambda: link.ws.send_many(["behind"]),
        "another in parts": lambda: link.ws.send(["behind"]),
    }
    behind = asyncio.ensure_future(calls[call]())
    cancelled = asyncio.ensure_future(link.ws.send("never"))
    await parked(behind)
    await parked(cancelled)
    cancelled.cancel()
    with pytest.raises(RuntimeError, match="unfinished"):
        link.ws.send_nowait("now")
    goes_on.set()
    await first
    await behind
    assert await sent(link, 3) == [(TEXT, b"a", False), (CONTINUATION, b"", True), (TEXT, b"behind", True)]
    assert cancelled.cancelled()


async def test_a_message_that_cannot_be_completed_ends_the_connection(link):
    async def parts():
        yield "a"
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        await link.ws.send(parts())
    _, closing = await link.peer.frames(2)
    assert (closing.opcode, closing.code) == (CLOSE, 1011)
    link.peer.say(close(1011))
    link.peer.shut()
    await link.ws.wait_closed()


async def test_cancelled_in_the_middle(link):
    async def parts():
        yield "a"
        await asyncio.sleep(1000)

    sending = asyncio.ensure_future(link.ws.send(parts()))
    assert await sent(link, 1) == [(TEXT, b"a", False)]
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (await link.peer.frame()).code == 1011
    link.peer.shut()


@pytest.mark.parametrize("parts", [["a", b"b"], [b"a", "b"], [b"a", 1]])
async def test_parts_of_two_kinds(link, parts):
    with pytest.raises(TypeError, match="part|message is str"):
        await link.ws.send(parts)
    assert (await link.peer.frames(2))[1].code == 1011
    link.peer.shut()


async def test_who_sends_behind_a_failure_is_told_of_it(link):
    """Nobody called `close()`."""
    def is_told(call):
        with pytest.raises(ConnectionClosedError, match=r"^a message could not be completed \(1011\)$") as caught:
            call()
        assert caught.value.code == 1011

    receiving = asyncio.ensure_future(link.ws.recv())
    await parked(receiving)
    with pytest.raises(TypeError):
        await link.ws.send(["a", b"b"])
    is_told(lambda: link.ws.send_nowait("x"))
    is_told(link.ws.send("x").__await__().__next__)
    is_told(link.ws.ping().__await__().__next__)
    assert (await link.peer.frames(2))[1].reason == "a message could not be completed"
    link.peer.say(close(1011))
    link.peer.shut()
    with pytest.raises(ConnectionClosedError, match="1011"):
        await receiving
    with pytest.raises(ConnectionClosedError, match="1011"):
        await link.ws.send("x")


async def test_who_calls_close_is_told_of_that(link):
    """With the same code too."""
    closing = asyncio.ensure_future(link.ws.close(1011))
    await link.peer.frame()
    with pytest.raises(ConnectionClosedOK, match="close.. was called"):
        await link.ws.send("x")
    link.peer.say(close(1011))
    link.peer.shut()
    await closing


async def test_a_mistake_in_the_first_part_costs_nothing(link):
    with pytest.raises(TypeError):
        await link.ws.send([1, "a"])
    await link.ws.send("fine")
    assert await sent(link, 1) == [(TEXT, b"fine", True)]


async def test_the_end_while_somebody_waits_behind_parts(link):
    async def parts():
        yield "a"
        await asyncio.sleep(1000)

    first = asyncio.ensure_future(link.ws.send(parts()))
    await parked(first)
    behind = asyncio.ensure_future(link.ws.send("behind"))
    await parked(behind)
    link.peer.shut()
    await link.ws.wait_closed()
    first.cancel()
    await asyncio.wait([first, behind])
    assert isinstance(behind.exception(), ConnectionClosedError)


@pytest.mark.parametrize("call", ["send", "send_many", "parts"])
async def test_the_end_while_parts_are_to_come_that_never_do(link, call):
    """Who sends behind them is told of the end, and so is who begins to after it."""

    async def parts():
        yield "a"
        await asyncio.sleep(1000)

    def send():
        return link.ws.send_many(["behind"]) if call == "send_many" else link.ws.send(["behind"] if call == "parts" else "behind")

    first = asyncio.ensure_future(link.ws.send(parts()))
    await parked(first)
    behind = asyncio.ensure_future(send())
    await parked(behind)
    link.peer.shut()
    await link.ws.wait_closed()
    for sending in (behind, send()):
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(sending, PATIENCE)
    first.cancel()
    await asyncio.wait([first])


async def test_compressed_parts(server):
    extension = "Sec-WebSocket-Extensions: permessage-deflate"
    link = await Link.open(server, extension)
    await link.ws.send(["a" * 1000, "b" * 1000])
    came = await link.peer.frames(2)
    assert came[0].rsv == 4 and len(came[0].payload) < 100
    await link.ws.send(["a" * 1000, "b" * 1000], plain=True)
    assert [frame.payload for frame in await link.peer.frames(2)] == [b"a" * 1000, b"b" * 1000]


# ---- received


async def parts_of(ws, **options):
    return [part async for part in ws.recv_streaming(**options)]


async def test_fragments_come_as_they_arrive(link):
    streaming = link.ws.recv_streaming()
    link.peer.say(frame(TEXT, "aé".encode()[:2], fin=False))
    assert await streaming.__anext__() == "a", "half a character waits for its other half"
    link.peer.say(frame(PING, b"between"), frame(CONTINUATION, "aé".encode()[2:] + b"b", fin=False))
    assert await streaming.__anext__() == "éb"
    assert (await link.peer.frame()).opcode == PONG
    link.peer.say(frame(CONTINUATION, b""), text("behind"))
    assert [part async for part in streaming] == [""]
    assert link.ws.messages_received == 1, "however many parts it came in"
    assert await link.ws.recv() == "behind"


@pytest.mark.parametrize("decode", [None, False])
async def test_half_a_character_waits_for_the_call_that_takes_its_other_half(link, decode):
    streaming = link.ws.recv_streaming()
    link.peer.say(frame(TEXT, "aé".encode()[:2], fin=False))
    assert await streaming.__anext__() == "a"
    await streaming.aclose()
    link.peer.say(frame(CONTINUATION, "é".encode()[1:], fin=False), frame(CONTINUATION, b"b"))
    assert (b"" if decode is False else "").join(await parts_of(link.ws, decode=decode)) == ("éb".encode() if decode is False else "éb")


async def test_one_large_frame_comes_in_pieces(server):
    link = await Link.open(server, max_size=1000)
    payload = bytes(range(256)) * (20 << 10)
    telling = asyncio.ensure_future(link.peer.tell(binary(payload) + text("behind")))
    parts = await parts_of(link.ws)
    assert len(parts) > 1 and b"".join(parts) == payload
    assert max(map(len, parts)) <= 256 << 10, "and is never whole in memory"
    assert await link.ws.recv() == "behind"
    await telling


async def test_a_short_message_is_one_part(link):
    link.peer.say(text("a"), binary(b"b"), text(""))
    assert [await parts_of(link.ws) for _ in range(3)] == [["a"], [b"b"], [""]]
    link.peer.say(text("kept"))
    await arrived()
    assert link.ws.pending == 1
    assert await parts_of(link.ws) == ["kept"]


async def test_decoded_otherwise(link):
    link.peer.say(text("é"), binary("é".encode()), frame(BINARY, b"\xc3", fin=False), frame(CONTINUATION, b"\xa9"))
    assert await parts_of(link.ws, decode=False) == ["é".encode()]
    assert await parts_of(link.ws, decode=True) == ["é"]
    assert "".join(await parts_of(link.ws, decode=True)) == "é"


async def test_the_rest_of_a_message_is_taken_first(link):
    streaming = link.ws.recv_streaming()
    link.peer.say(frame(TEXT, b"a", fin=False))
    assert await streaming.__anext__() == "a"
    for receive in (link.ws.recv, link.ws.recv_many):
        with pytest.raises(ConcurrencyError, match="in parts"):
            await receive()
    with pytest.raises(ConcurrencyError, match="in parts"):
        link.ws.recv_nowait()
    await streaming.aclose()
    link.peer.say(frame(CONTINUATION, b"b"), text("behind"))
    assert await parts_of(link.ws) == ["b"]
    assert await link.ws.recv() == "behind"


async def test_nobody_takes_the_rest(link):
    """What follows waits, and is neither read without end nor lost."""
    streaming = link.ws.recv_streaming()
    link.peer.say(frame(BINARY, b"a", fin=False))
    assert await streaming.__anext__() == b"a"
    telling = asyncio.ensure_future(link.peer.tell(frame(CONTINUATION, bytes(32 << 20)) + text("behind")))
    await asyncio.sleep(0.1)
    assert not telling.done(), "the peer is held up"
    assert link.ws.bytes_received < 1 << 20
    assert sum([len(part) async for part in streaming]) == 32 << 20
    assert await link.ws.recv() == "behind"
    await telling


async def test_cancelled_before_the_first_part(link):
    streaming = link.ws.recv_streaming()
    task = asyncio.ensure_future(streaming.__anext__())
    await parked(task)
    task.cancel()
    await asyncio.wait([task])
    link.peer.say(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b"))
    assert await link.ws.recv() == "ab", "it is received whole by whoever wants it so"


async def test_asked_for_when_the_turn_is_over(server):
    """What is larger than a message that comes whole still comes in parts."""
    link = await Link.open(server, max_size=100_000)

    async def receive():
        for _ in range(128):
            await link.ws.recv()
            time.sleep(0.0001)
        return [len(b"".join(await parts_of(link.ws))) for _ in range(3)]

    receiving = asyncio.ensure_future(receive())
    await parked(receiving)
    await link.peer.tell(binary(b"x") * 128 + binary(bytes(300_000)) * 3)
    assert await asyncio.wait_for(receiving, PATIENCE) == [300_000] * 3


async def test_cancelled_behind_one_that_was_cancelled(link):
    """Who has not begun to wait asks for parts no more than who waited."""
    first = asyncio.ensure_future(link.ws.recv())
    await parked(first)
    second = asyncio.ensure_future(link.ws.recv_streaming().__anext__())
    first.cancel()
    await turn()
    second.cancel()
    await asyncio.wait([first, second])
    assert first.cancelled() and second.cancelled()
    link.peer.say(frame(TEXT, b"a", fin=False))
    await arrived()
    link.peer.say(frame(CONTINUATION, b"b"))
    assert await link.ws.recv() == "ab"


async def test_the_end_in_the_middle(link):
    streaming = link.ws.recv_streaming()
    link.peer.say(frame(TEXT, b"a", fin=False))
    assert await streaming.__anext__() == "a"
    link.peer.shut()
    with pytest.raises(ConnectionClosedError):
        await streaming.__anext__()


async def test_not_utf8(link):
    streaming = link.ws.recv_streaming()
    link.peer.say(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"\xff"))
    with pytest.raises(ConnectionClosedError) as caught:
        async for _ in streaming:
            link.peer.shut()
    assert caught.value.code == 1007


# ---- decode


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000])
@pytest.mark.parametrize("when", ["there", "coming"])
async def test_decode(link, size, when):
    said = "é" * size
    data = said.encode()

    async def received(message, decode):
        if when == "there":
            telling = asyncio.ensure_future(link.peer.tell(message))
            while link.ws.pending == 0:
                await asyncio.sleep(0)
            got = await link.ws.recv(decode=decode)
        else:
            receiving = asyncio.ensure_future(link.ws.recv(decode=decode))
            await parked(receiving)
            telling = asyncio.ensure_future(link.peer.tell(message))
            got = await receiving
        await telling
        return got

    assert await received(text(said), False) == data
    assert await received(binary(data), True) == said
    assert await received(text(said), True) == said
    assert await received(binary(data), False) == data
    assert await received(text(said), None) == said


async def test_what_cannot_be_decoded_stays(link):
    link.peer.say(binary(b"\xff\xfe"), text("behind"))
    with pytest.raises(UnicodeDecodeError):
        await link.ws.recv(decode=True)
    assert await link.ws.recv() == b"\xff\xfe"
    assert await link.ws.recv() == "behind"


async def test_decode_is_named(link):
    with pytest.raises(TypeError, match="decode"):
        link.ws.recv(False)
