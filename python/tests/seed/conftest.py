"""The event loops, and servers to talk to."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
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
    with _echo() as address:
        yield address


@pytest.fixture(scope="session")
def secure_echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The same over TLS, and a file with the authority that signed its certificate."""
    folder = tmp_path_factory.mktemp("echo")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    with _echo(str(folder / "server.pem")) as address:
        yield address, folder / "authority.pem"


@contextmanager
def _echo(*arguments: str) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, PROGRAMS / "echo.py", *arguments], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield f"127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()
