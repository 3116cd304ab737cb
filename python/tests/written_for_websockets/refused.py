"""What is raised where no connection opens."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI


async def main(uri):
    try:
        async with connect(f"{uri}/busy"):
            print("never printed")
    except InvalidStatus as error:
        print(error.response.status_code, error.response.headers["Retry-After"], error.response.body.decode())
        print(isinstance(error, InvalidHandshake))
    try:
        await connect("http://127.0.0.1/")
    except InvalidURI as error:
        print("no address of a WebSocket server:", error.uri)
    try:
        await connect("ws://127.0.0.1:1/")
    except OSError as error:
        print(type(error).__name__)
    try:
        await connect(f"{uri}/never", open_timeout=0.1)
    except TimeoutError:
        print("it takes too long")


asyncio.run(main(sys.argv[1]))
