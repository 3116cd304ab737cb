"""One task consumes what comes, another one produces what goes; whichever ends first ends the other."""

import asyncio
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed


async def consumer_handler(websocket: ClientConnection) -> None:
    async for message in websocket:
        print("consumed", message)
        if message == "9":
            await websocket.close()


async def producer_handler(websocket: ClientConnection) -> None:
    number = 0
    while True:
        try:
            await websocket.send(str(number))
        except ConnectionClosed as error:
            print("no more to produce:", type(error).__name__)
            return
        number += 1
        await asyncio.sleep(0.005)


async def handler(uri: str) -> None:
    async with connect(f"{uri}/echo") as websocket:
        consumer = asyncio.create_task(consumer_handler(websocket))
        producer = asyncio.create_task(producer_handler(websocket))
        await asyncio.wait([consumer, producer], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(consumer, producer)


asyncio.run(handler(sys.argv[1]))
