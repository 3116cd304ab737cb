"""The event loops, and servers to talk to."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """A new event loop."""
    loop = uvloop.new_event_loop() if request.param == "uvloop" else asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(_end_tasks())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture
def run(loop: asyncio.AbstractEventLoop) -> Callable[[Awaitable], object]:
    """Runs a coroutine to its end, within 20 seconds."""
    return lambda coroutine: loop.run_until_complete(_within_limit(coroutine))


async def _within_limit(coroutine: Awaitable) -> object:
    return await asyncio.wait_for(coroutine, 20)


async def _end_tasks() -> None:
    """Servers whose test failed."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture(scope="session")
def echo() -> Iterator[str]:
    """Host and port of an echo server that is not ours."""
    with subprocess.Popen([sys.executable, PROGRAMS / "echo.py"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()
