"""``python -m aiowebsocket`` is the demo: ten rounds of conversation with an echo server of its own.
``python -m aiowebsocket URL`` is a small client: each line of the input is sent as text, each message is a line of the output.

Ends with 0, with 1 where the connection could not be opened or broke, with 2 for a mistake in the call.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import suppress

from . import ConnectionClosed, ConnectionClosedOK, InvalidURI, WebSocket, WebSocketException, connect
from .echo import echo_server

_ROUNDS = 10
_MESSAGE = "AioWebSocket - Async WebSocket Client"

#: Seconds after the end of the input within which an answer may still come.
_LINGER = 1


async def demo() -> None:
    """Ten rounds, and how long they took."""
    async with echo_server() as uri, connect(uri) as ws:
        print(f"connected to {uri}")
        times = []
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            await ws.send(_MESSAGE)
            print(f"{_now()} Client send: {_MESSAGE}")
            message = await ws.recv()
            times.append(time.perf_counter() - began)
            print(f"{_now()} Client receive: {message!s}")
        shortest, *_, longest = sorted(times)
        median = sorted(times)[_ROUNDS // 2]
        ping = await ws.ping()
        print(
            f"{_ROUNDS} round trips: shortest {shortest * 1e6:.0f} µs, median {median * 1e6:.0f} µs, "
            f"longest {longest * 1e6:.0f} µs; ping {ping * 1e6:.0f} µs"
        )


def _now() -> str:
    return time.strftime("%H:%M:%S")


async def converse(uri: str) -> None:
    """Sends lines, prints messages, until either side ends."""
    async with connect(uri) as ws:
        printing = asyncio.ensure_future(_print_messages(ws))
        sending = asyncio.ensure_future(_send_lines(ws))
        await asyncio.wait([printing, sending], return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and not printing.done():
            sending.result()
            # The answer to the last line may be on its way.
            while not printing.done():
                before = ws.messages_received
                await asyncio.wait([printing], timeout=_LINGER)
                if ws.messages_received == before:
                    break
        sending.cancel()
        if printing.done():
            printing.result()
        else:
            printing.cancel()
            with suppress(asyncio.CancelledError):
                await printing


async def _print_messages(ws: WebSocket) -> None:
    async for message in ws:
        if isinstance(message, str):
            print(message, flush=True)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(message + b"\n")
            sys.stdout.buffer.flush()


async def _send_lines(ws: WebSocket) -> None:
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        # A thread of its own, which nobody waits for: a terminal may never say another line.
        with suppress(RuntimeError):  # The loop has ended meanwhile.
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        try:
            await ws.send(line)
        except ConnectionClosedOK:
            return


def main(arguments: list[str]) -> int:
    if arguments and (len(arguments) > 1 or arguments[0].startswith("-")):
        asked = arguments in (["-h"], ["--help"])
        print(__doc__.replace("``", "").strip(), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    try:
        asyncio.run(converse(arguments[0]) if arguments else demo())
    except InvalidURI as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 2
    except (WebSocketException, ConnectionClosed, OSError) as error:
        print(f"{arguments[0] if arguments else 'demo'}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
