"""Says a name and prints what it is greeted with."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def hello(uri):
    async with connect(f"{uri}/greeting") as websocket:
        name = "Ada"
        await websocket.send(name)
        print(f">>> {name}")
        greeting = await websocket.recv()
        print(f"<<< {greeting}")


if __name__ == "__main__":
    asyncio.run(hello(sys.argv[1]))
