"""A task that waits for a message is stepped from within the callback that read it, where that is right."""

import asyncio
import contextvars
import gc
import sys
import time
import weakref

import pytest

from aiowebsocket import ConnectionClosedError, ConnectionClosedOK
from support import CLOSE, PING, PONG, TEXT, Calls, Link, arrived, binary, close, frame, outside, parked, run_python, text, turn

variable = contextvars.ContextVar("variable", default="unset")


async def _received(ws):
    return await ws.recv()


class DerivedTask(asyncio.Task):
    """A task that may have its own ideas of a step."""


#: Who is stepped, and who is woken by the event loop.
TASKS = {
    "task": (lambda coroutine, loop: asyncio.Task(coroutine, loop=loop), True),
    "create_task": (lambda coroutine, loop: loop.create_task(coroutine), True),
    "derived": (lambda coroutine, loop: DerivedTask(coroutine, loop=loop), False),
    "python": (lambda coroutine, loop: asyncio.tasks._PyTask(coroutine, loop=loop), False),
}


def read_callback(calls, ws):
    """What the event loop calls when this connection can be read."""
    return calls.readers[ws.fileno()]


# ---- who is stepped


@pytest.mark.parametrize("kind", TASKS)
async def test_only_an_exact_task_is_stepped(loop, calls, link, kind):
    make, is_stepped = TASKS[kind]
    task = make(_received(link.ws), loop)
    await parked(task)

    def read():
        calls.names.clear()
        link.peer.say(text("a"))
        read_callback(calls, link.ws)()
        return task.done(), list(calls.names)

    assert await outside(read) == (is_stepped, [] if is_stepped else ["call_soon"])
    assert await task == "a"


async def test_a_waiting_receiver_asks_nothing_of_the_loop(calls, link):
    """A hundred messages, each of which is waited for: no future, no callback, no change of what is watched."""

    async def receive():
        return [await link.ws.recv() for _ in range(100)]

    task = asyncio.ensure_future(receive())
    await parked(task)

    def read():
        calls.names.clear()
        for number in range(100):
            link.peer.say(text(str(number)))
            read_callback(calls, link.ws)()
        return list(calls.names)

    assert await outside(read) == []
    assert task.result() == [str(number) for number in range(100)]


async def test_a_send_that_the_socket_takes_asks_nothing_of_the_loop(calls, link):
    calls.names.clear()
    for _ in range(100):
        await link.ws.send(b"a")
    assert calls.names == []
    assert len(await link.peer.frames(100)) == 100


async def test_a_callback_of_another_kind_is_not_stepped(calls, link):
    """Only the wake-up of a task: whoever else wants to be called is called by the event loop."""
    receiving = link.ws.recv().__await__()
    waiter = receiving.send(None)
    called = []
    waiter.add_done_callback(called.append)

    def read():
        link.peer.say(text("a"))
        read_callback(calls, link.ws)()
        return waiter.done(), list(called)

    assert await outside(read) == (True, [])
    assert called == [waiter]
    receiving.close()


WITHOUT_C = """
    import sys
    sys.modules["_asyncio"] = None
    import asyncio, socket, uvloop
    from support import Link, Server, parked, text

    async def main(server):
        link = await Link.open(server)
        assert asyncio.Future is asyncio.futures._PyFuture and asyncio.Task is asyncio.tasks._PyTask
        futures = []
        for message in "abc":
            task = asyncio.get_running_loop().create_task(receive(link.ws))
            await parked(task)
            futures.append(task._fut_waiter)
            if message == "b":
                task.cancel()
                await asyncio.wait([task])
            link.peer.say(text(message))
            print(await link.ws.recv() if task.done() else await task)
        print({type(future) for future in futures} == {asyncio.Future})

    async def receive(ws):
        return await ws.recv()

    with Server(socket.create_server(("127.0.0.1", 0))) as server:
        LOOP().run_until_complete(main(server))
"""


def test_tasks_and_futures_that_are_written_in_python(loop_kind):
    """As on an interpreter whose asyncio has no part in C: nobody is stepped, and nothing else is different."""
    if loop_kind == "transports":
        pytest.skip("two event loops are enough: it is the future that is of another kind")
    code = WITHOUT_C.replace("LOOP", "asyncio.new_event_loop" if loop_kind == "asyncio" else "uvloop.new_event_loop")
    status, said, complaints = run_python(code)
    assert (status, said) == (0, "a\nb\nc\nTrue\n"), complaints


async def test_a_task_waits_for_the_same_future_again(link):
    futures = []

    async def receive():
        for _ in range(3):
            await link.ws.recv()

    task = asyncio.ensure_future(receive())
    for _ in range(3):
        await parked(task)
        futures.append(task._fut_waiter)
        link.peer.say(text("a"))
        await arrived()
    await task
    assert futures[0] is futures[1] is futures[2]
    assert not futures[0].done()


async def test_a_task_that_is_over_is_not_held(loop, link):
    """What it raised is told when nobody holds it: at once."""

    async def receive():
        await link.ws.recv()
        await link.ws.recv()
        raise KeyError("a")

    task = loop.create_task(receive())
    await parked(task)
    del task
    gc.disable()
    try:
        for _ in range(2):
            link.peer.say(text("a"))
            await arrived()
        await arrived()
    finally:
        gc.enable()
    assert [type(report["exception"]) for report in loop.reports] == [KeyError]
    loop.reports.clear()


async def test_the_one_who_waits_is_stepped_and_nobody_else(link):
    """A task that was stepped before waits for something else, and what waits on the connection is no task."""
    event, by_hand = asyncio.Event(), []

    async def receive():
        await link.ws.recv()
        await link.ws.recv()
        receiving = link.ws.recv().__await__()
        by_hand.append((receiving, receiving.send(None)))
        return await event.wait()

    task = asyncio.ensure_future(receive())
    await parked(task)
    for message in "abc":
        link.peer.say(text(message))
        await arrived()
    ((receiving, future),) = by_hand
    assert future.done()
    with pytest.raises(StopIteration, match="c"):
        receiving.send(None)
    assert not task.done()
    event.set()
    assert await task is True


async def test_a_task_after_one_that_was_cancelled(link):
    first = asyncio.ensure_future(_received(link.ws))
    await parked(first)
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.ensure_future(_received(link.ws))
    await parked(second)
    link.peer.say(text("a"))
    assert await second == "a"
    assert first.cancelled()


# ---- another task is running


@pytest.mark.parametrize("kind", TASKS)
async def test_while_another_task_is_current(loop, calls, link, kind):
    """This test is a task, so nothing can be stepped within it."""
    current = asyncio.current_task()
    seen = []

    async def receive():
        message = await link.ws.recv()
        seen.append(asyncio.current_task())
        return message

    task = TASKS[kind][0](receive(), loop)
    await parked(task)
    link.peer.say(text("a"), text("b"))
    read_callback(calls, link.ws)()
    assert asyncio.current_task() is current
    assert await task == "a"
    assert seen == [task]
    assert await link.ws.recv() == "b"


async def test_while_another_task_is_current_and_then_cancelled(loop, calls, link):
    """The wake-up is on its way when the cancellation comes: the message stays."""
    task = loop.create_task(_received(link.ws))
    await parked(task)
    link.peer.say(text("a"))
    read_callback(calls, link.ws)()
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await link.ws.recv() == "a"


# ---- contexts


def context_of(task):
    return next(held for held in gc.get_referents(task) if isinstance(held, contextvars.Context))


@pytest.mark.parametrize("kind", TASKS)
async def test_the_context_of_the_task_is_there_after_a_wait(loop, link, kind):
    async def receive():
        variable.set("the task's")
        await link.ws.recv()
        assert variable.get() == "the task's"
        variable.set("changed")
        await link.ws.recv()
        return variable.get()

    task = TASKS[kind][0](receive(), loop)
    await parked(task)
    variable.set("the test's")
    link.peer.say(text("a"))
    await arrived()
    link.peer.say(text("b"))
    assert await task == "changed"
    assert variable.get() == "the test's"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="create_task(context=...) is of Python 3.11")
async def test_a_context_that_was_given(loop, link):
    async def receive():
        await link.ws.recv()
        variable.set("after")

    context = contextvars.copy_context()
    task = loop.create_task(receive(), context=context)
    await parked(task)
    link.peer.say(text("a"))
    await task
    assert context[variable] == "after"
    assert variable.get() == "unset"


async def test_a_context_that_is_entered_already(loop, calls, link):
    """No two can be in a context: the step is left to the event loop, and nothing is lost."""
    task = loop.create_task(_received(link.ws))
    await parked(task)
    callback = read_callback(calls, link.ws)
    entered = []

    def within():
        link.peer.say(text("a"))
        callback()
        entered.append(task.done())

    loop.call_soon(context_of(task).run, within)
    assert await task == "a"
    assert entered == [False]


# ---- what a step does meanwhile


async def test_one_step_may_take_several_messages(calls, link):
    async def receive():
        return [await link.ws.recv() for _ in range(3)]

    task = asyncio.ensure_future(receive())
    await parked(task)
    link.peer.say(text("a"), text("b"), text("c"), text("d"))
    assert await task == ["a", "b", "c"]
    assert await link.ws.recv() == "d"


async def test_receivers_take_turns_within_one_read(loop, link):
    """The first starts the second; each gets its message in order."""
    got = []

    async def receive(name, after):
        if after is not None:
            await after
        got.append((name, await link.ws.recv()))

    first = loop.create_task(receive("first", None))
    second = loop.create_task(receive("second", first))
    await parked(second)
    link.peer.say(text("a"), text("b"))
    await second
    assert got == [("first", "a"), ("second", "b")]


async def test_a_step_that_reads_again(calls, link):
    """The callback within the callback, as programs do that run an event loop inside a task."""
    callback = read_callback(calls, link.ws)

    async def receive():
        got = [await link.ws.recv()]
        link.peer.say(text("c"))
        callback()
        while len(got) < 3:
            got.append(await link.ws.recv())
        return got

    task = asyncio.ensure_future(receive())
    await parked(task)
    link.peer.say(text("a"), text("b"))
    assert await task == ["a", "b", "c"]


async def test_a_second_receiver_takes_nothing_from_one_who_waits_for_its_turn(link):
    """Messages are there, the first receiver waits because its turn is over, and the second comes before its next one."""
    outcomes = []

    async def second():
        try:
            outcomes.append(await link.ws.recv())
        except RuntimeError as error:
            outcomes.append(type(error).__name__)

    async def first():
        got = []
        for number in range(200):
            got.append(await link.ws.recv())
            until = time.perf_counter() + 0.0001
            while time.perf_counter() < until:
                pass
            if number == 63:
                others.append(asyncio.ensure_future(second()))
        return got

    others = []
    task = asyncio.ensure_future(first())
    await parked(task)
    link.peer.say(*(text(str(number)) for number in range(200)))
    assert await task == [str(number) for number in range(200)]
    await others[0]
    assert outcomes == ["ConcurrencyError"]


async def test_a_step_whose_end_the_loop_refuses(loop, calls, link):
    """The task has gone on and ended, and telling so failed: nothing is stepped a second time."""

    async def receive():
        return await link.ws.recv()

    task = loop.create_task(receive())
    await parked(task)
    task.add_done_callback(lambda _: None)
    call_soon, refused = loop.call_soon, []

    def refuse_once(*arguments, **options):
        if not refused:
            refused.append(arguments)
            raise RuntimeError("Event loop is closed")
        return call_soon(*arguments, **options)

    def read():
        link.peer.say(text("a"))
        loop.call_soon = refuse_once
        try:
            read_callback(calls, link.ws)()
        except RuntimeError as error:
            return str(error)
        finally:
            loop.call_soon = call_soon

    assert await outside(read) == "Event loop is closed"
    await turn()
    assert task.result() == "a"


UNREACHABLE = """
    import asyncio, gc, socket, sys, uvloop, weakref
    from support import Link, Server, _links, parked

    async def receive(ws):
        await ws.recv()

    async def main(server):
        link = await Link.open(server)
        ws = link.ws
        task = asyncio.get_running_loop().create_task(receive(ws))
        await parked(task)
        # As a loop that is closed forgets what it watched.
        asyncio.get_running_loop().remove_reader(ws.fileno())
        _links.clear()
        return weakref.ref(ws), weakref.ref(task)

    with Server(socket.create_server(("127.0.0.1", 0))) as server:
        loop = LOOP()
        ws, task = loop.run_until_complete(main(server))
        loop.close()
        del loop
    gc.collect()
    print(ws() is None, task() is None)
"""


def test_a_task_that_nobody_can_wake_is_collected(loop_kind):
    """Its coroutine holds the connection, that holds what wakes the task: a cycle through three types of ours."""
    if loop_kind == "transports":
        pytest.skip("a transport that was not closed complains")
    code = UNREACHABLE.replace("LOOP", "asyncio.new_event_loop" if loop_kind == "asyncio" else "uvloop.new_event_loop")
    status, said, complaints = run_python(code)
    assert (status, said) == (0, "True True\n"), complaints


async def test_a_step_that_closes(link):
    async def receive():
        message = await link.ws.recv()
        closing = asyncio.ensure_future(link.ws.close(4000, "enough"))
        await link.ws.wait_closed()
        await closing
        return message

    task = asyncio.ensure_future(receive())
    await parked(task)
    link.peer.say(text("a"), text("dropped"), binary(b"dropped" * 1000))
    closing = await link.peer.finish()
    assert (closing.code, closing.reason) == (4000, "enough")
    assert await task == "a"
    with pytest.raises(ConnectionClosedError):
        await link.ws.recv()


async def test_a_step_that_sends(link):
    async def echo():
        async for message in link.ws:
            await link.ws.send(message)

    task = asyncio.ensure_future(echo())
    await parked(task)
    link.peer.say(*(text(str(number)) for number in range(100)))
    assert [frame.payload for frame in await link.peer.frames(100)] == [str(number).encode() for number in range(100)]
    task.cancel()
    await asyncio.wait([task])


async def test_a_step_after_which_nobody_holds_the_connection(loop, server):
    """The callback keeps what it works on."""
    link = await Link.open(server)
    ws, peer = link.ws, link.peer
    from support import _links

    _links.remove(link)
    del link
    gone = weakref.ref(ws)

    async def receive(ws):
        return await ws.recv()

    task = loop.create_task(receive(ws))
    await parked(task)
    del ws
    peer.say(text("a"), close(1000))
    assert await task == "a"
    del task
    await peer.frame()
    peer.shut()
    await arrived()
    gc.collect()
    assert gone() is None


async def test_an_exception_of_the_task_is_its_own(link):
    async def receive():
        raise KeyError(await link.ws.recv())

    task = asyncio.ensure_future(receive())
    await parked(task)
    link.peer.say(text("a"), text("b"))
    with pytest.raises(KeyError, match="a"):
        await task
    assert await link.ws.recv() == "b"


async def test_a_runtime_error_of_the_task_is_its_own(link):
    """One that reads like those of a step that is refused."""

    async def receive():
        await link.ws.recv()
        raise RuntimeError("cannot enter context")

    task = asyncio.ensure_future(receive())
    await parked(task)
    link.peer.say(text("a"), text("b"))
    with pytest.raises(RuntimeError, match="cannot enter context"):
        await task
    assert await link.ws.recv() == "b"


# ---- what ends a program


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_comes_out_of_the_loop(loop, link, leave):
    """And the connection goes on where it was: with the messages, the ping and the end that came in the same read."""

    async def receive():
        await link.ws.recv()
        raise leave("now")

    task = loop.create_task(receive())
    loop.run_until_complete(parked(task))
    link.peer.say(text("a"), text("b"), frame(PING, b"still there?"), close(1000, "bye"))
    with pytest.raises(leave, match="now"):
        loop.run_forever()
    assert task.done()
    assert isinstance(task.exception(), leave)

    async def go_on():
        assert await link.ws.recv() == "b"
        pong, closing = await link.peer.frames(2)
        assert (pong.opcode, pong.payload) == (PONG, b"still there?")
        assert (closing.opcode, closing.reason) == (CLOSE, "")
        link.peer.shut()
        with pytest.raises(ConnectionClosedOK):
            await link.ws.recv()

    loop.run_until_complete(asyncio.wait_for(go_on(), 10))


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt])
def test_the_loop_goes_on_after_what_ended_a_program(loop, link, leave):
    """Nobody calls the connection again: the event loop does, although no byte comes."""

    async def receive():
        await link.ws.recv()
        raise leave

    task = loop.create_task(receive())
    loop.run_until_complete(parked(task))
    link.peer.say(text("a"), frame(PING, b"still there?"))
    with pytest.raises(leave):
        loop.run_forever()
    assert isinstance(task.exception(), leave)
    assert loop.run_until_complete(link.peer.frame()).opcode == PONG


# ---- modes of the event loop


def test_debug_mode(loop, server):
    loop.set_debug(True)

    async def talk():
        link = await Link.open(server)
        task = asyncio.ensure_future(link.ws.recv())
        await parked(task)
        assert "Task" in repr(task)
        link.peer.say(text("a"))
        assert await task == "a"
        await link.ws.send("b")
        assert (await link.peer.frame()).opcode == TEXT
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(link.ws.recv(), 0.001)

    loop.run_until_complete(talk())


RE_ENTERED = """
    import asyncio, nest_asyncio, socket
    from support import Link, Server, close_links, parked, text

    async def main():
        with Server(socket.create_server(("127.0.0.1", 0))) as server:
            link, other = await Link.open(server), await Link.open(server)
            loop = asyncio.get_running_loop()

            async def receive():
                got = [await link.ws.recv()]
                # Within the step: the loop runs inside it.
                nest_asyncio.apply()
                got.append(loop.run_until_complete(asyncio.wait_for(link.ws.recv(), 10)))
                loop.call_soon(other.peer.say, text("c"))
                got.append(loop.run_until_complete(asyncio.wait_for(other.ws.recv(), 10)))
                return got

            APPLY
            task = loop.create_task(receive())
            await parked(task)
            link.peer.say(text("a"), text("b"))
            print(await task)
            await close_links()

    asyncio.run(main())
"""


@pytest.mark.parametrize("patched", ["first", "within the step"])
def test_a_loop_inside_a_step(is_asyncio, patched):
    """nest_asyncio, which cannot patch uvloop."""
    if not is_asyncio:
        pytest.skip("nest_asyncio is for asyncio's own loop")
    code = RE_ENTERED.replace("APPLY", "nest_asyncio.apply()" if patched == "first" else "pass")
    assert run_python(code) == (0, "['a', 'b', 'c']\n", "")
