"""An echo server of the package `aiohttp`. It has no way to send a message in fragments."""

import asyncio

from aiohttp import WSMsgType, web
from peer import PING, Command, closed, ready, tls


async def talk(request):
    command = Command(request.path_qs)
    ws = web.WebSocketResponse(protocols=["chat"], max_msg_size=0, autoping=command.name != "ping")
    await ws.prepare(request)
    match command.name:
        case "close":
            await ws.close(code=command.code, message=command.reason.encode())
        case "abrupt":
            request.transport.abort()
        case "ping":
            await ws.ping(PING)
            message = await ws.receive(timeout=5)
            answered = message.type is WSMsgType.PONG and bytes(message.data) == PING
            await ws.send_str("pong" if answered else f"not the pong: {message}")
    reason = ""
    while True:
        message = await ws.receive()
        match message.type:
            case WSMsgType.TEXT:
                await ws.send_str(message.data)
            case WSMsgType.BINARY:
                await ws.send_bytes(message.data)
            case WSMsgType.CLOSE:
                reason = message.extra
                break
            case WSMsgType.CLOSED | WSMsgType.CLOSING | WSMsgType.ERROR:
                break
    closed(command, ws.close_code, reason)
    return ws


async def main():
    app = web.Application()
    app.router.add_get("/{path:.*}", talk)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls()).start()
    ready(runner.addresses[0][1])
    await asyncio.Event().wait()


asyncio.run(main())
