"""When connections are called for the time: by one timer of the kernel for each event loop, on Linux."""

import asyncio
import contextvars
import gc
import os
import random
import resource
import socket
import sys
import time
import warnings

import pytest

from aiowebsocket import ConnectionClosedError, _aiowebsocket, _alarm
from aiowebsocket._alarm import Alarm, clock_of
import support
from conftest import LOOPS
from support import PING, PONG, Link, Server, descriptors, frame, run_python, timers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's timers are Linux'")


@pytest.fixture(autouse=True)
def watches(loop_kind):
    if loop_kind == "transports":
        pytest.skip("a loop that cannot watch a socket cannot watch a timer")


@pytest.fixture
def called_later(loop):
    """Whose methods the loop was asked to call later."""
    call_later, asked = loop.call_later, []

    def recorded(delay, callback, *arguments, **keywords):
        asked.append(getattr(callback, "__self__", None))
        return call_later(delay, callback, *arguments, **keywords)

    loop.call_later = recorded
    return asked


# ---- connections


async def test_keep_alive_is_no_timer_of_the_loop(called_later, server):
    link = await Link.open(server, ping_interval=0.05)
    assert timers() == 1
    for _ in range(3):
        ping = await link.peer.frame()
        assert ping.opcode == PING
        link.peer.say(frame(PONG, ping.payload))
    assert link.ws not in called_later
    link.peer.shut()
    await link.ws.wait_closed()
    assert timers() == 0


async def test_a_dead_peer(server):
    began = time.monotonic()
    link = await Link.open(server, ping_interval=0.05, ping_timeout=0.1)
    with pytest.raises(ConnectionClosedError, match="ping_timeout"):
        await asyncio.wait_for(link.ws.recv(), 10)
    assert 0.15 <= time.monotonic() - began < 5


async def test_a_closing_handshake_that_the_peer_does_not_complete(server):
    """An earlier deadline than the one that is waited for."""
    link = await Link.open(server, ping_interval=60, close_timeout=0.05)
    await asyncio.wait_for(link.ws.close(), 10)
    assert timers() == 0


async def test_without_keep_alive_there_is_none(server):
    link = await Link.open(server, ping_interval=None)
    assert timers() == 0
    link.peer.shut()


async def test_a_thousand_connections_have_one(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        links = [await Link.open(server, ping_interval=0.2, ping_timeout=None) for _ in range(1000)]
        assert timers() == 1
        for link in links:
            assert (await link.peer.frame()).opcode == PING
        for link in links[1:]:
            link.peer.shut()
            await link.ws.wait_closed()
        assert timers() == 1
        links[0].peer.shut()
        await links[0].ws.wait_closed()
        assert timers() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_a_descriptor_the_loop_calls(called_later, server, monkeypatch):
    def none_left():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(_aiowebsocket, "Timer", none_left)
    link = await Link.open(server, ping_interval=0.05)
    assert (await link.peer.frame()).opcode == PING
    assert link.ws in called_later
    link.peer.shut()
    await link.ws.wait_closed()


# ---- loops that come and go


@pytest.mark.parametrize("closes", [True, False])
def test_a_hundred_loops_leave_no_descriptor(loop_kind, closes):
    async def main(server):
        link = await Link.open(server)
        assert timers() >= 1
        if closes:
            assert timers() == 1
            link.peer.shut()
            await link.ws.wait_closed()
            assert timers() == 0

    def run():
        loop = LOOPS[loop_kind]()
        try:
            with Server(socket.create_server(("127.0.0.1", 0))) as server:
                loop.run_until_complete(main(server))
        finally:
            loop.close()

    with warnings.catch_warnings():
        # What was not closed is told by its destructor.
        warnings.simplefilter("ignore", ResourceWarning)
        run()
        support._links.clear()
        gc.collect()
        before = descriptors()
        for _ in range(100):
            run()
            support._links.clear()
        gc.collect()
    assert descriptors() == before
    assert timers() == 0


LEFT = """
    import asyncio, gc, socket, support, uvloop
    from support import Link, Server, timers

    async def main(server):
        return (await Link.open(server)).ws

    def run():
        with Server(socket.create_server(("127.0.0.1", 0))) as server:
            return RUN(main(server))

    ws = run()
    print(timers())
    del ws
    support._links.clear()
    gc.collect()
    print(timers())
"""


def test_a_loop_that_ends_before_its_connection(loop_kind):
    code = LEFT.replace("RUN", "asyncio.run" if loop_kind == "asyncio" else "uvloop.run")
    status, said, complaints = run_python(code, "-W", "always::ResourceWarning")
    # As long as the connection, whose socket is there still too.
    assert (status, said) == (0, "1\n0\n"), complaints
    assert complaints.count("ResourceWarning: unclosed") == 1, complaints


async def test_a_child_process_changes_nothing(server):
    link = await Link.open(server, ping_interval=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Newer Pythons warn of a fork beside threads.
        child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.set_event_loop(None)
            status = _child_has_its_own(server)
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    for _ in range(3):
        assert (await link.peer.frame()).opcode == PING
        link.peer.say(frame(PONG))


def _child_has_its_own(server):
    asyncio._set_running_loop(None)

    async def main():
        before = timers()
        link = await Link.open(server, ping_interval=0.05)
        assert timers() == before + 1
        assert (await link.peer.frame()).opcode == PING
        link.peer.shut()
        await link.ws.wait_closed()
        assert timers() == before

    asyncio.run(main())
    return 0


# ---- the order


async def test_the_earliest_comes_first(loop):
    alarm, called = Alarm(loop), []
    delays = [number / 200 for number in range(1, 21)] * 2
    random.Random(7).shuffle(delays)
    done = loop.create_future()
    began = time.monotonic()
    # Each begins when it is asked for, and between two of them anything may take its time.
    calls = [
        alarm.call_later(delay, lambda number=number: called.append((number, time.monotonic())))
        for number, delay in enumerate(delays)
    ]
    alarm.call_later(0.11, lambda: done.set_result(None))
    await asyncio.wait_for(done, 10)
    assert [number for number, _ in called] == sorted(range(len(calls)), key=lambda number: calls[number].when)
    assert all(at >= calls[number].when >= began + delays[number] for number, at in called)
    assert timers() == 0


async def test_a_later_one_does_not_wait_for_one_that_was_cancelled(loop):
    alarm, called = Alarm(loop), []
    done = loop.create_future()
    first, same, never = (alarm.call_later(delay, lambda: called.append("cancelled")) for delay in (0.02, 0.02, 60))
    alarm.call_later(0.05, lambda: done.set_result(None))
    first.cancel()
    first.cancel()
    await asyncio.wait_for(done, 10)
    assert called == ["cancelled"]
    same.cancel()
    assert timers() == 1
    never.cancel()
    assert timers() == 0


async def test_of_two_at_the_same_time_the_right_one_is_cancelled(loop, monkeypatch):
    alarm, called = Alarm(loop), []
    with monkeypatch.context() as patch:
        now = time.monotonic()
        patch.setattr(_alarm, "monotonic", lambda: now)
        one, two, three = (alarm.call_later(0.01, lambda name=name: called.append(name)) for name in "abc")
    two.cancel()
    done = loop.create_future()
    alarm.call_later(0.02, lambda: done.set_result(None))
    await asyncio.wait_for(done, 10)
    assert called == ["a", "c"]


async def test_between_two_the_loop_sleeps(loop, monkeypatch):
    """Past the first one, the timer is no longer something to be read."""
    on_time, times = Alarm._on_time, []
    monkeypatch.setattr(Alarm, "_on_time", lambda alarm: (times.append(time.monotonic()), on_time(alarm)))
    alarm = Alarm(loop)
    done = loop.create_future()
    alarm.call_later(0.01, lambda: None)
    alarm.call_later(0.1, lambda: done.set_result(None))
    await asyncio.wait_for(done, 10)
    assert len(times) <= 4


async def test_what_is_asked_for_meanwhile(loop):
    alarm, called = Alarm(loop), []
    done = loop.create_future()

    def ask():
        called.append("first")
        alarm.call_later(0, lambda: called.append("at once"))
        behind.cancel()
        alarm.call_later(0.01, lambda: done.set_result(None))

    alarm.call_later(0.01, ask)
    behind = alarm.call_later(0.01, lambda: called.append("cancelled"))
    time.sleep(0.02)
    await asyncio.wait_for(done, 10)
    assert called == ["first", "at once"]
    assert timers() == 0


async def test_one_that_raises_does_not_hold_up_the_others(loop):
    alarm = Alarm(loop)
    done = loop.create_future()
    alarm.call_later(0.01, lambda: 1 / 0)
    alarm.call_later(0.01, lambda: done.set_result(None))
    time.sleep(0.02)
    await asyncio.wait_for(done, 10)
    assert [type(report["exception"]) for report in loop.reports] == [ZeroDivisionError]
    loop.reports.clear()
    assert timers() == 0


async def test_each_is_called_in_the_context_of_who_asked(loop):
    alarm, variable, seen = Alarm(loop), contextvars.ContextVar("variable", default=None), []
    done = loop.create_future()
    for name in ("a", "b"):
        context = contextvars.copy_context()
        context.run(variable.set, name)
        context.run(alarm.call_later, 0.01, lambda: seen.append(variable.get()))
    alarm.call_later(0.02, lambda: done.set_result(None))
    await asyncio.wait_for(done, 10)
    assert seen == ["a", "b"]


async def test_a_loop_has_one(loop):
    one = clock_of(loop)
    assert clock_of(loop) is one
    other = LOOPS["asyncio"]()
    assert clock_of(other) is not one
    other.close()
