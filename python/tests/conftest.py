"""Every test runs on both event loops, and on one that cannot watch sockets: `async def` tests in one of their own, the others have it
as `loop`."""

import asyncio
import inspect
import os
import socket
import sys

import pytest
import uvloop

from support import Calls, Link, Server, close_links


# The proxies of whoever runs the tests lead nowhere from here.
for name in list(os.environ):
    if name.lower().endswith("_proxy"):
        del os.environ[name]


class LoopOfTransports(asyncio.SelectorEventLoop):
    """Has what every event loop has, and not what not every one has: as Windows' own loop is. What it is made of uses the same
    methods, and may."""

    def add_reader(self, *arguments):
        return _for_asyncio_alone(super().add_reader, arguments)

    def remove_reader(self, *arguments):
        return _for_asyncio_alone(super().remove_reader, arguments)

    def add_writer(self, *arguments):
        return _for_asyncio_alone(super().add_writer, arguments)

    def remove_writer(self, *arguments):
        return _for_asyncio_alone(super().remove_writer, arguments)


def _for_asyncio_alone(method, arguments):
    if not sys._getframe(2).f_globals["__name__"].startswith("asyncio."):
        raise NotImplementedError
    return method(*arguments)


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop, "transports": LoopOfTransports}


def pytest_addoption(parser):
    parser.addoption("--loop", choices=LOOPS, help="only what runs on this event loop (default: on each)")


def pytest_collection_modifyitems(config, items):
    if only := config.getoption("--loop"):
        others = [item for item in items if item.callspec.params["loop"] != only]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.callspec.params["loop"] == only]


@pytest.fixture(params=LOOPS, autouse=True)
def loop(request):
    """A new event loop. Whatever it reports as unhandled, and a task that outlives the test, is a failure."""
    loop = LOOPS[request.param]()
    asyncio.set_event_loop(loop)
    reports = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    loop.reports = reports
    yield loop
    if not loop.is_closed():
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=5))
        loop.run_until_complete(close_links())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        assert not left, "tasks outlive the test"
    asyncio.set_event_loop(None)
    assert reports == [], "the event loop was told of an error that nobody handled"


@pytest.fixture
def loop_kind(loop):
    if isinstance(loop, LoopOfTransports):
        return "transports"
    return "uvloop" if isinstance(loop, uvloop.Loop) else "asyncio"


@pytest.fixture
def is_asyncio(loop_kind):
    return loop_kind == "asyncio"


@pytest.fixture
def calls(loop):
    """What the event loop is asked for. To be named before `link`."""
    if isinstance(loop, LoopOfTransports):
        pytest.skip("what is asked of a loop that watches sockets")
    return Calls(loop)


@pytest.fixture
def server(loop):
    """A listening socket on 127.0.0.1 that accepts by hand."""
    with Server(socket.create_server(("127.0.0.1", 0))) as server:
        yield server


@pytest.fixture
def link(loop, server):
    """An open connection and the server's end of it: `link.ws` and `link.peer`."""
    return loop.run_until_complete(Link.open(server))


@pytest.fixture
def naps(monkeypatch):
    """Sleeps that are told and not slept."""
    slept = []
    sleep = asyncio.sleep

    async def nap(seconds):
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", nap)
    return slept


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    loop = pyfuncitem.funcargs["loop"]
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    loop.run_until_complete(pyfuncitem.obj(**arguments))
    return True


def pytest_report_header():
    return f"CPython {sys.version.split()[0]}, uvloop {uvloop.__version__}"
