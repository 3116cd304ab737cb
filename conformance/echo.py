"""The client of the Python package: connects to the suite once for each case and sends every message back until the connection ends.

    echo.py PORT AT_ONCE CASE…
"""

import asyncio
import sys

from aiowebsocket import WebSocketException, connect


async def echo(url):
    async with connect(url) as ws:
        async for message in ws:
            await ws.send(message)


async def echo_each(urls):
    for url in urls:
        try:
            await echo(url)
        except (WebSocketException, OSError):
            # How a case ends is the suite's to judge; anything else is a bug and ends this program.
            pass


async def main(port, at_once, *cases):
    urls = iter([f"ws://127.0.0.1:{port}/{case}" for case in cases])
    await asyncio.gather(*(echo_each(urls) for _ in range(int(at_once))))


asyncio.run(main(*sys.argv[1:]))
