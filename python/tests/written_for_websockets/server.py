"""What the programs talk to, by the server of `websockets`: prints its port, and that over TLS."""

import asyncio
import http
import itertools
import json
import logging
import ssl
import sys

from websockets.asyncio.server import serve

dropped = itertools.count(1)


async def handle(connection):
    path = connection.request.path
    if path == "/greeting":
        await connection.send(f"Hello {await connection.recv()}!")
        await connection.wait_closed()
    elif path == "/echo":
        async for message in connection:
            await connection.send(message)
    elif path == "/feed":
        for price in (64000, 64001, 63999):
            await connection.send(json.dumps({"symbol": "XBT", "price": price}))
        await connection.close(1000, "done")
    elif path == "/dropping":
        await connection.send(f"connection {next(dropped)}")
        await connection.close(1001)
    elif path == "/headers":
        names = "Authorization", "X-Trace", "User-Agent", "Origin", "Sec-WebSocket-Protocol"
        await connection.send("; ".join(connection.request.headers[name] for name in names))
        await connection.wait_closed()
    elif path == "/patient":
        async for message in connection:
            await connection.send(f"{message}, as you wish")
    elif path == "/failing":
        await connection.send("before")
        await connection.close(1011, "out of order")


async def answer(connection, request):
    if request.path == "/busy":
        response = connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "later, please")
        response.headers["Retry-After"] = "7"
        return response
    if request.path == "/never":
        # Longer than anybody waits.
        await asyncio.sleep(60)


def select(connection, offered):
    return "chat" if "chat" in offered else None


async def main(certificate):
    # What goes wrong is told to its client.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    options = {"process_request": answer, "select_subprotocol": select}
    async with serve(handle, "127.0.0.1", 0, **options) as plain:
        async with serve(handle, "127.0.0.1", 0, ssl=context, **options) as secure:
            print(*(server.sockets[0].getsockname()[1] for server in (plain, secure)), flush=True)
            await asyncio.Future()


asyncio.run(main(sys.argv[1]))
