"""Header lines of one's own, a subprotocol, and what was said in the handshake."""

import asyncio
import sys

import websockets


async def main(uri):
    async with websockets.connect(
        f"{uri}/headers",
        additional_headers={"Authorization": "Bearer secret", "X-Trace": "17"},
        user_agent_header="mine/1.0",
        origin="https://example.com",
        subprotocols=["json", "chat"],
    ) as websocket:
        print(await websocket.recv())
        print(websocket.subprotocol, websocket.request.headers["X-Trace"])
        print(websocket.response.status_code, websocket.response.headers["Upgrade"], websocket.state.name)
        print(websocket.remote_address == ("127.0.0.1", int(uri.rsplit(":", 1)[1])))


asyncio.run(main(sys.argv[1]))
