"""Limits of time, by asyncio's own means."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def main(uri):
    async with connect(f"{uri}/patient") as websocket:
        try:
            async with asyncio.timeout(0.05):
                await websocket.recv()
        except TimeoutError:
            print("nothing came in time")
        await websocket.send("now")
        async with asyncio.timeout(10):
            print(await websocket.recv())
        try:
            await asyncio.wait_for(websocket.recv(), 0.05)
        except asyncio.TimeoutError:
            print("nothing more")
        await websocket.send("again")
        print(await asyncio.wait_for(websocket.recv(), 10))


asyncio.run(main(sys.argv[1]))
