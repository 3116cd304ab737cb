"""An echo server on `uvicorn`: `uvicorn_echo.py websockets|websockets-sansio|wsproto [SECONDS]`.

An application of it neither pings, nor fragments, nor cuts the connection; but with SECONDS the server itself pings
that often, and fails the connection when the pong takes longer than that.
"""

import asyncio
import socket
import sys

import uvicorn
from peer import Command, closed, ready


async def app(scope, receive, send):
    assert scope["type"] == "websocket", scope
    assert (await receive())["type"] == "websocket.connect"
    command = Command(scope["path"] + "?" + scope["query_string"].decode())
    command.target = command.target.removesuffix("?")
    chat = "chat" if "chat" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chat})
    if command.name == "close":
        await send({"type": "websocket.close", "code": command.code, "reason": command.reason})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
    closed(command, event["code"], event.get("reason"))


async def main():
    keepalive = float(sys.argv[2]) if len(sys.argv) > 2 else None
    config = uvicorn.Config(
        app,
        ws=sys.argv[1],
        ws_max_size=64 << 20,
        ws_ping_interval=keepalive,
        ws_ping_timeout=keepalive,
        lifespan="off",
        log_level="warning",
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        # Listening from here on: whoever connects before uvicorn is up waits in the backlog.
        listener.listen()
        ready(listener.getsockname()[1])
        await uvicorn.Server(config).serve(sockets=[listener])


asyncio.run(main())
