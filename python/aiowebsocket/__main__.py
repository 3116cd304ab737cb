"""``python -m aiowebsocket`` is the demo: ten rounds of conversation with an echo server of its own.
``python -m aiowebsocket URL`` is a small client: each line of the input is sent as text, each message is a line of the output.

Ends with 0, with 1 where the connection could not be opened or broke, with 2 for a mistake in the call.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from contextlib import suppress
from io import TextIOWrapper

from . import ConnectionClosed, ConnectionClosedOK, InvalidURI, WebSocket, WebSocketException, connect
from .echo import echo_server

_ROUNDS = 10
_MESSAGE = "AioWebSocket - Async WebSocket Client"

#: Seconds after the end of the input within which an answer may still come.
_LINGER = 1

#: Lines of the input that are read before they are sent.
_AHEAD = 100


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
        # The answer to the last line may be on its way.
        while not printing.done():
            before = ws.messages_received
            await asyncio.wait([printing], timeout=_LINGER)
            if ws.messages_received == before:
                break
        sending.cancel()
        printing.cancel()
        await asyncio.wait([printing, sending])
        for task in (printing, sending):
            if not task.cancelled():
                task.result()


async def _print_messages(ws: WebSocket) -> None:
    is_terminal = sys.stdout.isatty()
    try:
        async for message in ws:
            if is_terminal:
                print(_harmless(message), flush=True)
            elif isinstance(message, str):
                print(message, flush=True)
            else:
                sys.stdout.flush()
                sys.stdout.buffer.write(message + b"\n")
                sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Whoever read has seen enough. What is left goes nowhere, or the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _harmless(message: str | bytes) -> str:
    """A message for a terminal: nothing of it moves the cursor, or turns the direction of reading."""
    if isinstance(message, bytes):
        return repr(message)
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in message)


async def _send_lines(ws: WebSocket) -> None:
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    # A file is read no faster than it is sent.
    room = threading.Semaphore(_AHEAD)

    def read() -> None:
        # A thread of its own, which nobody waits for: a terminal may never say another line.
        with suppress(RuntimeError):  # The loop has ended meanwhile.
            for line in sys.stdin:
                room.acquire()
                loop.call_soon_threadsafe(lines.put_nowait, line.removesuffix("\n"))
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        room.release()
        try:
            await ws.send(line)
        except ConnectionClosedOK:
            return


def main(arguments: list[str]) -> int:
    if arguments and (len(arguments) > 1 or arguments[0].startswith("-")):
        asked = arguments in (["-h"], ["--help"])
        print(__doc__.replace("``", "").strip(), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    _have_streams()
    try:
        asyncio.run(converse(arguments[0]) if arguments else demo())
    except InvalidURI as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 2
    except (WebSocketException, ConnectionClosed, OSError) as error:
        print(f"{arguments[0] if arguments else 'demo'}: {error}", file=sys.stderr)
        return 1
    except UnicodeEncodeError:
        print(f"a line of the input is not {sys.stdin.encoding}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _have_streams() -> None:
    """Those that are closed are empty. What is no text fails where it is sent, behind the lines before it; what the output has no
    characters for is written in others."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
