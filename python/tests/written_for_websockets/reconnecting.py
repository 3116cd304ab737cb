"""Follows a server that closes the connection again and again."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def follow(uri):
    async for websocket in connect(f"{uri}/dropping"):
        try:
            while True:
                message = await websocket.recv()
                print(message)
                if message == "connection 3":
                    return
        except ConnectionClosed:
            print("closed")
            continue


asyncio.run(follow(sys.argv[1]))
