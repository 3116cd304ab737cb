"""docs/migrating.md: each row of its tables, by running both sides."""

import asyncio
import contextlib
import inspect
import logging
import re
import ssl
import sys
import threading
from pathlib import Path

import pytest
import trustme
import websockets
from websockets.asyncio import client as theirs
from websockets.sync import client as theirs_sync
from websockets.datastructures import MultipleValuesError

import aiowebsocket
import aiowebsocket.asyncio.client
import aiowebsocket.sync.client
from friendly import serving
from support import CLOSE, CONTINUATION, PATIENCE, PING, TEXT, arrived, binary, close, frame, nobody, run_python, text, turn
from test_sync import Serving, Thread, a_moment, echo
from tls import Server as TlsServer, server_context

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 12), reason="other libraries are compared on one CPython")

PAGE = (Path(__file__).parents[2] / "docs/migrating.md").read_text()
# Neither may look for a proxy.
THEIRS = {"proxy": None}


def connect(side, uri, **options):
    if side == "theirs":
        return theirs.connect(uri, **THEIRS, **options)
    return aiowebsocket.connect(uri, **options)


async def opened(side, server, *lines, **options):
    """A connection of either side, and the server's end of it."""

    async def opening():
        return await connect(side, server.uri, **options)

    task = asyncio.ensure_future(opening())
    peer = await server.accept()
    await peer.answer(*lines)
    return await task, peer


async def left(ws, peer):
    peer.shut()
    await ws.wait_closed()


@pytest.fixture(autouse=True)
def on_asyncio(loop_kind):
    if loop_kind != "asyncio":
        pytest.skip("other libraries are compared on one event loop")


def test_each_row_has_its_test():
    rows = re.findall(r"^\|.*\| `(\w+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 36
    for row in rows:
        assert f"test_{row}" in globals(), row


def test_the_versions_are_those_of_the_page():
    assert websockets.__version__ == "17.4" and "`websockets` 17.4 |" in PAGE
    assert picows.__version__.startswith("2.3.") and "`picows` 2.3 |" in PAGE


SIDES = pytest.mark.parametrize("side", ["theirs", "ours"])


# ---- websockets


@SIDES
async def test_the_program_runs_with_either(server, side, capsys):
    source = PAGE.partition("```python\n")[2].partition("```")[0]
    if side == "theirs":
        source = source.replace(
            "from aiowebsocket import ConnectionClosedOK, connect",
            "from websockets.asyncio.client import connect\nfrom websockets.exceptions import ConnectionClosedOK",
        ).replace("max_size=2**20", "max_size=2**20, proxy=None")
    source = source.replace("127.0.0.1:8765", f"127.0.0.1:{server.port}")
    from test_docs import output_of

    async with serving(server):
        assert await output_of(source, "docs/migrating.md") == "hello\nclosed 1000\n"


@SIDES
async def test_ping(server, side):
    ws, peer = await opened(side, server)
    pinging = asyncio.ensure_future(_awaited(ws.ping()))
    came = await peer.frame()
    assert came.opcode == PING
    peer.say(frame(10, came.payload))
    answer = await pinging
    seconds = await answer if side == "theirs" else answer
    assert 0 < seconds < 10
    await left(ws, peer)


async def _awaited(awaitable):
    return await awaitable


@SIDES
async def test_recv(server, side):
    ws, peer = await opened(side, server)
    peer.say(text("a"), text("b"))
    assert await ws.recv(decode=False) == b"a"
    if side == "theirs":
        assert await ws.recv(False) == b"b"
    else:
        with pytest.raises(TypeError, match="decode"):
            await ws.recv(False)
    await left(ws, peer)


@SIDES
async def test_max_size(server, side):
    ws, peer = await opened(side, server)
    limit = (1 if side == "theirs" else 64) << 20
    peer.say(bytes([0x82, 127]) + (limit + 1).to_bytes(8, "big"))
    assert (await peer.frame()).code == 1009
    await left(ws, peer)
    ws, peer = await opened(side, server, max_size=10)
    peer.say(binary(bytes(10)), binary(bytes(11)))
    assert await ws.recv() == bytes(10)
    assert (await peer.frame()).code == 1009
    await left(ws, peer)


@SIDES
async def test_window(server, side):
    """How many messages of a byte are taken off the socket while nobody receives."""
    ws, peer = await opened(side, server, close_timeout=0.1)
    telling = asyncio.ensure_future(peer.tell(binary(b"x") * 200_000))
    for _ in range(200):
        await asyncio.sleep(0.001)
    if side == "theirs":
        assert ws.recv_messages.frames.__len__() >= 16
        assert ws.recv_messages.paused
    else:
        assert ws.pending * 65 >= 1 << 20
        assert ws.pending * 65 < (1 << 20) + 1000
    telling.cancel()
    await asyncio.wait([telling])
    peer.shut()
    await ws.close()


@SIDES
async def test_invalid_uri(side):
    package = websockets if side == "theirs" else aiowebsocket
    with pytest.raises(package.InvalidURI) as caught:
        connect(side, "http://127.0.0.1/")
    assert isinstance(caught.value, ValueError) == (side == "ours")


@SIDES
async def test_subprotocols(side):
    with nobody() as port, pytest.raises(TypeError, match="subprotocols"):
        await connect(side, f"ws://127.0.0.1:{port}/", subprotocols="json")


@SIDES
async def test_ssl_none(side):
    with nobody() as port, pytest.raises(ValueError if side == "theirs" else ConnectionRefusedError):
        await connect(side, f"wss://127.0.0.1:{port}/", ssl=None)


@SIDES
async def test_closed(server, side):
    package = websockets if side == "theirs" else aiowebsocket
    ws, peer = await opened(side, server)
    peer.say(close(1011, "oops"))
    assert (await peer.frame()).opcode == CLOSE
    peer.shut()
    with pytest.raises(package.ConnectionClosedError) as caught:
        await ws.recv()
    error = caught.value
    assert isinstance(error, (ConnectionError, EOFError)) == (side == "ours")
    seen = (error.rcvd.code, error.rcvd.reason) if side == "theirs" else (error.code, error.reason)
    assert seen == (1011, "oops")


@SIDES
async def test_invalid_status(server, side):
    package = websockets if side == "theirs" else aiowebsocket
    async with serving(server):
        with pytest.raises(package.InvalidStatus) as caught:
            await connect(side, f"ws://127.0.0.1:{server.port}/busy", open_timeout=1)
    error = caught.value
    assert (error.response.status_code, error.response.headers["Retry-After"]) == (503, "7")
    assert error.response.body == b"later, please"
    assert isinstance(error, ConnectionError) == (side == "ours")
    if side == "ours":
        assert (error.status, dict(error.headers)["retry-after"], error.body) == (503, "7", b"later, please")


@SIDES
async def test_headers(server, side):
    ws, peer = await opened(side, server, "Set-Cookie: a=1", "Set-Cookie: b=2")
    assert ws.response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    if side == "theirs":
        with pytest.raises(MultipleValuesError):
            ws.response.headers["Set-Cookie"]
    else:
        assert ws.response.headers["Set-Cookie"] == "a=1, b=2"
    await left(ws, peer)


@SIDES
async def test_parts(server, side):
    def parts():
        yield "a"
        yield "b"
        raise KeyError("no more")

    ws, peer = await opened(side, server)
    sending = asyncio.ensure_future(_awaited(ws.send(parts())))
    first = await peer.frame()
    assert (first.opcode, first.payload, first.fin) == (TEXT, b"a", False)
    while (came := await peer.frame()).opcode == CONTINUATION:
        pass
    assert (came.opcode, came.code) == (CLOSE, 1011)
    peer.say(frame(CLOSE, came.payload))
    peer.shut()
    with pytest.raises(KeyError):
        await sending
    await ws.wait_closed()


@SIDES
async def test_two_receivers(server, side):
    package = websockets.exceptions if side == "theirs" else aiowebsocket
    ws, peer = await opened(side, server)
    first = asyncio.ensure_future(_awaited(ws.recv()))
    await arrived()
    with pytest.raises(package.ConcurrencyError):
        await ws.recv()
    peer.say(text("a"))
    assert await first == "a"
    await left(ws, peer)


@SIDES
async def test_dict(server, side):
    ws, peer = await opened(side, server)
    with pytest.raises(TypeError):
        await ws.send({"a": 1})
    await left(ws, peer)


@SIDES
async def test_ssl(side, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    async with TlsServer(server_context(authority, "one.example")) as server:
        # Neither end of this server and of `websockets` ends TCP before the other.
        async with connect(side, server.uri, ssl=context, server_hostname="one.example", close_timeout=0.1) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(side, server.uri, ssl=context, server_hostname="other.example")
        for ssl_option in (context, True):
            with pytest.raises(ValueError):
                await connect(side, server.uri.replace("wss", "ws"), ssl=ssl_option)


@SIDES
async def test_trust(side, tmp_path):
    """In a process of its own, since the trust store is read once a process."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    package = "websockets" if side == "theirs" else "aiowebsocket"
    program = f"""
        import asyncio, ssl, sys
        from {package} import connect

        async def main():
            try:
                async with connect(sys.argv[1], proxy=None, close_timeout=0.1) as ws:
                    await ws.send("hello")
                    print(await ws.recv())
            except ssl.SSLCertVerificationError as error:
                print(type(error).__name__)

        asyncio.run(main())
    """
    async with TlsServer(server_context(authority)) as server:
        program = program.replace("sys.argv[1]", repr(server.uri))
        store = str(tmp_path / "ca.pem")
        trusted = await asyncio.to_thread(run_python, program, SSL_CERT_FILE=store)
        assert trusted == (0, "hello\n", "")
        strange = await asyncio.to_thread(run_python, program)
        assert strange == (0, "SSLCertVerificationError\n" if side == "theirs" else "CertificateError\n", "")
    assert issubclass(aiowebsocket.CertificateError, ssl.SSLCertVerificationError)


@SIDES
@pytest.mark.parametrize("way", ["environment", "address", "none"])
async def test_proxy(server, side, way, monkeypatch):
    here = f"http://127.0.0.1:{server.port}"
    options = {"environment": {}, "address": {"proxy": here}, "none": {"proxy": None}}[way]
    if way != "address":
        monkeypatch.setenv("http_proxy", here if way == "environment" else "http://127.0.0.1:1")
    package = theirs if side == "theirs" else aiowebsocket
    uri = server.uri if way == "none" else "ws://server.example/"

    async def opening():
        return await package.connect(uri, **options)

    task = asyncio.ensure_future(opening())
    peer = await server.accept()
    if way != "none":
        assert (await peer.head()).startswith("CONNECT server.example:80 HTTP/1.1")
        peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
    await peer.answer()
    await left(await task, peer)


@SIDES
async def test_socks(server, side):
    if side == "theirs":
        # Another package here needs that one too.
        status, said, complaints = await asyncio.to_thread(run_python, """
            import asyncio, sys
            sys.modules["python_socks"] = None
            from websockets.asyncio.client import connect

            async def main():
                try:
                    await connect("ws://server.example/", proxy="socks5h://127.0.0.1:1")
                except ImportError as error:
                    print(error)

            asyncio.run(main())
        """)
        assert (status, complaints) == (0, "") and "requires python-socks" in said
        return

    async def opening():
        return await aiowebsocket.connect("ws://server.example/", proxy=f"socks5h://127.0.0.1:{server.port}")

    task = asyncio.ensure_future(opening())
    peer = await server.accept()
    assert await peer.exactly(3) == b"\x05\x01\x00"
    peer.say(b"\x05\x00")
    assert await peer.exactly(5 + 14 + 2) == b"\x05\x01\x00\x03\x0eserver.example\x00\x50"
    peer.say(b"\x05\x00\x00\x01" + bytes(6))
    await peer.answer()
    await left(await task, peer)


async def followed(side, server, answers, most=None, **options):
    """Each connection of an ``async for`` gets one of these, the status of a refusal or a close code. Gives the close codes that were
    seen, by default until no more come, and the error that ended the loop, if one did."""
    package = theirs if side == "theirs" else aiowebsocket
    if side == "theirs":
        options |= THEIRS
    most = most or sum(answer >= 1000 for answer in answers)

    async def serve():
        for answer in answers:
            peer = await server.accept()
            if answer < 1000:
                await peer.head()
                peer.say(f"HTTP/1.1 {answer} No\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                await peer.answer()
                peer.say(close(answer))
                await peer.frame()
            peer.shut()

    serving = asyncio.ensure_future(serve())
    codes = []
    # The keep-alive of either sleeps.
    following = package.connect(server.uri, ping_interval=None, **options).__aiter__()
    async with contextlib.aclosing(following):
        try:
            async for ws in following:
                with contextlib.suppress(aiowebsocket.ConnectionClosed, websockets.ConnectionClosed):
                    await ws.recv()
                await ws.wait_closed()
                codes.append(ws.close_code)
                if len(codes) == most:
                    break
        except Exception as error:
            codes.append(error)
    await serving
    return codes


@SIDES
async def test_again(server, side, naps):
    assert await followed(side, server, [1001, 1011, 1000]) == [1001, 1011, 1000]
    if side == "theirs":
        assert naps == []
        assert await followed(side, server, [1008, 1000]) == [1008, 1000]
    else:
        first, second = naps
        assert 0 <= first <= 5 and 2.5 <= second <= 5
        code, error = await followed(side, server, [1008], most=2)
        assert code == 1008 and isinstance(error, aiowebsocket.ConnectionClosedError)


@SIDES
async def test_refusals(server, side, naps):
    package = websockets if side == "theirs" else aiowebsocket
    unlike = [501, 408, 425, 429]
    for refusal in [500, 502, 503, 504] + (unlike if side == "ours" else []):
        assert await followed(side, server, [refusal, 1000]) == [1000]
    assert all(nap >= 100 for nap in naps) == (side == "ours")
    for refusal in [401, 404] + (unlike if side == "theirs" else []):
        (error,) = await followed(side, server, [refusal])
        assert isinstance(error, package.InvalidStatus)


@SIDES
async def test_refusals_where_nobody_listens(side, naps):
    with nobody() as port:
        following = connect(side, f"ws://127.0.0.1:{port}/").__aiter__()
        trying = asyncio.ensure_future(following.__anext__())
        while sum(nap > 0 for nap in naps) < 3:
            assert not trying.done()
            await turn()
        trying.cancel()
        await asyncio.wait([trying])


@SIDES
async def test_untrusted(side, naps):
    authority = trustme.CA()
    async with TlsServer(server_context(authority)) as server:
        trying = asyncio.ensure_future(connect(side, server.uri, ssl=ssl.create_default_context()).__aiter__().__anext__())
        if side == "ours":
            with pytest.raises(aiowebsocket.CertificateError):
                await asyncio.wait_for(trying, PATIENCE)
            assert naps == []
            return
        while sum(nap > 0 for nap in naps) < 3:
            assert not trying.done()
            await turn()
        trying.cancel()
        await asyncio.wait([trying])


@SIDES
async def test_process_exception(server, side, naps):
    told = []
    codes = await followed(side, server, [404, 1011, 1000], process_exception=told.append)
    assert codes == [1011, 1000]
    package = websockets if side == "theirs" else aiowebsocket
    kinds = [package.InvalidStatus] if side == "theirs" else [package.InvalidStatus, package.ConnectionClosedError]
    assert [type(error) for error in told] == kinds
    ours = KeyError("no more")
    assert await followed(side, server, [503], process_exception=lambda error: ours) == [ours]


@SIDES
async def test_reconnect_delays(server, side, naps):
    def delays():
        yield from [200, 300]

    assert await followed(side, server, [503, 504, 1011, 502, 1000], reconnect_delays=delays) == [1011, 1000]
    assert naps == ([200, 300, 200] if side == "theirs" else [200, 300, 200, 300])
    (error,) = await followed(side, server, [503, 504, 502], reconnect_delays=delays)
    # Theirs must not end.
    assert isinstance(error, RuntimeError if side == "theirs" else aiowebsocket.InvalidStatus)


@SIDES
async def test_log(server, side, caplog):
    with caplog.at_level(logging.DEBUG, "websockets.client" if side == "theirs" else "aiowebsocket"):
        ws, peer = await opened(side, server)
        await ws.send("hello there")
        await left(ws, peer)
    told = [message for message in caplog.messages if "hello there" in message]
    assert len(told) == (1 if side == "theirs" else 0)


# ---- websockets.sync


def connect_sync(side, uri, **options):
    if side == "theirs":
        return theirs_sync.connect(uri, **THEIRS, **options)
    return aiowebsocket.sync.connect(uri, **options)


@SIDES
def test_sync_threads(side):
    with Serving(echo) as server:
        before = threading.active_count()
        with connect_sync(side, server.uri):
            assert threading.active_count() - before == (2 if side == "theirs" else 0)


@SIDES
def test_sync_ping(side):
    with Serving(echo) as server, connect_sync(side, server.uri) as ws:
        answer = ws.ping()
        if side == "theirs":
            assert answer.wait(PATIENCE)
        else:
            assert 0 < answer < PATIENCE


@SIDES
def test_sync_timeout(side):
    with Serving(echo) as server, connect_sync(side, server.uri) as ws:
        with pytest.raises(TimeoutError) as raised:
            ws.recv(timeout=0.01)
        assert isinstance(raised.value, aiowebsocket.ReceiveTimeout) == (side == "ours")
        ws.send("and goes on")
        assert ws.recv(timeout=PATIENCE) == "and goes on"


@SIDES
def test_sync_two_receivers(side):
    with Serving(echo) as server, connect_sync(side, server.uri) as ws:
        first = Thread(ws.recv)
        a_moment()
        if side == "theirs":
            with pytest.raises(websockets.ConcurrencyError):
                ws.recv()
            ws.send("a")
            assert first.result() == "a"
            return
        second = Thread(ws.recv)
        a_moment()
        ws.send("a")
        ws.send("b")
        assert {first.result(), second.result()} == {"a", "b"}


@SIDES
def test_sync_parts(side):
    begun, go_on = threading.Event(), threading.Event()

    def parts():
        yield "a"
        yield "b"
        begun.set()
        assert go_on.wait(PATIENCE)
        yield "c"

    def serve(peer):
        peer.answer()
        peer.end()

    with Serving(serve) as server, connect_sync(side, server.uri, close_timeout=0.1) as ws:
        sending = Thread(ws.send, parts())
        assert begun.wait(PATIENCE)
        other = Thread(ws.send, "between")
        if side == "theirs":
            with pytest.raises(websockets.ConcurrencyError):
                other.result()
        else:
            a_moment()
            assert other.is_alive()
        go_on.set()
        sending.result()
        if side == "ours":
            other.result()


@SIDES
def test_sync_with(side):
    with Serving(echo) as server:
        with connect_sync(side, server.uri) as ws:
            pass
        assert ws.close_code == 1000


@SIDES
def test_sync_without_with(side):
    warns = pytest.warns(DeprecationWarning, match="legacy=True") if side == "theirs" else contextlib.nullcontext()
    with Serving(echo) as server:
        ws = connect_sync(side, server.uri)
        with warns:
            ws.send("a")
            assert ws.recv() == "a"
        ws.close()


def _public(of):
    return {name for name in dir(of) if not name.startswith("_")}


def test_not_here():
    """What this page says is not here is there, and what is only there stands on the page."""
    told = PAGE.partition("### Not here")[2].partition("## From `picows`")[0]
    for there, here in [(theirs.connect, aiowebsocket.connect), (theirs_sync.connect, aiowebsocket.sync.connect)]:
        only_there = inspect.signature(there).parameters.keys() - inspect.signature(here).parameters.keys() - {"kwargs"}
        for name in only_there:
            assert f"`{name}`" in told, name
    for name in {*theirs.__all__, *theirs_sync.__all__} - _public(aiowebsocket.asyncio.client) - _public(aiowebsocket.sync.client):
        assert f"`{name}`" in told, name
    for name in "extensions", "write_limit", "legacy", "proxy_ssl":
        assert name not in inspect.signature(aiowebsocket.connect).parameters
    assert {"pong", "close_exc"} <= _public(theirs.ClientConnection) - _public(aiowebsocket.WebSocket)
    assert "wait_closed" in _public(theirs_sync.ClientConnection) - _public(aiowebsocket.sync.WebSocket)
    assert "data" in inspect.signature(theirs.ClientConnection.ping).parameters
    assert "data" not in inspect.signature(aiowebsocket.WebSocket.ping).parameters
    with pytest.raises(TypeError, match="max_size"):
        aiowebsocket.connect("ws://127.0.0.1/", max_size=(1000, 100))
    for face in aiowebsocket.WebSocket, aiowebsocket.sync.WebSocket:
        assert face.__dictoffset__ == 0 and face.__weakrefoffset__ != 0
    here = set(dir(aiowebsocket.exceptions))
    for name in "InvalidMessage", "InvalidHeader", "InvalidUpgrade", "NegotiationError", "SecurityError", "TooManyHeaders", "InvalidProxyMessage":
        assert hasattr(websockets.exceptions, name) and name not in here and f"`{name}`" in told


# ---- picows

if sys.version_info[:2] == (3, 12):
    import picows


class Listener(getattr(sys.modules.get("picows"), "WSListener", object)):
    def __init__(self):
        self.frames = []

    def on_ws_frame(self, transport, frame):
        self.frames.append((frame.msg_type, frame.fin, frame.get_payload_as_bytes()))


async def picows_opened(server, **options):
    task = asyncio.ensure_future(picows.ws_connect(Listener, server.uri, **options))
    peer = await server.accept()
    await peer.answer()
    transport, listener = await task
    return transport, listener, peer


async def picows_left(transport, peer):
    transport.disconnect()
    await transport.wait_disconnected()
    peer.shut()


async def test_fragments(server):
    said = [frame(TEXT, "é".encode()[:1], fin=False), frame(CONTINUATION, "é".encode()[1:])]
    transport, listener, peer = await picows_opened(server)
    peer.say(*said)
    while len(listener.frames) < 2:
        await turn()
    assert [(fin, payload) for _, fin, payload in listener.frames] == [(False, b"\xc3"), (True, b"\xa9")]
    await picows_left(transport, peer)
    got = []
    ws, peer = await opened("ours", server, on_message=lambda ws, message: got.append(message))
    peer.say(*said)
    while not got:
        await turn()
    assert got == ["é"]
    await left(ws, peer)


async def test_not_utf8(server):
    transport, listener, peer = await picows_opened(server)
    peer.say(frame(TEXT, b"\xff"))
    while not listener.frames:
        await turn()
    assert listener.frames[0][2] == b"\xff"
    await picows_left(transport, peer)
    ws, peer = await opened("ours", server)
    peer.say(frame(TEXT, b"\xff"))
    assert (await peer.frame()).code == 1007
    await left(ws, peer)


async def test_auto_ping(server):
    options = inspect.signature(picows.ws_connect).parameters
    assert options["enable_auto_ping"].default is False
    assert inspect.signature(aiowebsocket.connect).parameters["ping_interval"].default == 20
    transport, _, peer = await picows_opened(server, enable_auto_ping=True, auto_ping_idle_timeout=0.2, auto_ping_reply_timeout=0.1)
    assert (await peer.frame()).opcode == PING
    await picows_left(transport, peer)


async def test_end(server):
    transport, _, peer = await picows_opened(server)
    peer.shut()
    await transport.wait_disconnected()
    ws, peer = await opened("ours", server)
    peer.shut()
    await ws.wait_closed()


async def test_refused(server):
    async with serving(server):
        with pytest.raises(picows.WSError):
            await picows.ws_connect(Listener, f"ws://127.0.0.1:{server.port}/busy")
        with pytest.raises(aiowebsocket.InvalidStatus):
            await aiowebsocket.connect(f"ws://127.0.0.1:{server.port}/busy")
