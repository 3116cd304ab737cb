"""An open connection over time: closing, pings, the window while nobody receives, whose turn it is, and the end of a process."""

import asyncio
import ctypes
import gc
import inspect
import os
import sys
import time
import warnings

import pytest

from aiowebsocket import ConnectionClosedError, ConnectionClosedOK, WebSocket, _aiowebsocket, sync
from aiowebsocket._options import check_close
from support import CLOSE, CONTINUATION, PING, PONG, TEXT, Link, arrived, binary, close, frame, parked, run_python, text, turn

# ---- closing


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "away"), (3000, "ü" * 61), (4999, "x" * 123)])
async def test_close(link, code, reason):
    closing = asyncio.ensure_future(link.ws.close(code, reason))
    said = await link.peer.finish()
    assert (said.code, said.reason) == (code, reason)
    await closing
    assert (link.ws.close_code, link.ws.close_reason) == (code, reason)
    assert link.ws.fileno() == -1
    await link.ws.close()
    await link.ws.wait_closed()
    with pytest.raises(ConnectionClosedOK if code < 3000 else ConnectionClosedError):
        await link.ws.recv()
    for call in (lambda: link.ws.send("a"), lambda: link.ws.ping(), lambda: link.ws.send_many(["a"])):
        with pytest.raises((ConnectionClosedOK, ConnectionClosedError)):
            await call()


async def test_our_own_close_on_its_way(link):
    closing = asyncio.ensure_future(link.ws.close(4000))
    assert (await link.peer.frame()).code == 4000
    with pytest.raises(ConnectionClosedOK) as caught:
        await link.ws.send("too late")
    assert caught.value.code is None
    link.peer.say(close(4000))
    link.peer.shut()
    await closing
    with pytest.raises(ConnectionClosedError) as caught:
        await link.ws.send("too late")
    assert caught.value.code == 4000


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, 70000, 10**30])
async def test_codes_that_must_not_be_sent(link, code):
    with pytest.raises(ValueError, match=f"^the close code {code} must not be sent; use 1000-1003, 1007-1014 or 3000-4999"):
        await link.ws.close(code)
    with pytest.raises(ValueError, match="reason"):
        await link.ws.close(1000, "x" * 124)
    assert link.ws.is_open


def test_a_code_is_refused_in_the_words_of_the_machine():
    with pytest.raises(ValueError) as caught:
        _aiowebsocket.Machine().close(999, "")
    with pytest.raises(ValueError) as ours:
        check_close(999, "")
    assert str(ours.value) == str(caught.value)


@pytest.mark.parametrize(("call", "error", "told"), [
    (lambda ws: ws.close("a"), TypeError, "code is an int, and this is str"),
    (lambda ws: ws.close(1000, 1), TypeError, "reason is a str, and this is int"),
    (lambda ws: ws.recv("a"), TypeError, "timeout is a number or None"),
    (lambda ws: ws.recv(timeout=float("nan")), ValueError, "timeout is nan, and no number of seconds"),
    (lambda ws: ws.recv_many(timeout="a"), TypeError, "timeout is a number or None"),
    (lambda ws: ws.recv_many(timeout=float("nan")), ValueError, "timeout is nan, and no number of seconds"),
])
async def test_a_mistake_names_its_argument(link, call, error, told):
    with pytest.raises(error) as caught:
        call(link.ws)
    assert str(caught.value) == told


def test_what_help_shows():
    for face in (WebSocket, _aiowebsocket.Connection, sync.WebSocket):
        assert [one.default for one in inspect.signature(face.close).parameters.values()][1:] == [1000, ""]


@pytest.mark.parametrize(("said", "code", "error"), [
    (close(1000, "bye"), 1000, ConnectionClosedOK),
    (close(1001), 1001, ConnectionClosedOK),
    (close(), 1005, ConnectionClosedOK),
    (close(1011, "oops"), 1011, ConnectionClosedError),
    (close(4000), 4000, ConnectionClosedError),
])
async def test_closed_by_the_peer(link, said, code, error):
    link.peer.say(text("before"), said)
    assert (await link.peer.frame()).opcode == CLOSE
    link.peer.shut()
    await link.ws.wait_closed()
    assert link.ws.close_code == code
    assert await link.ws.recv() == "before", "what came before the end is there"
    with pytest.raises(error) as caught:
        await link.ws.recv()
    assert caught.value.code == code


async def test_a_peer_that_never_answers_close(server):
    link = await Link.open(server, close_timeout=0.05)
    await link.ws.close()
    assert link.ws.close_code == 1006
    with pytest.raises(ConnectionClosedError, match="close_timeout"):
        await link.ws.recv()


async def test_an_end_without_close(link):
    receiving = asyncio.ensure_future(link.ws.recv())
    await parked(receiving)
    link.peer.say(binary(bytes(100))[:50])
    link.peer.shut()
    with pytest.raises(ConnectionClosedError, match="1006") as caught:
        await receiving
    assert caught.value.code == 1006


async def test_a_reset(link):
    receiving = asyncio.ensure_future(link.ws.recv())
    await parked(receiving)
    link.peer.reset()
    with pytest.raises(ConnectionClosedError) as caught:
        await receiving
    assert isinstance(caught.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize("window", [4 << 20, 1000])
@pytest.mark.parametrize("count", [1, 500])
async def test_a_reset_behind_messages(server, count, window):
    """Both are seen in one look at the socket; uvloop calls once for that and never again, however much there is before the reset."""
    link = await Link.open(server, ping_interval=None, receive_window=window)
    receiving = asyncio.ensure_future(link.ws.recv())
    await parked(receiving)
    link.peer.say(text("x" * 100) * count)
    link.peer.reset()
    assert await receiving == "x" * 100
    for _ in range(count - 1):
        await asyncio.wait_for(link.ws.recv(), 5)
    with pytest.raises(ConnectionClosedError) as caught:
        await asyncio.wait_for(link.ws.recv(), 5)
    assert isinstance(caught.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize("whose", ["ours", "the peer's"])
async def test_a_reset_behind_the_closing_handshake_is_no_fault(link, whose):
    if whose == "ours":
        closing = asyncio.ensure_future(link.ws.close(1001))
        await link.peer.frame()
        link.peer.say(close(1001))
    else:
        closing = asyncio.ensure_future(link.ws.wait_closed())
        link.peer.say(close(1001))
        await link.peer.frame()
    await arrived()
    link.peer.reset()
    await closing
    assert link.ws.close_code == 1001
    with pytest.raises(ConnectionClosedOK) as caught:
        await link.ws.recv()
    assert caught.value.__cause__ is None


async def test_what_comes_after_close_is_dropped(link):
    receiving = asyncio.ensure_future(link.ws.recv())
    await parked(receiving)
    closing = asyncio.ensure_future(link.ws.close())
    assert (await link.peer.frame()).opcode == CLOSE
    link.peer.say(text("dropped"))
    await arrived()
    assert link.ws.pending == 0
    link.peer.say(text("dropped too"), close(1000))
    link.peer.shut()
    await closing
    with pytest.raises(ConnectionClosedOK):
        await receiving
    with pytest.raises(ConnectionClosedOK):
        link.ws.recv_nowait()


# ---- pings


async def test_ping_and_latency(link):
    assert link.ws.latency == 0
    pinging = asyncio.ensure_future(link.ws.ping())
    ping = await link.peer.frame()
    assert ping.opcode == PING
    link.peer.say(frame(PONG, b"another"), frame(PONG, ping.payload))
    seconds = await pinging
    assert 0 < seconds < 20
    assert link.ws.latency == seconds


async def test_a_ping_that_the_end_overtakes(link):
    pinging = asyncio.ensure_future(link.ws.ping())
    await link.peer.frame()
    link.peer.shut()
    with pytest.raises(ConnectionClosedError):
        await pinging


@pytest.mark.parametrize("call", ["ping", "wait_closed", "close", "send"])
async def test_who_waits_no_longer_is_forgotten(link, call):
    """What they waited for may be days away."""

    async def parts():
        yield "a"
        await asyncio.sleep(1000)

    first = asyncio.ensure_future(link.ws.send(parts())) if call == "send" else None
    await arrived()
    held = []
    for _ in range(3):
        waiting = asyncio.ensure_future(getattr(link.ws, call)(*(["a"] if first else [])))
        await parked(waiting)
        held.append(waiting._fut_waiter)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
    del waiting
    assert not any(future is one for one in gc.get_referents(link.ws) for future in held)
    if first is not None:
        first.cancel()
        await asyncio.wait([first])


async def test_pings_are_answered_although_nobody_receives(link):
    link.peer.say(text("a"), frame(PING, b"1"))
    assert (await link.peer.frame()).payload == b"1"
    assert link.ws.recv_nowait() == "a"


async def test_a_dead_peer(server):
    link = await Link.open(server, ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05)
    with pytest.raises(ConnectionClosedError, match="ping_timeout") as caught:
        await asyncio.wait_for(link.ws.recv(), 10)
    assert isinstance(caught.value.__cause__, TimeoutError)


async def test_a_pong_that_lies_in_the_kernel_is_heard_before_the_peer_is_judged(loop_kind, server):
    """The program did something else for longer than the peer had time to answer."""
    if loop_kind == "transports":
        pytest.skip("what the kernel has is the transport's to read; asyncio reads before it tells the time")
    link = await Link.open(server, ping_interval=0.05, ping_timeout=0.1, close_timeout=0.05)
    ping = await link.peer.frame()
    link.peer.say(frame(PONG, ping.payload))
    time.sleep(0.3)
    # As a loop does that tells the time before it asks the system for what came.
    link.ws._on_time()
    assert link.ws.is_open
    link.peer.say(close(1000))
    link.peer.shut()
    await link.ws.wait_closed()
    assert link.ws.close_code == 1000


async def test_no_pings(server):
    link = await Link.open(server, ping_interval=None)
    assert link.ws.is_open
    await link.ws.send("a")
    assert (await link.peer.frame()).opcode == TEXT


# ---- the window


async def test_reading_pauses_and_goes_on(calls, server):
    link = await Link.open(server, receive_window=10_000)
    calls.names.clear()
    link.peer.say(*(binary(bytes([number]) * 1000) for number in range(30)), frame(PING, b"behind"))
    await arrived()
    assert "remove_reader" in calls.names
    await link.ws.send("before")
    assert (await link.peer.frame()).opcode == TEXT, "the ping behind the window waits"
    for number in range(30):
        assert await link.ws.recv() == bytes([number]) * 1000
    assert "add_reader" in calls.names
    pong = await link.peer.frame()
    assert (pong.opcode, pong.payload) == (PONG, b"behind")


async def test_close_reads_on_behind_a_full_window(server):
    link = await Link.open(server, receive_window=1000)
    link.peer.say(*(binary(bytes(1000)) for _ in range(10)))
    await arrived()
    closing = asyncio.ensure_future(link.ws.close())
    assert (await link.peer.finish()).code == 1000
    await asyncio.wait_for(closing, 5)
    assert link.ws.close_code == 1000


async def test_who_does_not_receive_does_not_judge_the_peer(server):
    """Its pong may lie behind what nobody takes; our pings go on."""
    link = await Link.open(server, receive_window=1000, ping_interval=0.02, ping_timeout=0.02)
    link.peer.say(*(binary(bytes(1000)) for _ in range(10)))
    await arrived()
    for _ in range(5):
        assert (await link.peer.frame()).opcode == PING
    assert link.ws.is_open
    for _ in range(10):
        await link.ws.recv()


# ---- what was read and is not taken yet


@pytest.mark.parametrize("size", [10, 1000, 30_000])
class TestWhatIsSentMeanwhile:
    """It is written elsewhere, although it is mostly written into the memory that the message before it was read into."""

    async def test_the_window_is_full(self, server, size):
        link = await Link.open(server, receive_window=1000)
        said = [letter * 300 for letter in "abcdef"]
        for message in said:
            link.peer.say(text(message))
            await arrived()
        await link.ws.send("z" * size)
        assert [await link.ws.recv() for _ in said] == said
        assert (await link.peer.frame()).payload == b"z" * size

    async def test_nobody_asks_for_a_part(self, link, size):
        streaming = link.ws.recv_streaming()
        link.peer.say(frame(TEXT, "begun", fin=False))
        assert await streaming.__anext__() == "begun"
        link.peer.say(frame(CONTINUATION, "a" * 300, fin=False))
        await arrived()
        await link.ws.send("z" * size)
        link.peer.say(frame(CONTINUATION, "end"))
        assert [part async for part in streaming] == ["a" * 300, "end"]
        assert (await link.peer.frame()).payload == b"z" * size

    async def test_the_turn_is_over(self, loop, server, size):
        got = []

        def on_message(ws, message):
            got.append(message)
            if len(got) == 1:
                # Longer than a turn, which is looked at with each 64th message.
                time.sleep(0.002)
            if len(got) == 64:
                loop.call_soon(ws.send_nowait, "z" * size)

        link = await Link.open(server, on_message=on_message)
        said = [chr(ord("a") + number % 26) * 300 for number in range(65)]
        link.peer.say(*map(text, said))
        assert (await link.peer.frame()).payload == b"z" * size
        await arrived()
        assert got == said


# ---- whose turn it is


async def longest_run(link, size, count, work=lambda: None):
    """The most messages that one task receives before another one has its turn."""
    telling = asyncio.ensure_future(link.peer.tell(binary(bytes(size)) * count))
    runs, run, is_over = [], 0, False

    async def tick():
        nonlocal run
        while not is_over:
            runs.append(run)
            run = 0
            await turn()

    ticking = asyncio.ensure_future(tick())
    for _ in range(count):
        await link.ws.recv()
        run += 1
        work()
    is_over = True
    await ticking
    await telling
    return max(*runs, run)


async def test_a_flood_of_bytes_lets_others_have_their_turn(link):
    size = 16 << 10
    assert await longest_run(link, size, 1000) * size <= 600 << 10


async def test_a_flood_of_slow_steps_lets_others_have_their_turn(link):
    def work():
        until = time.perf_counter() + 0.0001
        while time.perf_counter() < until:
            pass

    assert await longest_run(link, 10, 3000, work) <= 200


async def test_what_is_there_is_received_although_nothing_more_comes(link):
    """Whose turn is over asks for another one."""
    link.peer.say(*(text(str(number)) for number in range(300)))
    await arrived()
    for number in range(300):
        assert await asyncio.wait_for(_slowly(link.ws.recv()), 5) == str(number)


async def _slowly(receiving):
    until = time.perf_counter() + 0.0001
    while time.perf_counter() < until:
        pass
    return await receiving


async def test_a_batch_is_no_more_than_a_turn(link):
    for _ in range(60):
        link.peer.say(binary(bytes(16 << 10)))
        await arrived()
    assert link.ws.pending == 60
    batch = await link.ws.recv_many()
    assert 0 < sum(map(len, batch)) <= 300 << 10
    count = len(batch)
    while count < 60:
        count += len(await link.ws.recv_many())


# ---- the end of a process


async def test_a_child_process_has_keys_of_its_own(link):
    await link.ws.send("parent")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Newer Pythons warn of a fork beside threads.
        child = os.fork()
    if child == 0:
        try:
            for _ in range(5):
                link.ws.send_nowait("child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    for _ in range(5):
        link.ws.send_nowait("parent")
    frames = await link.peer.frames(11)
    keys = {payload: {came.key for came in frames if came.payload == payload} for payload in (b"child", b"parent")}
    assert len(keys[b"child"]) == 5
    assert not keys[b"child"] & keys[b"parent"]


LEFT = """
    import asyncio, gc, os, socket, support, uvloop, weakref
    from support import Link, Server, parked

    async def receive(ws):
        await ws.recv()

    async def main(server):
        link = await Link.open(server)
        task = asyncio.ensure_future(receive(link.ws))
        await parked(task)
        return weakref.ref(link.ws), link.ws.fileno()

    def run():
        with Server(socket.create_server(("127.0.0.1", 0))) as server:
            return RUN(main(server))

    ws, fd = run()
    support._links.clear()
    gc.collect()
    print(ws() is None)
    try:
        os.fstat(fd)
    except OSError:
        print("closed")
"""


def test_a_loop_that_ends_before_its_connection(loop_kind):
    code = LEFT.replace("RUN", "asyncio.run" if loop_kind == "asyncio" else "uvloop.run")
    status, said, complaints = run_python(code, "-W", "always::ResourceWarning")
    assert (status, said) == (0, "True\nclosed\n"), complaints
    assert "ResourceWarning: unclosed connection <aiowebsocket.WebSocket open" in complaints


async def test_memory_stays_flat(link):
    async def talk(rounds):
        for _ in range(rounds):
            link.peer.say(*(text("x" * 100) for _ in range(500)))
            for _ in range(500):
                await link.ws.recv()

    await talk(20)
    before = sys.getallocatedblocks()
    await talk(200)
    assert sys.getallocatedblocks() - before < 500, "of 100,000 messages"


# ---- memory


class _Heap(ctypes.Structure):
    """What glibc says of its heap; `used` is what the process has and did not give back."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "free_chunks", "fast_chunks", "maps", "mapped", "_", "fast", "used", "free", "top")
    ]


def _heap_used():
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Heap
    heap = mallinfo2()
    return heap.used + heap.mapped


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="this libc does not count its heap")
async def test_a_waiting_connection_holds_no_read_buffer(server):
    links = [await Link.open(server) for _ in range(40)]
    await turn()
    before = _heap_used()
    for link in links:
        # The beginning of a message: it waits in memory of its own size.
        link.peer.say(frame(TEXT, "x" * 1000)[:5])
        await arrived()
    # The smallest read buffer has 4 KiB, and a few wait in the pool for whoever reads next.
    assert _heap_used() - before < 40 * 1024
    for link in links:
        link.peer.say(frame(TEXT, "x" * 1000)[5:])
        assert await link.ws.recv() == "x" * 1000
