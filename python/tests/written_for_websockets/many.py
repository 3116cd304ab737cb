"""Many connections at once, each in a task of its own."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def greeted(uri, name):
    async with connect(f"{uri}/greeting") as websocket:
        await websocket.send(name)
        return await websocket.recv()


async def main(uri):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(greeted(uri, f"number {number}")) for number in range(20)]
    for task in tasks:
        print(task.result())


asyncio.run(main(sys.argv[1]))
