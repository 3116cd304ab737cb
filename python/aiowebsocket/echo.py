"""A server that says everything back: what the demo and the examples of the documentation talk to. It is no server for the internet."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from collections.abc import AsyncIterator

from . import _aiowebsocket

#: Bytes of one read.
_READ = 64 << 10


@asynccontextmanager
async def echo_server(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """``async with echo_server() as uri``: listens until the block is left. Port 0 is one that the system chooses."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "streams are served in tasks"
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            await _serve(reader, writer)
        except OSError:
            pass  # The client has gone.
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, port)
    try:
        yield f"ws://{host}:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        if tasks:
            # Clients that closed have gone within the moment; nobody waits for others.
            _, left = await asyncio.wait(tasks, timeout=1)
            for task in left:
                task.cancel()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    accepting = _aiowebsocket.Accepting()
    machine = None
    while machine is None:
        data = await reader.read(_READ)
        if not data:
            return
        try:
            machine = accepting.receive(data)
        except ValueError:
            # The answer says what is wrong with the request.
            writer.write(accepting.output())
            return
        writer.write(accepting.output())
    data = b""
    while True:
        for message in machine.receive(data):
            if machine.is_open:
                machine.send(message)
        writer.write(machine.output())
        await writer.drain()
        if machine.is_closed or machine.shuts_first:
            return
        data = await reader.read(_READ)
        if not data:
            return
