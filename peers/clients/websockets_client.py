"""A client of the package `websockets` that talks to our server."""

import asyncio
from urllib.parse import quote

from facts import (
    BINARY, BINARY_PARTS, CLOSINGS, COMMANDS, ECHO, ECHOES, PING, REFUSED, SIZES, TEXT, TEXT_PARTS, binary, echoed, fact, text,
)
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


def open_(url, **options):
    return connect(url, max_size=None, proxy=None, **options)


async def echo():
    for url, prefix in ECHOES:
        async with open_(url) as ws:
            for size in SIZES:
                for kind, message in ("text", text(size)), ("binary", binary(size)):
                    await ws.send(message)
                    echoed(prefix + kind, size, message, await ws.recv())


async def fragments():
    async with open_(ECHO) as ws:
        await ws.send(with_pings(ws, TEXT_PARTS), text=True)
        echoed("fragments", "of text", TEXT, await ws.recv())
        await ws.send(with_pings(ws, BINARY_PARTS))
        echoed("fragments", "of binary", BINARY, await ws.recv())
    async with open_(COMMANDS + "/fragments") as ws:
        echoed("their fragments", "of text", TEXT, await ws.recv())
        await ws.send("more")
        echoed("their fragments", "of binary", BINARY, await ws.recv())


async def with_pings(ws, parts):
    for part in parts:
        yield part
        await ws.ping()


async def pings():
    async with open_(ECHO) as ws:
        await asyncio.wait_for(await ws.ping(PING), 5)
        fact("ping answered")
    async with open_(COMMANDS + "/ping") as ws:
        fact("pinged:", await ws.recv())


async def subprotocols():
    async with open_(COMMANDS, subprotocols=["superchat", "chat"]) as ws:
        fact("subprotocol", ws.subprotocol)
    async with open_(COMMANDS) as ws:
        fact("no subprotocol", ws.subprotocol or "")


async def closings():
    for code, reason in CLOSINGS:
        async with open_(f"{COMMANDS}/close?code={code}&reason={quote(reason)}") as ws:
            await ended(ws)
            fact("closed", ws.close_code, ws.close_reason)
        async with open_(f"{COMMANDS}/closing/{code}") as ws:
            await ws.close(code, reason)
            fact("closing", ws.close_code)


async def endings():
    async with open_(COMMANDS + "/abrupt") as ws:
        await ended(ws)
        fact("abrupt", ws.close_code)
    try:
        async with open_(REFUSED):
            fact("refused: no, it opened")
    except ConnectionRefusedError:
        fact("refused")


async def ended(ws):
    try:
        fact("unexpected", await ws.recv())
    except ConnectionClosed:
        pass


async def main():
    for conversation in echo, fragments, pings, subprotocols, closings, endings:
        await conversation()


asyncio.run(main())
