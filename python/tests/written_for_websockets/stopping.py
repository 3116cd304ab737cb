"""Closes the connection when the process is told to end, and leaves the loop over messages then."""

import asyncio
import os
import signal
import sys

from websockets.asyncio.client import connect


async def client(uri):
    async with connect(f"{uri}/echo") as websocket:
        loop = asyncio.get_running_loop()

        def close():
            return loop.create_task(websocket.close())

        loop.add_signal_handler(signal.SIGTERM, close)
        await websocket.send("first")
        async for message in websocket:
            print(message)
            os.kill(os.getpid(), signal.SIGTERM)
        print("stopped", websocket.close_code)


asyncio.run(client(sys.argv[1]))
