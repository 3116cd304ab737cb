"""What `recv()`, `send()` and the others return, and everything that can be done with an awaitable."""

import asyncio
import gc
import inspect
import sys

import pytest

from aiowebsocket import ConcurrencyError, ConnectionClosedOK, ReceiveTimeout
from support import CLOSE, PONG, TEXT, Link, arrived, binary, close, frame, parked, run_python, text, turn

CALLS = {
    "recv()": lambda ws: ws.recv(),
    "recv_many()": lambda ws: ws.recv_many(),
    "anext()": lambda ws: ws.__aiter__().__anext__(),
    "batches()": lambda ws: ws.batches().__aiter__().__anext__(),
    "send()": lambda ws: ws.send("never"),
    "send_many()": lambda ws: ws.send_many(["never"]),
    "ping()": lambda ws: ws.ping(),
    "close()": lambda ws: ws.close(4000, "never"),
    "wait_closed()": lambda ws: ws.wait_closed(),
}


# ---- ways to await


@pytest.mark.parametrize("when", ["there", "coming"])
async def test_await(link, when):
    if when == "there":
        link.peer.say(text("a"), binary(b"b"))
        await arrived()
    else:
        asyncio.get_running_loop().call_soon(link.peer.say, text("a"), binary(b"b"))
    assert await link.ws.recv() == "a"
    assert await link.ws.recv() == b"b"


WRAPPED = {
    "create_task": lambda awaitable: asyncio.create_task(awaitable),
    "ensure_future": lambda awaitable: asyncio.ensure_future(awaitable),
    "gather": lambda awaitable: asyncio.gather(awaitable),
    "wait_for": lambda awaitable: asyncio.wait_for(awaitable, 10),
    "shield": lambda awaitable: asyncio.shield(awaitable),
    "coroutine": lambda awaitable: _awaited(awaitable),
    "nested": lambda awaitable: asyncio.create_task(_awaited(_awaited(awaitable))),
}


async def _awaited(awaitable):
    return await awaitable


@pytest.mark.parametrize("when", ["there", "coming"])
@pytest.mark.parametrize("way", WRAPPED)
async def test_await_wrapped(link, way, when):
    if when == "there":
        link.peer.say(text("a"))
        await arrived()
    else:
        asyncio.get_running_loop().call_later(0.001, link.peer.say, text("a"))
    result = await WRAPPED[way](link.ws.recv())
    assert result == (["a"] if way == "gather" else "a")
    await WRAPPED[way](link.ws.send("b"))
    assert (await link.peer.frame()).payload == b"b"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
async def test_timeout_block(link):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await link.ws.recv()
    link.peer.say(text("a"))
    async with asyncio.timeout(10):
        assert await link.ws.recv() == "a"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is of Python 3.11")
async def test_task_group(link):
    async with asyncio.TaskGroup() as group:
        received = group.create_task(link.ws.recv())
        group.create_task(link.ws.send("b"))
        assert (await link.peer.frame()).payload == b"b"
        link.peer.say(text("a"))
    assert received.result() == "a"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is of Python 3.11")
async def test_a_failing_task_group_cancels_its_receiver(link):
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: F821
        async with asyncio.TaskGroup() as group:
            group.create_task(link.ws.recv())
            await turn()
            raise KeyError("the group fails")
    assert caught.group_contains(KeyError)
    link.peer.say(text("a"))
    assert await link.ws.recv() == "a"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")
@pytest.mark.parametrize("when", ["there", "coming"])
async def test_eager_tasks(loop, link, is_asyncio, when):
    # uvloop gives its factory an argument that asyncio's own does not take before Python 3.14.
    loop.set_task_factory(asyncio.eager_task_factory if is_asyncio else _eager_task)
    if when == "there":
        link.peer.say(text("a"))
        await arrived()
        task = loop.create_task(link.ws.recv())
        assert task.done(), "it takes what is there at once"
    else:
        task = loop.create_task(_awaited(link.ws.recv()))
        assert not task.done()
        link.peer.say(text("a"))
    assert await task == "a"
    sent = loop.create_task(link.ws.send("b"))
    assert sent.done()
    assert (await link.peer.frame()).payload == b"b"


def _eager_task(loop, coroutine, *, eager_start=True, **options):
    return asyncio.Task(coroutine, loop=loop, eager_start=True, **options)


async def test_wait_for_that_runs_out_loses_nothing(link):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(link.ws.recv(), 0.001)
    link.peer.say(text("a"))
    assert await asyncio.wait_for(link.ws.recv(), 10) == "a"


async def test_what_is_shielded_goes_on(link):
    inner = asyncio.ensure_future(link.ws.recv())
    outer = asyncio.ensure_future(_awaited(asyncio.shield(inner)))
    await parked(inner)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    link.peer.say(text("a"))
    assert await inner == "a"


async def test_send_and_recv_together(link):
    async def echo():
        for _ in range(100):
            came = await link.peer.frame()
            link.peer.say(text(came.payload))

    async def send():
        for number in range(100):
            await link.ws.send(str(number))

    async def receive():
        return [await link.ws.recv() for _ in range(100)]

    _, _, got = await asyncio.gather(echo(), send(), receive())
    assert got == [str(number) for number in range(100)]


# ---- what it is


@pytest.mark.parametrize("call", CALLS)
async def test_it_is_no_future(link, call):
    awaitable = CALLS[call](link.ws)
    assert not asyncio.isfuture(awaitable)
    assert inspect.isawaitable(awaitable)
    assert asyncio.iscoroutine(awaitable), "tasks take it as it is"
    awaitable.close()


async def test_what_a_waiting_task_yields_is_a_future(link):
    loop = asyncio.get_running_loop()
    receiving = link.ws.recv().__await__()
    waiter = receiving.send(None)
    assert asyncio.isfuture(waiter)
    assert waiter._asyncio_future_blocking is True
    waiter._asyncio_future_blocking = False
    assert waiter._asyncio_future_blocking is False
    assert waiter.get_loop() is loop
    assert asyncio.futures._get_loop(waiter) is loop
    assert (waiter.done(), waiter.cancelled()) == (False, False)

    called = []
    waiter.add_done_callback(called.append)
    assert waiter.remove_done_callback(print) == 0
    assert waiter.remove_done_callback(called.append) == 1
    assert waiter.remove_done_callback(called.append) == 0
    waiter.add_done_callback(called.append)

    link.peer.say(text("a"))
    while not called:
        await turn()
    assert called == [waiter]
    assert (waiter.done(), waiter.cancelled()) == (True, False)
    assert waiter.result() is None
    assert waiter.exception() is None
    assert waiter.cancel() is False, "what is over cannot be cancelled"
    with pytest.raises(StopIteration) as done:
        receiving.send(None)
    assert done.value.value == "a"

    again = link.ws.recv().__await__()
    assert not again.send(None).done()
    again.close()


async def test_a_waiter_that_is_over_calls_in_the_next_turn(link):
    receiving = link.ws.recv().__await__()
    waiter = receiving.send(None)
    assert waiter.cancel("why") is True
    assert (waiter.done(), waiter.cancelled()) == (True, True)
    called = []
    waiter.add_done_callback(called.append)
    assert called == [], "not from within the call"
    await turn()
    assert called == [waiter]
    with pytest.raises(asyncio.CancelledError, match="why"):
        waiter.result()
    receiving.close()


async def test_who_was_given_up_is_not_called(link):
    stale = []
    receiving = link.ws.recv().__await__()
    waiter = receiving.send(None)
    waiter.add_done_callback(stale.append)
    receiving.close()
    receiving = link.ws.recv().__await__()
    waiter = receiving.send(None)
    link.peer.say(text("a"))
    while not waiter.done():
        await turn()
    await turn()
    assert stale == []
    receiving.close()


async def test_what_cancelled_a_wait_is_not_held(link):
    why = object()
    receiving = link.ws.recv().__await__()
    waiter = receiving.send(None)
    waiter.cancel(why)
    receiving.close()
    del waiter
    assert sys.getrefcount(why) == 2


# ---- other drivers than tasks


@pytest.mark.parametrize("drive", ["send", "next"])
async def test_a_driver_by_hand(link, drive):
    step = {"send": lambda it: it.send(None), "next": next}[drive]
    link.peer.say(text("a"))
    await arrived()
    with pytest.raises(StopIteration) as done:
        step(link.ws.recv().__await__())
    assert done.value.value == "a"

    receiving = iter(link.ws.recv().__await__())
    waiter = step(receiving)
    with pytest.raises(RuntimeError, match="awaited by another task"):
        step(receiving)
    link.peer.say(text("b"))
    while not waiter.done():
        await turn()
    with pytest.raises(StopIteration) as done:
        step(receiving)
    assert done.value.value == "b"


async def test_a_coroutine_by_hand(link):
    """As trampolines of other libraries do: not one task is involved."""
    receiving = _awaited(_awaited(link.ws.recv()))
    waiter = receiving.send(None)
    link.peer.say(text("a"))
    while not waiter.done():
        await turn()
    with pytest.raises(StopIteration) as done:
        receiving.send(None)
    assert done.value.value == "a"


async def test_a_generator_that_delegates(link):
    def delegating():
        return (yield from link.ws.recv().__await__())

    waiter = next(generator := delegating())
    link.peer.say(binary(b"a"))
    while not waiter.done():
        await turn()
    with pytest.raises(StopIteration) as done:
        next(generator)
    assert done.value.value == b"a"


@pytest.mark.parametrize("arguments", [(KeyError("x"),), (KeyError,), (KeyError, "x"), (KeyError, KeyError("x"), None)])
async def test_throw(link, arguments):
    receiving = link.ws.recv()
    receiving.send(None)
    with pytest.raises(KeyError) as caught:
        receiving.throw(*arguments)
    if isinstance(arguments[-1] or arguments[1], KeyError):
        assert caught.value is (arguments[-1] or arguments[1]), "the very one"
    with pytest.raises(RuntimeError, match="awaited already"):
        receiving.send(None)
    link.peer.say(text("a"))
    assert await link.ws.recv() == "a", "it waits no longer, so this is no second receiver"


async def test_throw_without_an_exception(link):
    receiving = link.ws.recv()
    with pytest.raises((TypeError, RuntimeError)):
        receiving.throw()
    with pytest.raises(TypeError):
        link.ws.recv().throw("no exception")
    receiving.close()


async def test_close_of_an_awaitable(link):
    receiving = link.ws.recv()
    receiving.send(None)
    assert receiving.close() is None
    assert receiving.close() is None
    link.peer.say(text("a"))
    assert await link.ws.recv() == "a"


# ---- what it holds


async def _ending(link, call):
    """Has the peer do what a call waits for, if it waits for anything."""
    if call == "ping()":
        link.peer.say(frame(PONG, (await link.peer.frame()).payload))
    elif call == "close()":
        await link.peer.finish()
    elif call == "wait_closed()":
        link.peer.shut()
    elif not call.startswith("send"):
        link.peer.say(text("a"))


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_that_is_done_holds_its_connection_and_lets_it_go(link, call):
    """At once: not when somebody calls into the extension next."""
    ws = link.ws
    ending = asyncio.ensure_future(_ending(link, call))
    awaitable = CALLS[call](ws)
    await awaitable
    await ending
    held = sys.getrefcount(ws)
    del awaitable
    assert sys.getrefcount(ws) == held - 1


@pytest.mark.parametrize("call", ["send", "send_many"])
async def test_a_call_that_is_done_lets_go_what_it_sent(link, call):
    message = bytearray(b"a") if call == "send" else iter(["a"])
    sending = getattr(link.ws, call)(message)
    await sending
    held = sys.getrefcount(message)
    del sending
    assert sys.getrefcount(message) == held - 1


# ---- calls that nobody awaits, and those that are awaited twice


@pytest.mark.parametrize("call", CALLS)
async def test_never_awaited(link, call):
    with pytest.warns(RuntimeWarning, match="was never awaited") as warned:
        CALLS[call](link.ws)
        gc.collect()
    name = "recv()" if call in ("recv_many()", "anext()", "batches()") else call
    assert [str(warning.message) for warning in warned] == [f"{name} was never awaited, so nothing happened"]
    await link.ws.send("first")
    assert (await link.peer.frame()).payload == b"first", "nothing had happened"
    assert link.ws.is_open


@pytest.mark.parametrize("call", CALLS)
async def test_awaited_and_closed_early_is_no_complaint(link, call, recwarn):
    awaitable = CALLS[call](link.ws)
    awaitable.close()
    del awaitable
    gc.collect()
    assert list(recwarn) == []


async def test_awaited_twice(link):
    link.peer.say(text("a"), text("b"))
    receiving = link.ws.recv()
    assert await receiving == "a"
    with pytest.raises(RuntimeError, match=r"^recv\(\) was awaited already$"):
        await receiving
    sending = link.ws.send("c")
    await sending
    with pytest.raises(RuntimeError, match=r"^send\(\) was awaited already$"):
        await sending
    assert await link.ws.recv() == "b"
    await link.ws.send("d")
    assert [frame.payload for frame in await link.peer.frames(2)] == [b"c", b"d"]


async def test_awaited_by_two(link):
    """Tasks that share one awaitable: the second is told, the first goes on."""
    receiving = link.ws.recv()
    first = asyncio.ensure_future(receiving)
    await parked(first)
    with pytest.raises(RuntimeError, match=r"^recv\(\) is awaited by another task already"):
        await receiving
    link.peer.say(text("a"))
    assert await first == "a"


# ---- two receivers


SECOND = {
    "recv": lambda ws: ws.recv(),
    "recv with a timeout": lambda ws: ws.recv(timeout=10),
    "recv_many": lambda ws: ws.recv_many(),
    "async for": lambda ws: ws.__anext__(),
}


@pytest.mark.parametrize("second", SECOND)
async def test_two_receivers(link, second):
    first = asyncio.ensure_future(link.ws.recv())
    await parked(first)
    with pytest.raises(ConcurrencyError, match="another task waits") as caught:
        await SECOND[second](link.ws)
    assert isinstance(caught.value, RuntimeError)
    assert not first.done()
    link.peer.say(text("a"), text("b"))
    assert await first == "a"
    assert await link.ws.recv() == "b"


async def test_two_receivers_at_once(link):
    both = asyncio.gather(link.ws.recv(), link.ws.recv(), return_exceptions=True)
    await turn()
    link.peer.say(text("a"))
    first, second = await both
    assert first == "a"
    assert isinstance(second, ConcurrencyError)


# ---- cancellation


async def test_cancelled(link):
    task = asyncio.ensure_future(link.ws.recv())
    await parked(task)
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    link.peer.say(text("a"))
    assert await link.ws.recv() == "a"


async def test_the_message_of_a_cancellation_arrives(link):
    async def receive():
        with pytest.raises(asyncio.CancelledError, match="^why$"):
            await link.ws.recv()

    task = asyncio.ensure_future(receive())
    await parked(task)
    task.cancel("why")
    await task


async def test_cancelled_before_it_began(link):
    task = asyncio.ensure_future(link.ws.recv())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    link.peer.say(text("a"))
    assert await link.ws.recv() == "a"


async def test_a_cancellation_before_the_message_of_the_same_turn(link):
    task = asyncio.ensure_future(link.ws.recv())
    await parked(task)
    task.cancel()
    link.peer.say(text("a"))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await link.ws.recv() == "a"


async def test_a_cancellation_after_the_message_of_the_same_turn(link):
    """A task that is not stepped is woken, and cancelled before it goes on."""

    class Task(asyncio.Task):
        pass

    task = Task(_awaited(link.ws.recv()), loop=asyncio.get_running_loop())
    await parked(task)
    waiter = task._fut_waiter
    link.peer.say(text("a"))
    cancelled = []
    while not waiter.done():
        await turn()
        if waiter.done() and not task.done():
            cancelled.append(task.cancel())
    assert cancelled == [True]
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await link.ws.recv() == "a", "it was not taken by the one who was cancelled"


async def test_cancelled_by_what_its_message_started(link):
    """The receiver is stepped, and somebody else cancels it before its next wait: that message is its own."""
    got = []

    async def receive():
        while True:
            got.append(await link.ws.recv())
            asyncio.get_running_loop().call_soon(task.cancel)

    task = asyncio.ensure_future(receive())
    await parked(task)
    link.peer.say(text("a"))
    with pytest.raises(asyncio.CancelledError):
        await task
    link.peer.say(text("b"))
    assert (got, await link.ws.recv()) == (["a"], "b")


async def test_cancelled_and_received_again_in_the_same_turn(link):
    task = asyncio.ensure_future(link.ws.recv())
    await parked(task)
    task.cancel()
    link.peer.say(text("a"))
    assert await link.ws.recv() == "a", "no second receiver: the first is gone"
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_is_refused(link):
    """Who catches it may receive on."""

    async def receive():
        try:
            return await link.ws.recv()
        except asyncio.CancelledError:
            return await link.ws.recv()

    task = asyncio.ensure_future(receive())
    await parked(task)
    task.cancel()
    await turn()
    await turn()
    link.peer.say(text("a"))
    assert await task == "a"


async def test_cancelling_a_thousand_times(link):
    for number in range(1000):
        task = asyncio.ensure_future(link.ws.recv())
        if number % 3:
            await parked(task)
        if number % 5 == 0:
            link.peer.say(text(str(number)))
        if number % 2:
            await turn()
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            assert task.result() == str(number)
        elif number % 5 == 0:
            assert await link.ws.recv() == str(number)
    link.peer.say(text("last"))
    assert await link.ws.recv() == "last"


# ---- ends


async def test_close_while_somebody_waits(link):
    task = asyncio.ensure_future(link.ws.recv())
    await parked(task)
    closing = asyncio.ensure_future(link.ws.close())
    assert (await link.peer.finish()).code == 1000
    await closing
    with pytest.raises(ConnectionClosedOK):
        await task


async def test_the_peer_closes_while_somebody_waits(link):
    task = asyncio.ensure_future(link.ws.recv())
    await parked(task)
    link.peer.say(close(1001, "bye"))
    assert (await link.peer.frame()).opcode == CLOSE
    link.peer.shut()
    with pytest.raises(ConnectionClosedOK) as caught:
        await task
    assert (caught.value.code, caught.value.reason) == (1001, "bye")


async def test_recv_timeout(link):
    with pytest.raises(ReceiveTimeout, match="no message came within 0.001 seconds") as caught:
        await link.ws.recv(timeout=0.001)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, asyncio.TimeoutError)
    for none in (0, -1):
        with pytest.raises(ReceiveTimeout, match=f"within {none} seconds"):
            await link.ws.recv(none)
    link.peer.say(text("a"), text("b"))
    assert await link.ws.recv(timeout=10) == "a"
    assert await link.ws.recv(-1) == "b", "what is there needs no time"
    link.peer.say(text("c"))
    assert await link.ws.recv(10, False) == b"c"
    with pytest.raises(TypeError, match="timeout and decode, and nothing else"):
        link.ws.recv(10, False, 1)


async def test_the_time_limit_of_a_wait_that_is_over_is_over(link):
    """A timer that was forgotten would end the second wait."""
    first = asyncio.ensure_future(link.ws.recv(timeout=0.02))
    await parked(first)
    link.peer.say(text("a"))
    assert await first == "a"
    second = asyncio.ensure_future(link.ws.recv())
    await asyncio.sleep(0.04)
    assert not second.done()
    link.peer.say(text("b"))
    assert await second == "b"


async def test_cancelled_with_a_time_limit(link):
    task = asyncio.ensure_future(link.ws.recv(timeout=0.01))
    await parked(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    second = asyncio.ensure_future(link.ws.recv(timeout=10))
    await asyncio.sleep(0.02)
    link.peer.say(text("a"))
    assert await second == "a"


async def test_a_message_and_the_time_limit_in_one_turn(link):
    """Nothing is lost, whichever comes first."""
    for _ in range(20):
        task = asyncio.ensure_future(link.ws.recv(timeout=0.001))
        await parked(task)
        asyncio.get_running_loop().call_later(0.001, link.peer.say, text("a"))
        try:
            assert await task == "a"
        except ReceiveTimeout:
            assert await link.ws.recv() == "a"


# ---- what the collector and a person see


async def test_repr_of_a_task(link):
    task = asyncio.ensure_future(link.ws.recv())
    await parked(task)
    assert "Task" in repr(task)
    link.peer.say(text("a"))
    await task


NAMES = {
    "anext()": "WebSocket.__anext__", "batches()": "Batches.__anext__",
    **{call: f"WebSocket.{call[:-2]}" for call in CALLS if call not in ("anext()", "batches()")},
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_task_shows_what_was_called(link, call):
    awaitable = CALLS[call](link.ws)
    assert (awaitable.__qualname__, awaitable.__name__) == (NAMES[call], NAMES[call].rpartition(".")[2])
    task = asyncio.ensure_future(awaitable)
    assert f" coro=<{NAMES[call]}()" in repr(task)
    task.cancel()
    await asyncio.wait([task])


async def test_recv_many_and_batches_wait_as_recv_does(server):
    link = await Link.open(server)
    for call in (link.ws.recv_many, link.ws.batches().__anext__):
        task = asyncio.ensure_future(call())
        await parked(task)
        task.cancel()
        link.peer.say(text("a"), text("b"))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await call() == ["a", "b"]


@pytest.mark.parametrize("call", ["recv", "wait_closed", "ping", "close"])
def test_what_is_awaited_when_the_interpreter_ends(loop_kind, call):
    """Its coroutine is closed then, which closes it."""
    if loop_kind != "asyncio":
        pytest.skip("a program of its own has a loop of its own")
    code = f"""
        import asyncio, logging
        from aiowebsocket import connect
        from aiowebsocket.echo import echo_server
        logging.disable()
        async def main():
            global serving, ws, waiting
            serving = echo_server()
            ws = await connect(await serving.__aenter__())
            ws.send_nowait("a")
            await ws.recv()
            waiting = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
        async def wait():
            await ws.{call}()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
    """
    status, _, complaints = run_python(code, "-W", "ignore")
    # That of the server is closed as well, and complains that its event loop was closed before.
    assert status == 0 and "SystemError" not in complaints and "_aiowebsocket" not in complaints, complaints


def test_text_is_what_a_text_frame_says():
    """The helper that all tests stand on, against the example of RFC 6455 5.7."""
    assert text("Hello") == bytes([0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
    assert text("Hello")[0] & 0x0F == TEXT
