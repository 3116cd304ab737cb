"""TLS to a server whose certificate is signed by an authority of one's own."""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect

ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ssl_context.load_verify_locations(sys.argv[3])


async def hello(uri):
    async with connect(f"{uri}/greeting", ssl=ssl_context) as websocket:
        await websocket.send("Grace")
        print(await websocket.recv())
    async with connect(f"{uri}/greeting", ssl=ssl_context, server_hostname="localhost") as websocket:
        await websocket.send("Hedy")
        print(await websocket.recv())
    try:
        async with connect(f"{uri}/greeting"):
            print("never printed")
    except ssl.SSLCertVerificationError:
        print("nobody trusts that authority")


asyncio.run(hello(sys.argv[2]))
