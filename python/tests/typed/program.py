"""A program that a type checker reads, and nobody runs: what a person gets to see of the types."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from typing_extensions import assert_type

import aiowebsocket
from aiowebsocket import CloseCode, ConnectionClosed, Headers, State, sync
from aiowebsocket.converses import AioWebSocket


def on_message(ws: aiowebsocket.WebSocket, message: str | bytes) -> None:
    ws.send_nowait(message)


async def parts() -> AsyncIterator[str]:
    yield "a"


async def main() -> None:
    secret = {"D": "e"}
    async with aiowebsocket.connect(
        "ws://127.0.0.1/", headers={"A": "b", "C": None}, secret_headers=secret, on_message=on_message
    ) as ws:
        assert_type(ws, aiowebsocket.WebSocket)
        assert_type(await ws.recv(), str | bytes)
        assert_type(await ws.recv(timeout=1, decode=True), str)
        assert_type(await ws.recv(decode=False), bytes)
        assert_type(await ws.recv(5, True), str)
        assert_type(await ws.recv(None, False), bytes)
        assert_type(ws.recv_nowait(), str | bytes | None)
        assert_type(await ws.recv_many(10), list[str | bytes])
        async for batch in ws.batches():
            assert_type(batch, list[str | bytes])
        async for message in ws:
            assert_type(message, str | bytes)
        async for part in ws.recv_streaming():
            assert_type(part, str | bytes)
        assert_type(await ws.ping(), float)
        task = asyncio.create_task(ws.recv())
        assert_type(await task, str | bytes)
        await ws.send("a")
        await ws.send(bytearray(b"a"), text=True)
        await ws.send(["a", "b"])
        await ws.send(parts(), plain=True)
        await ws.send(1)  # type: ignore[arg-type]
        ws.send_nowait(["a"])  # type: ignore[arg-type]
        await ws.send_many(["a", b"b"])
        with ws.cork():
            await ws.send("a")
        assert_type(ws.state, State)
        assert_type(ws.request.headers, Headers)
        assert_type(ws.response.status_code, int)
        assert_type(ws.close_code, int | None)
        assert_type(ws.bytes_sent, int)
        with contextlib.suppress(ConnectionClosed):
            await ws.close(CloseCode.GOING_AWAY, "away")
    async with AioWebSocket("ws://127.0.0.1/") as aws:
        if aws.manipulator is not None:
            assert_type(await aws.manipulator.receive(), str | bytes | None)


def threads() -> None:
    with sync.connect("ws://127.0.0.1/", headers={"A": "b", "C": None}, tls=aiowebsocket.TLS(verify=False)) as ws:
        assert_type(ws, sync.WebSocket)
        assert_type(ws.recv(), str | bytes)
        assert_type(ws.recv(timeout=1, decode=True), str)
        assert_type(ws.recv(decode=False), bytes)
        assert_type(ws.recv(5, True), str)
        assert_type(ws.recv(None, False), bytes)
        for message in ws:
            assert_type(message, str | bytes)
        for part in ws.recv_streaming():
            assert_type(part, str | bytes)
        assert_type(ws.ping(), float)
        ws.send("a")
        ws.send(bytearray(b"a"), text=True)
        ws.send(["a", "b"], plain=True)
        ws.send(1)  # type: ignore[arg-type]
        assert_type(ws.state, State)
        assert_type(ws.request.headers, Headers)
        assert_type(ws.response.status_code, int)
        with contextlib.suppress(ConnectionClosed):
            ws.close(CloseCode.GOING_AWAY, "away")
