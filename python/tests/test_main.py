"""`python -m aiowebsocket`: the demo, and the small client, as a person runs them."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress

import pytest

from aiowebsocket.__main__ import _MESSAGE
from aiowebsocket.echo import echo_server
from support import PATIENCE, binary, close, nobody, text


def run(*arguments, said=""):
    command = [sys.executable, "-m", "aiowebsocket", *arguments]
    done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=2 * PATIENCE)
    return done.returncode, done.stdout, done.stderr


def once(loop_kind):
    if loop_kind != "asyncio":
        pytest.skip("a process of its own has a loop of its own")


def test_the_demo(loop_kind):
    once(loop_kind)
    status, said, complaints = run()
    assert (status, complaints) == (0, "")
    first, *rounds, last = said.splitlines()
    assert first.startswith("connected to ws://127.0.0.1:")
    assert [line.split(" ", 1)[1] for line in rounds] == [f"Client send: {_MESSAGE}", f"Client receive: {_MESSAGE}"] * 10
    assert last.startswith("10 round trips: shortest ")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help(loop_kind, arguments):
    once(loop_kind)
    status, said, complaints = run(*arguments)
    assert (status, complaints) == (0, "")
    assert "python -m aiowebsocket URL" in said


@pytest.mark.parametrize(("arguments", "told"), [
    (["ws://a", "ws://b"], "python -m aiowebsocket URL"),
    (["--wrong"], "python -m aiowebsocket URL"),
    (["http://127.0.0.1/"], "http://127.0.0.1/: "),
])
def test_mistakes(loop_kind, arguments, told):
    once(loop_kind)
    status, said, complaints = run(*arguments)
    assert (status, said) == (2, "")
    assert told in complaints and "Traceback" not in complaints


async def client(uri, said=b""):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aiowebsocket", uri, stdin=-1, stdout=-1, stderr=-1
    )
    out, complaints = await asyncio.wait_for(process.communicate(said), PATIENCE)
    return process.returncode, out.decode(), complaints.decode()


@pytest.fixture
def loop_that_spawns(loop_kind):
    if loop_kind == "transports":
        pytest.skip("asyncio spawns through methods that this loop keeps to itself")


async def test_lines_are_said_and_come_back(loop_that_spawns):
    async with echo_server() as uri:
        assert await client(uri, "é\n\nlast".encode()) == (0, "é\n\nlast\n", "")


async def test_what_the_server_says(loop_that_spawns, server):
    running = asyncio.ensure_future(client(server.uri))
    peer = await server.accept()
    await peer.answer(behind=text("a") + binary(b"b") + close(1000))
    await peer.frame()
    peer.shut()
    assert await running == (0, "a\nb\n", "")


@pytest.mark.parametrize(("end", "told"), [(close(1011, "oops"), '1011 (Internal Error): "oops"'), (b"", "1006")])
async def test_the_server_complains(loop_that_spawns, server, end, told):
    running = asyncio.ensure_future(client(server.uri))
    peer = await server.accept()
    await peer.answer(behind=text("a") + end)
    peer.sock.shutdown(1)
    status, said, complaints = await running
    assert (status, said) == (1, "a\n")
    assert told in complaints and "Traceback" not in complaints


async def test_nobody_listens(loop_that_spawns):
    with nobody() as port:
        uri = f"ws://127.0.0.1:{port}/"
        status, said, complaints = await client(uri)
    assert (status, said) == (1, "")
    assert complaints.startswith(uri) and "Traceback" not in complaints


async def test_a_request_that_is_none():
    """The echo server says what is wrong, and goes on."""
    async with echo_server() as uri:
        port = int(uri.rsplit(":", 1)[1].rstrip("/"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 4")
        writer.close()
        await writer.wait_closed()


# ---- what the streams of a program may be


def started(uri, **streams):
    return subprocess.Popen([sys.executable, "-m", "aiowebsocket", uri], **{"stdin": -1, "stdout": -1, "stderr": -1} | streams)


async def ended(process, said=b""):
    out, complaints = await asyncio.wait_for(asyncio.to_thread(process.communicate, said, PATIENCE), PATIENCE)
    return process.returncode, out, complaints.decode()


async def test_nothing_that_arrives_moves_the_cursor(loop_that_spawns, server):
    ours, theirs = os.openpty()
    running = started(server.uri, stdout=theirs)
    os.close(theirs)
    peer = await server.accept()
    await peer.answer(behind=text("\x1b]0;title\x07\x9b31m \u202eé\ttab") + binary(b"\x1b[2J") + close(1000))
    await peer.frame()
    peer.shut()
    status, _, complaints = await ended(running)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert (status, complaints) == (0, "")
    assert shown == "\\x1b]0;title\\x07\\x9b31m \\u202eé\ttab\r\nb'\\x1b[2J'\r\n"


async def test_input_that_is_no_text(loop_that_spawns):
    async with echo_server() as uri:
        status, said, complaints = await ended(started(uri), b"fine\n\xff\nnever sent\n")
    assert (status, said) == (1, b"fine\n")
    assert complaints == "a line of the input is not utf-8\n"


async def test_a_message_that_the_output_has_no_characters_for(loop_that_spawns, server):
    running = started(server.uri, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    peer = await server.accept()
    await peer.answer(behind=text("é") + close(1000))
    await peer.frame()
    peer.shut()
    assert await ended(running) == (0, b"\\xe9\n", "")


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-"])
async def test_streams_that_are_closed(loop_that_spawns, closed):
    async with echo_server() as uri:
        command = f'"{sys.executable}" -m aiowebsocket {uri} {closed}'
        process = subprocess.Popen(command, shell=True, stdin=-1, stdout=-1, stderr=-1)
        assert await ended(process) == (0, b"", "")


async def test_a_reader_who_has_enough(loop_that_spawns):
    async with echo_server() as uri:
        process = started(uri)
        process.stdin.write(b"a\n")
        process.stdin.flush()
        assert await asyncio.to_thread(process.stdout.readline) == b"a\n"
        process.stdout.close()
        process.stdout = open(os.devnull, "rb")
        assert await ended(process, b"b\n") == (0, b"", "")


async def test_input_is_read_as_it_is_sent(loop_that_spawns, server):
    """A server that reads nothing is no reason to have a whole file in memory."""
    running = started(server.uri)
    peer = await server.accept()
    await peer.answer()
    written = 0

    def write():
        nonlocal written
        with suppress(BrokenPipeError):
            while written < 100 << 20:
                written += running.stdin.write(b"x" * (100 << 10) + b"\n")

    writing = asyncio.ensure_future(asyncio.to_thread(write))
    before = -1
    while before < written:
        before = written
        await asyncio.sleep(0.5)
    running.kill()
    await writing
    running.wait()
    with suppress(BrokenPipeError):
        running.stdin.close()
    running.stdout.close()
    running.stderr.close()
    assert written < 50 << 20
