"""What is received and what is sent: every size and script, every type, and whose fault it is where one is none."""

import array
import asyncio
import gc
import random
import sys
import time
import tracemalloc

import pytest

from aiowebsocket import ConnectionClosedError, ConnectionClosedOK, SendQueueFull
from support import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Link,
    arrived,
    binary,
    choke,
    close,
    frame,
    parked,
    text,
    turn,
)

#: One below, at and above each boundary: of the frame's three forms of length, of the way large messages come, of what memory is
#: taken at once.
SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20, (4 << 20) + 1, 17 << 20]

SCRIPTS = {
    "ASCII": "The quick brown fox. ",
    "Latin-1": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. ",
    "Greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ",
    "Han": "視野無限廣,窗外有藍天。",
    "emoji": "a😀ß語🚀 ",
    "boundaries": "\x00\x7f\x80\xff\u0100\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
}


def some_bytes(size):
    pattern = bytes(range(251))
    return (pattern * (size // 251 + 1))[:size]


# ---- received


@pytest.mark.parametrize("size", SIZES)
async def test_binary_of_every_size(link, size):
    payload = some_bytes(size)
    telling = asyncio.ensure_future(link.peer.tell(binary(payload) + text("behind")))
    message = await link.ws.recv()
    assert type(message) is bytes
    assert message == payload
    if size > 1:  # Python keeps the others for ever.
        assert sys.getrefcount(message) == 2, "nobody else holds it"
    assert await link.ws.recv() == "behind"
    await telling


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000, 100_000])
async def test_text_of_every_script(link, script, size):
    said = (SCRIPTS[script] * (size // len(SCRIPTS[script]) + 1))[:size]
    telling = asyncio.ensure_future(link.peer.tell(text(said)))
    message = await link.ws.recv()
    assert type(message) is str
    assert message == said
    # A str that is wider than it has to be compares equal and is not.
    assert sys.getsizeof(message) <= sys.getsizeof(said.encode().decode())
    if size > 1:
        assert sys.getrefcount(message) == 2, "nobody else holds it"
    await telling
    await link.ws.send(message)
    came = await link.peer.frame()
    assert (came.opcode, came.payload) == (TEXT, said.encode())


@pytest.mark.parametrize("character", SCRIPTS["boundaries"])
async def test_every_boundary_of_width_in_every_place(link, character):
    for before in range(20):
        said = "a" * before + character + "b" * (19 - before)
        link.peer.say(text(said), text(character * (before + 1)))
        assert await link.ws.recv() == said
        assert await link.ws.recv() == character * (before + 1)


async def test_random_text(link):
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    ranges = [(0, 0x80), (0x80, 0x100), (0x100, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
    for _ in range(300):
        of = rng.sample(ranges, rng.randint(1, len(ranges)))
        said = "".join(chr(rng.randrange(*rng.choice(of))) for _ in range(rng.randint(0, 80)))
        link.peer.say(text(said))
        assert await link.ws.recv() == said, f"seed {seed}"
        await link.ws.send(said)
        assert (await link.peer.frame()).payload == said.encode(), f"seed {seed}"


async def test_fragments(link):
    said = SCRIPTS["emoji"].encode()
    pieces = [said[:2], b"", said[2:5], said[5:]]
    link.peer.say(
        frame(TEXT, pieces[0], fin=False),
        frame(PING, b"between"),
        frame(CONTINUATION, pieces[1], fin=False),
        frame(CONTINUATION, pieces[2], fin=False),
        frame(CONTINUATION, pieces[3]),
    )
    assert await link.ws.recv() == SCRIPTS["emoji"]
    pong = await link.peer.frame()
    assert (pong.opcode, pong.payload) == (PONG, b"between")
    large = some_bytes(100_000)
    telling = asyncio.ensure_future(
        link.peer.tell(frame(BINARY, large, fin=False) + frame(CONTINUATION, large) + binary(b"behind"))
    )
    assert await link.ws.recv() == large + large
    assert await link.ws.recv() == b"behind"
    await telling


async def test_one_byte_at_a_time(link):
    for byte in text("één") + binary(bytes(300)):
        link.peer.say(bytes([byte]))
        await arrived()
    assert await link.ws.recv() == "één"
    assert await link.ws.recv() == bytes(300)


async def test_recv_nowait(link):
    assert link.ws.recv_nowait() is None
    link.peer.say(text("a"), text(""))
    await arrived()
    assert link.ws.recv_nowait() == "a"
    assert link.ws.recv_nowait() == ""
    assert link.ws.recv_nowait() is None
    link.peer.say(text("last"))
    link.peer.shut()
    await link.ws.wait_closed()
    assert link.ws.recv_nowait() == "last"
    with pytest.raises(ConnectionClosedError):
        link.ws.recv_nowait()


async def test_recv_many(link):
    link.peer.say(*(text(str(number)) for number in range(10)))
    await arrived()
    assert await link.ws.recv_many(max=3) == ["0", "1", "2"]
    assert await link.ws.recv_many() == [str(number) for number in range(3, 10)]
    with pytest.raises(ValueError, match="max is 0"):
        link.ws.recv_many(0)
    with pytest.raises(ValueError, match="max is 0"):
        link.ws.batches(0)
    with pytest.raises(TimeoutError):
        await link.ws.recv_many(timeout=0.001)


async def test_async_for_and_batches_end_with_the_connection(server):
    for batched in (False, True):
        link = await Link.open(server)
        link.peer.say(text("a"), text("b"), close(1000))
        link.peer.sock.shutdown(1)
        got = []
        if batched:
            async for batch in link.ws.batches():
                got += batch
        else:
            async for message in link.ws:
                got.append(message)
        assert got == ["a", "b"]


@pytest.mark.parametrize("how", ["recv", "recv_many", "recv_streaming", "async for", "batches"])
async def test_more_than_a_turn_takes_is_kept_behind_the_end(link, how):
    """Nobody calls for another turn then."""
    said = [b"%d" % number for number in range(1000)]
    link.peer.say(*map(binary, said), close(1000))
    assert (await link.peer.frame()).opcode == CLOSE
    link.peer.shut()
    await link.ws.wait_closed()

    async def received():
        if how == "async for":
            async for message in link.ws:
                yield [message]
        elif how == "batches":
            async for batch in link.ws.batches(7):
                yield batch
        while how == "recv":
            yield [await link.ws.recv()]
        while how == "recv_many":
            yield await link.ws.recv_many(7)
        while how == "recv_streaming":
            yield [part async for part in link.ws.recv_streaming()]

    others = 0

    async def count():
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    got = []
    try:
        async for batch in received():
            got += batch
            # Others wait no longer than a turn takes.
            time.sleep(0.0001)
    except ConnectionClosedOK:
        pass
    counting.cancel()
    await asyncio.wait([counting])
    assert got == said
    assert others > 5


@pytest.mark.parametrize("end", [close(1011, "oops"), close(4000), b""])
async def test_async_for_raises_where_the_end_is_no_clean_one(link, end):
    link.peer.say(text("a"), end)
    link.peer.sock.shutdown(1)
    got = []
    with pytest.raises(ConnectionClosedError):
        async for message in link.ws:
            got.append(message)
    assert got == ["a"]


# ---- the peer's faults


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, "é".encode()[:1]), 1007),
        (frame(3), 1002),
        (frame(TEXT, b"a", rsv=4), 1002),
        (frame(CONTINUATION, b"a"), 1002),
        (frame(PING, b"a", fin=False), 1002),
        (bytes([0x81, 0x81, 1, 2, 3, 4, 5]), 1002),
        (frame(CLOSE, b"\x03"), 1002),
    ],
)
async def test_violations(link, said, code):
    link.peer.say(text("before"), said)
    assert await link.ws.recv() == "before"
    closing = await link.peer.frame()
    assert (closing.opcode, closing.code) == (CLOSE, code)
    link.peer.shut()
    with pytest.raises(ConnectionClosedError) as caught:
        await link.ws.recv()
    assert caught.value.code == code


async def test_who_failed_shuts_its_side_and_waits_for_the_peer(server):
    """A socket that was closed with unread input would send a reset, and that takes the Close frame with it."""
    link = await Link.open(server, close_timeout=None)
    link.peer.say(frame(TEXT, b"\xff"))
    assert (await link.peer.frame()).code == 1007
    assert await asyncio.wait_for(link.peer.end(), 5) == b"", "our side is shut"
    link.peer.say(text("unread"))
    await arrived()
    assert not link.ws.is_closed
    link.peer.shut()
    await link.ws.wait_closed()


async def test_a_header_alone_takes_no_memory(link):
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        link.peer.say(bytes([0x82, 127]) + (60 << 20).to_bytes(8, "big"))
        await arrived()
        after, most = tracemalloc.get_traced_memory()
        assert most - before < 300_000, "a transport has 256 KiB to read into"
        tracemalloc.reset_peak()
        link.peer.say(b"x")
        await arrived()
        after, most = tracemalloc.get_traced_memory()
        assert most - before < 5 << 20, "and one byte takes 4 MiB at the most"
    finally:
        tracemalloc.stop()
    link.peer.shut()
    await link.ws.wait_closed()


async def test_a_message_that_is_too_big(server):
    link = await Link.open(server, max_size=1000)
    link.peer.say(binary(bytes(1000)), binary(bytes(1001))[:4])
    assert await link.ws.recv() == bytes(1000)
    closing = await link.peer.frame()
    assert closing.code == 1009, "judged by its header"
    link.peer.shut()
    with pytest.raises(ConnectionClosedError) as caught:
        await link.ws.recv()
    assert caught.value.code == 1009


# ---- sent

BYTES_LIKE = {
    "bytes": lambda: b"abcdefgh",
    "bytearray": lambda: bytearray(b"abcdefgh"),
    "memoryview": lambda: memoryview(b"abcdefgh"),
    "part of a memoryview": lambda: memoryview(b"..abcdefgh..")[2:10],
    "array": lambda: array.array("B", b"abcdefgh"),
    "array of words": lambda: array.array("I", b"abcdefgh"),
}


@pytest.mark.parametrize("kind", BYTES_LIKE)
async def test_bytes_like(link, kind):
    message = BYTES_LIKE[kind]()
    held = sys.getrefcount(message)
    await link.ws.send(message)
    link.ws.send_nowait(message)
    await link.ws.send_many([message])
    await link.ws.send(message, text=True)
    assert sys.getrefcount(message) == held
    frames = await link.peer.frames(4)
    assert [(came.opcode, came.payload) for came in frames] == [(BINARY, b"abcdefgh")] * 3 + [(TEXT, b"abcdefgh")]


async def test_a_str_as_binary(link):
    await link.ws.send("é", text=False)
    came = await link.peer.frame()
    assert (came.opcode, came.payload) == (BINARY, "é".encode())


async def test_what_is_changed_after_the_call_was_sent_as_it_was(link):
    message = bytearray(b"before")
    with link.ws.cork():
        link.ws.send_nowait(message)
        message[:] = b"behind"
        message += b"!"
    assert (await link.peer.frame()).payload == b"before"


@pytest.mark.parametrize("message", [None, 1, 1.5, [1], {"a": 1}, object()])
async def test_what_is_no_message(link, message):
    with pytest.raises(TypeError, match="a message is str or bytes-like, (or an iterable of them, )?and this is"):
        await link.ws.send(message)
    with pytest.raises(TypeError):
        link.ws.send_nowait(message)
    with pytest.raises(BufferError, match="in one piece"):
        await link.ws.send(memoryview(b"abcdef")[::2])
    with pytest.raises(UnicodeEncodeError):
        await link.ws.send("a\ud800")
    with pytest.raises(UnicodeError, match="not UTF-8"):
        await link.ws.send(b"\xff", text=True)
    await link.ws.send("fine")
    assert (await link.peer.frame()).payload == b"fine", "and nothing was sent"


@pytest.mark.parametrize("size", SIZES)
async def test_sent_in_every_size(link, size):
    payload = some_bytes(size)
    sending = asyncio.ensure_future(link.ws.send(payload))
    came = await link.peer.frame()
    assert (came.opcode, came.fin, came.rsv) == (BINARY, True, 0)
    assert came.key is not None, "RFC 6455 5.3: a client masks"
    assert came.payload == payload
    await sending


async def test_every_frame_has_a_key_of_its_own(link):
    for _ in range(100):
        await link.ws.send(b"a")
    assert len({came.key for came in await link.peer.frames(100)}) > 95


async def test_send_waits_while_the_peer_does_not_read(link):
    payload = some_bytes(32 << 20)
    sending = asyncio.ensure_future(link.ws.send(payload))
    await parked(sending)
    assert link.ws.queued > 0
    await arrived()
    assert not sending.done(), "it returns when the bytes have left"
    assert (await link.peer.frame()).payload == payload
    await sending
    assert link.ws.queued == 0


async def test_the_end_while_somebody_sends(link):
    sending = asyncio.ensure_future(link.ws.send(some_bytes(32 << 20)))
    behind = asyncio.ensure_future(link.ws.send("behind"))
    await parked(sending)
    await parked(behind)
    link.peer.reset()
    for task in (sending, behind):
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(task, 10)


async def test_a_send_that_is_cancelled_is_sent_all_the_same(link):
    payload = some_bytes(32 << 20)
    sending = asyncio.ensure_future(link.ws.send(payload))
    await parked(sending)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    behind = asyncio.ensure_future(link.ws.send("behind"))
    assert (await link.peer.frame()).payload == payload
    assert (await link.peer.frame()).payload == b"behind"
    await behind


async def test_who_gave_a_send_up_is_not_told_of_the_end(link):
    """An exception that nobody can take would be reported to the event loop."""
    sending = asyncio.ensure_future(link.ws.send(some_bytes(32 << 20)))
    await parked(sending)
    sending.cancel()
    await asyncio.wait([sending])
    link.peer.reset()
    await link.ws.wait_closed()
    gc.collect()
    await turn()


@pytest.mark.parametrize("whose", ["ours", "the peer's"])
async def test_send_nowait_tells_the_end_although_what_was_sent_before_still_waits(server, whose):
    link = await Link.open(server, send_window=1000)
    with pytest.raises(SendQueueFull):
        while True:
            link.ws.send_nowait(bytes(100_000))
    if whose == "ours":
        closing = asyncio.ensure_future(link.ws.close())
        await parked(closing)
        with pytest.raises(ConnectionClosedOK):
            link.ws.send_nowait("behind")
    link.peer.reset()
    await link.ws.wait_closed()
    with pytest.raises(ConnectionClosedError):
        link.ws.send_nowait("behind")
    if whose == "ours":
        await closing


async def test_send_nowait_refuses_what_would_wait(server):
    link = await Link.open(server, send_window=1000)
    sent = 0
    with pytest.raises(SendQueueFull) as caught:
        while True:
            link.ws.send_nowait(bytes(100_000))
            sent += 1
    assert isinstance(caught.value, asyncio.QueueFull)
    assert sent > 1
    assert all(len(came.payload) == 100_000 for came in await link.peer.frames(sent))
    await arrived()
    link.ws.send_nowait("behind")
    assert (await link.peer.frame()).payload == b"behind"


async def test_send_many(link):
    await link.ws.send_many(str(number) for number in range(1000))
    assert [came.payload for came in await link.peer.frames(1000)] == [str(number).encode() for number in range(1000)]
    await link.ws.send_many([])

    def failing():
        yield "a"
        raise KeyError("the generator")

    with pytest.raises(KeyError):
        await link.ws.send_many(failing())
    assert (await link.peer.frame()).payload == b"a", "what came before the mistake has left"
    with pytest.raises(TypeError):
        await link.ws.send_many(["b", None, "never"])
    with pytest.raises(TypeError):
        link.ws.send_many(5)
    await link.ws.send("c")
    assert [came.payload for came in await link.peer.frames(2)] == [b"b", b"c"]


async def test_send_many_waits(link):
    messages = [some_bytes(1 << 20)] * 24
    sending = asyncio.ensure_future(link.ws.send_many(iter(messages)))
    await parked(sending)
    assert link.ws.queued < 4 << 20, "no more is taken than may wait, and one message"
    assert [came.payload for came in await link.peer.frames(24)] == messages
    await sending


async def test_cork(link):
    with link.ws.cork():
        await link.ws.send("a")
        with link.ws.cork():
            await link.ws.send("b")
        assert link.ws.queued > 0, "the outer one holds"
        with pytest.raises(BlockingIOError):
            link.peer.sock.recv(1)
    assert link.ws.queued == 0
    with pytest.raises(KeyError), link.ws.cork():
        await link.ws.send("c")
        raise KeyError
    assert [came.payload for came in await link.peer.frames(3)] == [b"a", b"b", b"c"]
    with pytest.raises(RuntimeError):
        link.ws.cork().__exit__(None, None, None)


async def test_a_corked_send_that_has_to_wait(link):
    """The cork holds back what fits; who waits for room would else wait for the cork, and the cork for him."""
    payload = some_bytes(24 << 20)

    async def send():
        with link.ws.cork():
            await link.ws.send(payload)
            await link.ws.send("behind")

    sending = asyncio.ensure_future(send())
    await parked(sending)
    assert (await link.peer.frame()).payload == payload
    await sending
    assert (await link.peer.frame()).payload == b"behind"


@pytest.mark.parametrize("who", ["we", "the peer"])
async def test_closing_in_a_cork(link, who):
    """A Close frame is not held back, and neither is what was sent before it."""
    with link.ws.cork():
        await link.ws.send("x")
        if who == "we":
            closing = asyncio.ensure_future(link.ws.close())
        else:
            link.peer.say(close(1000))
            closing = asyncio.ensure_future(link.ws.wait_closed())
        assert (await link.peer.frame()).payload == b"x"
        if who == "we":
            await link.peer.finish()
        else:
            assert (await link.peer.frame()).opcode == CLOSE
            link.peer.shut()
        await closing
    assert link.ws.close_code == 1000


async def test_a_ping_in_a_cork(link):
    with link.ws.cork():
        await link.ws.send("x")
        pinging = asyncio.ensure_future(link.ws.ping())
        assert (await link.peer.frame()).payload == b"x"
        came = await link.peer.frame()
        assert came.opcode == PING
        link.peer.say(frame(PONG, came.payload))
        await pinging


async def test_a_corked_send_that_has_to_wait_for_little(loop_kind, server):
    """Less waits than a cork holds back, and no more may."""
    if loop_kind == "transports":
        pytest.skip("what a transport took does not wait here")
    link = await Link.open(server, send_window=1000)
    sent = await choke(link.ws, lambda: link.ws.queued > 1000)

    async def send():
        with link.ws.cork():
            await link.ws.send("behind")

    sending = asyncio.ensure_future(send())
    await parked(sending)
    assert all(len(came.payload) == 10_000 for came in await link.peer.frames(sent))
    await asyncio.wait_for(sending, 10)
    assert (await link.peer.frame()).payload == b"behind"
