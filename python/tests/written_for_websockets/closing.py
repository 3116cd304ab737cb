"""How connections end, and what is raised then."""

import asyncio
import sys

import websockets
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK


async def main(uri):
    websocket = await websockets.connect(f"{uri}/echo")
    await websocket.close(code=1001, reason="bye")
    await websocket.wait_closed()
    print(websocket.close_code, websocket.close_reason, websocket.state is websockets.State.CLOSED)
    try:
        await websocket.send("too late")
    except ConnectionClosedOK:
        print("closed by ourselves")

    async with websockets.connect(f"{uri}/failing") as websocket:
        try:
            async for message in websocket:
                print(message)
        except websockets.ConnectionClosedError as error:
            print(isinstance(error, ConnectionClosed), isinstance(error, ConnectionClosedError))
            print(isinstance(error, websockets.WebSocketException), websocket.close_code, websocket.close_reason)


asyncio.run(main(sys.argv[1]))
