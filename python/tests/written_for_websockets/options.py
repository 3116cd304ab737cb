"""Options that programs give most often, and messages that are not text."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def main(uri):
    async with connect(
        "ws://example.com/echo",
        host="127.0.0.1",
        port=int(uri.rsplit(":", 1)[1]),
        compression=None,
        ping_interval=None,
        open_timeout=None,
        close_timeout=5,
        max_size=2**16,
        proxy=None,
    ) as websocket:
        print(websocket.request.headers["Host"], websocket.request.path)
        await websocket.send(b"\x00\x01")
        print(await websocket.recv())
        await websocket.send("text")
        print(await websocket.recv(decode=False))
        await websocket.send(bytearray(b"also bytes"))
        print(await websocket.recv())
        await websocket.send(["a text ", "in ", "parts"])
        print(await websocket.recv())
        await websocket.send("é" * 1000)
        print("".join([part async for part in websocket.recv_streaming()]) == "é" * 1000)


asyncio.run(main(sys.argv[1]))
