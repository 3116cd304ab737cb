"""Prints messages until the server has no more."""

import asyncio
import json
import sys

from websockets import connect


async def consume(uri):
    async with connect(f"{uri}/feed") as websocket:
        async for message in websocket:
            event = json.loads(message)
            print(event["symbol"], event["price"])
        print("closed", websocket.close_code, websocket.close_reason)


asyncio.run(consume(sys.argv[1]))
