"""A server that the documentation talks to, from the same by-hand peer as the other tests."""

import asyncio
import contextlib
import json
import re

from support import CLOSE, PING, PONG, Peer, Server, close, frame, text

PRICES = [json.dumps({"symbol": "XBT", "price": price}) for price in (64000, 64001, 63999)]


async def serve(peer):
    """One connection: echoes, but `/feed` has prices first and then closes, and `/busy` is refused."""
    request = await peer.head()
    if request.startswith("CONNECT "):
        # A proxy too, which leads back here.
        peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
        request = await peer.head()
    path = request.split(" ")[1]
    peer._heard[:0] = (request + "\r\n\r\n").encode()
    if path == "/busy":
        await peer.head()
        peer.say(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 13\r\n\r\nlater, please")
        return
    offered = re.search("Sec-WebSocket-Protocol: ([^,\r]*)", request)
    await peer.answer(protocol=offered and offered[1])
    if path == "/feed":
        peer.say(*map(text, PRICES), close(1000, "done"))
    while True:
        came = await peer.frame()
        if came.opcode == CLOSE:
            if path != "/feed":
                peer.say(frame(CLOSE, came.payload))
            peer.shut()
            return
        if path != "/feed":
            peer.say(frame(PONG if came.opcode == PING else came.opcode, came.payload, fin=came.fin))


@contextlib.asynccontextmanager
async def serving(server: Server):
    async def accept():
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(server.listener)
            peer = Peer(sock)
            server._peers.append(peer)
            tasks.append(asyncio.ensure_future(serve(peer)))

    tasks = []
    tasks.append(asyncio.ensure_future(accept()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
