"""An echo server of the package `websockets`."""

import asyncio
from contextlib import suppress

from peer import BINARY_PARTS, PING, TEXT_PARTS, Command, closed, ready, tls
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def talk(ws):
    command = Command(ws.request.path)
    with suppress(ConnectionClosed):
        await obey(ws, command)
    await ws.wait_closed()
    closed(command, ws.close_code, ws.close_reason)


async def obey(ws, command):
    match command.name:
        case "close":
            await ws.close(command.code, command.reason)
        case "abrupt":
            ws.transport.abort()
        case "ping":
            await asyncio.wait_for(await ws.ping(PING), 5)
            await ws.send("pong")
        case "fragments":
            await ws.send(with_pings(ws, TEXT_PARTS), text=True)
            await ws.send(with_pings(ws, BINARY_PARTS))
    async for message in ws:
        await ws.send(message)


async def with_pings(ws, parts):
    for part in parts:
        yield part
        await ws.ping()


async def main():
    options = {"max_size": None, "subprotocols": ["chat"], "select_subprotocol": chat, "ssl": tls()}
    async with serve(talk, "127.0.0.1", 0, **options) as server:
        ready(server.sockets[0].getsockname()[1])
        await server.serve_forever()


def chat(_, offered):
    return "chat" if "chat" in offered else None


asyncio.run(main())
