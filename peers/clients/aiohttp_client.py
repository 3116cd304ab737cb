"""A client of the package `aiohttp` that talks to our server. It has no way to send a message in fragments."""

import asyncio
from urllib.parse import quote

from aiohttp import ClientConnectorError, ClientSession, WSMsgType
from facts import BINARY, CLOSINGS, COMMANDS, ECHO, ECHOES, PING, REFUSED, SIZES, TEXT, binary, echoed, fact, text


async def echo(open_):
    for url, prefix in ECHOES:
        async with open_(url) as ws:
            for size in SIZES:
                sent = text(size)
                await ws.send_str(sent)
                echoed(prefix + "text", size, sent, await ws.receive_str(timeout=30))
                sent = binary(size)
                await ws.send_bytes(sent)
                echoed(prefix + "binary", size, sent, await ws.receive_bytes(timeout=30))


async def fragments(open_):
    async with open_(COMMANDS + "/fragments") as ws:
        echoed("their fragments", "of text", TEXT, await ws.receive_str(timeout=5))
        await ws.send_str("more")
        echoed("their fragments", "of binary", BINARY, await ws.receive_bytes(timeout=5))


async def pings(open_):
    async with open_(ECHO, autoping=False) as ws:
        await ws.ping(PING)
        message = await ws.receive(timeout=5)
        assert message.type is WSMsgType.PONG and bytes(message.data) == PING, message
        fact("ping answered")
    async with open_(COMMANDS + "/ping") as ws:
        fact("pinged:", await ws.receive_str(timeout=5))


async def subprotocols(open_):
    async with open_(COMMANDS, protocols=["superchat", "chat"]) as ws:
        fact("subprotocol", ws.protocol)
    async with open_(COMMANDS) as ws:
        fact("no subprotocol", ws.protocol or "")


async def closings(open_):
    for code, reason in CLOSINGS:
        async with open_(f"{COMMANDS}/close?code={code}&reason={quote(reason)}") as ws:
            message = await ws.receive(timeout=5)
            assert message.type is WSMsgType.CLOSE, message
            fact("closed", message.data, message.extra)
        async with open_(f"{COMMANDS}/closing/{code}") as ws:
            await ws.close(code=code, message=reason.encode())
            fact("closing", ws.close_code)


async def endings(open_):
    async with open_(COMMANDS + "/abrupt") as ws:
        message = await ws.receive(timeout=5)
        assert message.type is WSMsgType.CLOSED, message
        fact("abrupt", ws.close_code)
    try:
        async with open_(REFUSED):
            fact("refused: no, it opened")
    except ClientConnectorError as error:
        assert isinstance(error.os_error, ConnectionRefusedError), error
        fact("refused")


async def main():
    async with ClientSession() as session:
        def open_(url, **options):
            return session.ws_connect(url, max_msg_size=0, compress=15, **options)

        for conversation in echo, fragments, pings, subprotocols, closings, endings:
            await conversation(open_)


asyncio.run(main())
