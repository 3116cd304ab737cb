"""`connect`: its options, the request that it makes, and everything that keeps a connection from being opened."""

import asyncio
import errno
import os
import select
import socket
import ssl

import pytest

import aiowebsocket
import aiowebsocket.sync
from aiowebsocket import InvalidHandshake, InvalidStatus, InvalidURI, OpenTimeout, WebSocketException
from support import CLOSE, PATIENCE, PING, PONG, TEXT, Link, Peer, Server, close, frame, header, nobody, run_python, text


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


# ---- addresses


@pytest.mark.parametrize(
    "uri",
    ["", "feed", "http://127.0.0.1/", "ws://", "ws:///feed", "ws://host:port/", "ws://host:99999/", "ws://ho st/", "ws://h/#part"],
)
def test_an_address_that_is_none(uri):
    with pytest.raises(InvalidURI) as caught:
        aiowebsocket.connect(uri)
    assert caught.value.uri == uri
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, WebSocketException)


def test_an_address_of_another_type():
    with pytest.raises(TypeError):
        aiowebsocket.connect(b"ws://127.0.0.1/")


async def test_nothing_happens_before_it_is_awaited(server):
    aiowebsocket.connect(server.uri)
    with pytest.raises(BlockingIOError):
        server.listener.accept()


# ---- the request


async def test_the_request(server):
    link = await Link.open(server)
    lines = link.request.split("\r\n")
    assert lines[0] == "GET /feed HTTP/1.1"
    assert header(link.request, "Host") == f"127.0.0.1:{server.port}"
    assert header(link.request, "Upgrade") == "websocket"
    assert header(link.request, "Connection") == "Upgrade"
    assert header(link.request, "Sec-WebSocket-Version") == "13"
    assert header(link.request, "User-Agent").startswith("aiowebsocket/")
    assert header(link.request, "Origin") is None
    assert header(link.request, "Sec-WebSocket-Protocol") is None
    assert len(header(link.request, "Sec-WebSocket-Key")) == 24
    assert link.ws.subprotocol is None
    assert link.ws.response.headers["Upgrade"] == "websocket"


async def test_header_lines_keep_order_and_spelling(server):
    given = [("X-One", "1"), ("x-two", "2"), ("X-One", "again"), ("X-THREE", "ü")]
    link = await Link.open(server, headers=given)
    sent = [tuple(line.split(": ", 1)) for line in link.request.split("\r\n")[1:]]
    own = [line for line in sent if line[0].lower().startswith("x-")]
    assert own[0] == ("X-One", "1")
    assert [name for name, _ in own if name != "X-One"] == ["x-two", "X-THREE"]


async def test_header_lines_of_a_mapping(server):
    link = await Link.open(server, headers={"X-One": "1", "X-Two": "2"}, additional_headers={"X-Zero": "0"})
    names = [line.split(":")[0] for line in link.request.split("\r\n") if line.startswith("X-")]
    assert names == ["X-Zero", "X-One", "X-Two"]


async def test_a_default_is_replaced_in_its_place(server):
    plain = (await Link.open(server)).request.split("\r\n")
    link = await Link.open(server, headers={"user-agent": "mine"})
    replaced = link.request.split("\r\n")
    place = [line.lower().startswith("user-agent:") for line in plain].index(True)
    assert replaced[place].lower() == "user-agent: mine"
    assert len(replaced) == len(plain)


@pytest.mark.parametrize("options", [{"headers": {"User-Agent": None}}, {"user_agent_header": None}])
async def test_a_default_is_left_out(server, options):
    link = await Link.open(server, **options)
    assert header(link.request, "User-Agent") is None


async def test_origin_and_user_agent(server):
    link = await Link.open(server, origin="https://example.com", user_agent_header="mine/1")
    assert header(link.request, "Origin") == "https://example.com"
    assert header(link.request, "User-Agent") == "mine/1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-One", "1\r\nX-Two: 2"),
        ("X-One", "1\n2"),
        ("X-One", "1\r2"),
        ("X-One", "1\0"),
        ("X-One\r\nX-Two", "1"),
        ("X One", "1"),
        ("X:One", "1"),
        ("", "1"),
        ("Sec-WebSocket-Key", "mine"),
        ("Sec-WebSocket-Version", "8"),
        ("Upgrade", "h2c"),
        ("Connection", "close"),
    ],
)
def test_header_lines_that_are_refused(name, value):
    with pytest.raises(ValueError, match=r"\S+ \S+"):
        aiowebsocket.connect("ws://127.0.0.1/", headers=[(name, value)])


@pytest.mark.parametrize("option", ["origin", "user_agent_header"])
def test_options_that_would_be_two_header_lines(option):
    with pytest.raises(ValueError, match=r"\S+ \S+"):
        aiowebsocket.connect("ws://127.0.0.1/", **{option: "a\r\nX-Two: 2"})


async def test_a_secret_header_is_for_one_server(server):
    headers = {"headers": {"X-One": "1"}, "secret_headers": {"X-Api-Key": "secret", "Authorization": "Bearer secret"}}
    with Server(socket.create_server(("127.0.0.1", 0))) as other:
        opening = asyncio.ensure_future(_opened(aiowebsocket.connect(server.uri, **headers)))
        for location in ("/there", other.uri):
            peer = await server.accept()
            head = await peer.head()
            assert header(head, "X-Api-Key") == "secret" and header(head, "Authorization") == "Bearer secret"
            peer.say(f"HTTP/1.1 307 There\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
        peer = await other.accept()
        head = await peer.answer()
        assert header(head, "X-One") == "1"
        assert "secret" not in head and "Api-Key" not in head
        ws = await opening
        peer.shut()
        await ws.wait_closed()


@pytest.mark.parametrize("connect", [aiowebsocket.connect, aiowebsocket.sync.connect])
def test_a_secret_header_that_is_none_is_not_told(connect):
    with pytest.raises(ValueError) as caught:
        connect("ws://127.0.0.1/", secret_headers={"X-Api-Key": "secret\r\n"})
    assert "secret" not in str(caught.value)


# ---- subprotocols


async def test_a_subprotocol(server):
    link = await Link.open(server, subprotocols=["json", "chat"], protocol="chat")
    assert header(link.request, "Sec-WebSocket-Protocol") == "json, chat"
    assert link.ws.subprotocol == "chat"


async def test_a_subprotocol_that_was_not_offered(server):
    with pytest.raises(InvalidHandshake, match='"soap", which was not offered'):
        await Link.open(server, subprotocols=["json"], protocol="soap")


@pytest.mark.parametrize("names", [["two words"], ["a,b"], [""], ["a", "a"]])
def test_subprotocols_that_are_none(names):
    with pytest.raises(ValueError, match=r"\S+ \S+"):
        aiowebsocket.connect("ws://127.0.0.1/", subprotocols=names)


# ---- options of another type

BOTH = pytest.mark.parametrize("connect", [aiowebsocket.connect, aiowebsocket.sync.connect])


@BOTH
def test_subprotocols_that_are_one_word(connect):
    with nobody() as port, pytest.raises(TypeError, match="subprotocols is a list of str"):
        connect(f"ws://127.0.0.1:{port}/", subprotocols="json")


@BOTH
@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("uri", None, TypeError),
        ("headers", {"a": 5}, TypeError),
        ("headers", {5: "a"}, TypeError),
        ("headers", "a: b", TypeError),
        ("headers", 5, TypeError),
        ("headers", ["ab"], TypeError),
        ("headers", [("a", "b", "c")], TypeError),
        ("additional_headers", [5], TypeError),
        ("secret_headers", {"a": 5}, TypeError),
        ("origin", 5, TypeError),
        ("user_agent_header", b"mine", TypeError),
        ("subprotocols", [1], TypeError),
        ("subprotocols", 1, TypeError),
        ("open_timeout", "5", TypeError),
        ("ping_interval", "x", TypeError),
        ("ping_timeout", [], TypeError),
        ("close_timeout", "x", TypeError),
        ("max_size", "1MB", TypeError),
        ("max_size", 1e6, TypeError),
        ("max_size", (1000, 100), TypeError),
        ("max_size", -1, ValueError),
        ("max_size", 1 << 70, ValueError),
        ("receive_window", None, TypeError),
        ("receive_window", -1, ValueError),
        ("send_window", 1 << 70, ValueError),
        ("redirects", None, TypeError),
        ("redirects", -1, ValueError),
        ("redirects", 256, ValueError),
        ("host", 5, TypeError),
        ("port", "80", TypeError),
        ("port", 65536, ValueError),
        ("local_addr", "127.0.0.1", TypeError),
        ("sock", 5, TypeError),
        ("ssl", "yes", TypeError),
        ("tls", True, TypeError),
        ("tls", {}, TypeError),
        ("server_hostname", 5, TypeError),
        ("proxy", 5, TypeError),
        ("logger", 5, TypeError),
        ("on_message", 5, TypeError),
        ("process_exception", 5, TypeError),
        ("reconnect_delays", [1, 2], TypeError),
    ],
)
def test_a_mistake_names_its_option(connect, option, value, error):
    if connect is aiowebsocket.sync.connect and option in ("on_message", "process_exception", "reconnect_delays"):
        pytest.skip("it has none")
    with nobody() as port, pytest.raises(error, match=f"^{option} (is|has) .*(str|int|number|function|pair|None|0 to|TLS)"):
        connect(**{"uri": f"ws://127.0.0.1:{port}/", option: value})


def test_numbers_of_other_kinds_are_numbers():
    from decimal import Decimal

    class Eight:
        def __index__(self):
            return 8

    aiowebsocket.connect("ws://127.0.0.1/", open_timeout=Decimal(5), ping_interval=Eight(), redirects=True, port=0)


# ---- what comes with the response


async def test_a_message_right_behind_the_handshake(server):
    link = await Link.open(server, behind=text("a") + text("b"))
    assert link.ws.recv_nowait() == "a"
    assert await link.ws.recv() == "b"


async def test_a_message_right_behind_the_handshake_can_be_answered(server):
    """Although the peer breaks a rule right behind it: a program that asks at once gets it before that is looked at."""

    async def echo():
        ws = await aiowebsocket.connect(server.uri)
        while True:
            await ws.send(await ws.recv())

    echoing = asyncio.ensure_future(echo())
    peer = await server.accept()
    await peer.answer(behind=text("a") + frame(TEXT, "b", rsv=2))
    echoed = await peer.frame()
    assert (echoed.opcode, echoed.payload) == (TEXT, b"a")
    closing = await peer.frame()
    assert (closing.opcode, closing.code) == (CLOSE, 1002)
    peer.shut()
    with pytest.raises(aiowebsocket.ProtocolError):
        await echoing


async def test_a_ping_right_behind_the_handshake_is_answered(server):
    """Although nobody receives."""
    link = await Link.open(server, behind=text("a") + frame(PING, b"behind"))
    pong = await link.peer.frame()
    assert (pong.opcode, pong.payload) == (PONG, b"behind")
    assert await link.ws.recv() == "a"


async def test_a_close_right_behind_the_handshake(server):
    link = await Link.open(server, behind=text("a") + close(4000, "full"))
    assert await link.ws.recv() == "a"
    assert (await link.peer.frame()).opcode == CLOSE
    link.peer.shut()
    with pytest.raises(aiowebsocket.ConnectionClosedError) as caught:
        await link.ws.recv()
    assert (caught.value.code, caught.value.reason) == (4000, "full")


# ---- failures


async def refused(server, *pieces, then="shut", **options):
    """Connects to a server that answers so: the exception."""
    descriptors = open_descriptors()
    connecting = asyncio.ensure_future(_opened(aiowebsocket.connect(server.uri, **options)))
    peer = await server.accept()
    await peer.head()
    for piece in pieces:
        peer.say(piece)
        await asyncio.sleep(0)
    if then == "shut":
        peer.shut()
    elif then == "reset":
        peer.reset()
    with pytest.raises(Exception) as caught:
        await asyncio.wait_for(connecting, PATIENCE)
    peer.shut()
    assert open_descriptors() == descriptors, "the socket is closed"
    return caught.value


async def _opened(connecting):
    return await connecting


async def test_another_status(server):
    error = await refused(server, b"HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 9\r\n\r\nnot today", then="")
    assert isinstance(error, InvalidStatus)
    assert isinstance(error, InvalidHandshake)
    assert isinstance(error, ConnectionError)
    assert error.status == 403
    assert error.headers == [("x-why", "no"), ("content-length", "9")]
    assert error.body == b"not today"
    assert "403" in str(error)


async def test_another_status_with_a_body_that_ends_with_the_stream(server):
    error = await refused(server, b"HTTP/1.1 503 Busy\r\n\r\n", b"later ", b"please")
    assert (error.status, error.body) == (503, b"later please")


async def test_another_status_before_the_connection_breaks(server):
    """As where a server closes without having read the request."""
    error = await refused(server, b"HTTP/1.1 403 Forbidden\r\n\r\n", b"no", then="reset")
    assert isinstance(error, InvalidStatus)
    assert error.status == 403


async def test_the_body_of_another_status_is_bounded(server):
    error = await refused(server, b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 20_000)
    assert len(error.body) == 16 << 10


async def test_a_redirect_says_where(server):
    error = await refused(server, b"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere/\r\nContent-Length: 0\r\n\r\n", then="", redirects=0)
    assert (error.status, dict(error.headers)["location"]) == (302, "ws://elsewhere/")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.0 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
    ],
)
async def test_a_handshake_that_is_none(server, answer):
    error = await refused(server, answer)
    assert type(error) is InvalidHandshake
    assert "server" in str(error)


async def test_a_head_without_end(server):
    filler = (b"X-Filler: " + b"x" * 8000 + b"\r\n") * 20
    error = await refused(server, b"HTTP/1.1 101 Switching Protocols\r\n" + filler, then="")
    assert type(error) is InvalidHandshake
    assert "larger than" in str(error)


async def test_an_end_instead_of_an_answer(server):
    error = await refused(server)
    assert isinstance(error, InvalidHandshake)
    error = await refused(server, b"HTTP/1.1 101 Swit")
    assert isinstance(error, InvalidHandshake)


async def test_a_reset_instead_of_an_answer(server):
    error = await refused(server, then="reset")
    assert isinstance(error, ConnectionResetError)


async def test_a_connection_that_is_refused():
    with nobody() as port, pytest.raises(ConnectionRefusedError) as caught:
        await aiowebsocket.connect(f"ws://127.0.0.1:{port}/")
    assert caught.value.errno == errno.ECONNREFUSED


def _resolve_with(loop, resolve):
    """What the resolver answers is known; uvloop asks itself again for addresses that are none, which stay as they are."""
    getaddrinfo = loop.getaddrinfo

    async def either(host, port, **options):
        if host.replace(".", "").isdigit():
            return await getaddrinfo(host, port, **options)
        return await resolve(host, port, **options)

    loop.getaddrinfo = either


@pytest.fixture
def link_local(monkeypatch):
    """What the resolver answers for a name that is one on a link: an address that nobody has, and its link."""
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1234:5678", 9, 0, socket.if_nametoindex("lo")))]
    with socket.socket(socket.AF_INET6) as sock:
        if sock.connect_ex(found[0][4][:2]) != errno.EINVAL:
            pytest.skip("a link-local address without its link can be connected to here")
    return found


async def test_a_link_local_address_has_its_link(loop, link_local):
    async def resolve(host, port, **_):
        return link_local

    loop.getaddrinfo = resolve
    with pytest.raises(OSError) as caught:
        await aiowebsocket.connect("ws://printer.example/", open_timeout=1)
    assert caught.value.errno != errno.EINVAL


def test_a_link_local_address_has_its_link_in_threads(loop, link_local, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: link_local)
    with pytest.raises(OSError) as caught:
        aiowebsocket.sync.connect("ws://printer.example/", open_timeout=1)
    assert caught.value.errno != errno.EINVAL


async def test_a_host_with_several_addresses_names_each(loop):
    async def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{number}", port)) for number in (1, 2)]

    _resolve_with(loop, resolve)
    with nobody() as port, pytest.raises(OSError, match=r"127\.0\.0\.1:\d+: .*; 127\.0\.0\.2:\d+: ") as caught:
        await aiowebsocket.connect(f"ws://many.example:{port}/")
    assert caught.value.errno == errno.ECONNREFUSED


async def test_the_next_address_is_tried(loop, server):
    async def resolve(host, port, **_):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    _resolve_with(loop, resolve)
    opening = asyncio.ensure_future(_opened(aiowebsocket.connect(f"ws://many.example:{server.port}/")))
    peer = await server.accept()
    await peer.answer()
    ws = await opening
    peer.shut()
    await ws.wait_closed()


async def test_an_address_that_resets_at_once(loop, server, monkeypatch):
    """Before it is seen that the socket is connected: it names no peer then. The next address is tried."""
    made = []

    async def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{number}", port)) for number in (2, 1)]

    connect = loop.sock_connect

    async def reset_first(sock, address):
        await connect(sock, address)
        made.append(sock)
        if len(made) == 1:
            (await resetting.accept()).reset()
            watched = select.poll()
            watched.register(sock, select.POLLIN)
            assert watched.poll(1000 * PATIENCE)

    _resolve_with(loop, resolve)
    monkeypatch.setattr(loop, "sock_connect", reset_first, raising=False)
    with Server(socket.create_server(("127.0.0.2", server.port))) as resetting:
        opening = asyncio.ensure_future(_opened(aiowebsocket.connect(f"ws://many.example:{server.port}/")))
        peer = await server.accept()
        await peer.answer()
        ws = await opening
    assert made[0].fileno() == -1, "it was closed"
    peer.shut()
    await ws.wait_closed()


async def test_a_host_that_is_none(loop):
    async def resolve(host, port, **_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    _resolve_with(loop, resolve)
    with pytest.raises(socket.gaierror):
        await aiowebsocket.connect("ws://nowhere.invalid/")


# ---- time


async def test_a_server_that_says_nothing(server):
    error = await refused(server, then="", open_timeout=0.3)
    assert isinstance(error, OpenTimeout)
    assert isinstance(error, TimeoutError)
    assert isinstance(error, asyncio.TimeoutError)
    assert isinstance(error, InvalidHandshake)
    assert str(error) == "the connection was not open within its time limit, which ran out during the opening handshake"


async def test_a_server_that_is_too_slow(server):
    """A byte now and then: the limit is on the whole."""
    connecting = asyncio.ensure_future(_opened(aiowebsocket.connect(server.uri, open_timeout=0.3)))
    peer = await server.accept()
    await peer.head()

    async def drip():
        for byte in b"HTTP/1.1 101 Switching Protocols\r\nX-Filler: ":
            peer.say(bytes([byte]))
            await asyncio.sleep(0.02)

    dripping = asyncio.ensure_future(drip())
    with pytest.raises(OpenTimeout):
        await asyncio.wait_for(connecting, PATIENCE)
    dripping.cancel()
    await asyncio.wait([dripping])


async def test_a_server_that_refuses_slowly(server):
    """A refusal whose body never ends is told after a moment: its status is what matters."""
    error = await refused(server, b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf", then="")
    assert isinstance(error, (InvalidStatus, OpenTimeout))
    assert (error.status, error.body) == (500, b"half")


async def test_cancelled(server):
    descriptors = open_descriptors()
    connecting = asyncio.ensure_future(_opened(aiowebsocket.connect(server.uri)))
    peer = await server.accept()
    await peer.head()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert await peer.end() == b""
    peer.shut()
    assert open_descriptors() == descriptors


async def test_no_limit(server):
    link = await Link.open(server, open_timeout=None, close_timeout=None, ping_interval=None, ping_timeout=None, max_size=None)
    link.peer.say(text("a"))
    assert await link.ws.recv() == "a"
    closing = asyncio.ensure_future(link.ws.close())
    await link.peer.finish()
    await closing


@pytest.mark.parametrize("option", ["ping_interval", "ping_timeout", "close_timeout"])
@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_times_that_are_none(server, option, seconds):
    with pytest.raises(ValueError, match=f"^{option} is "):
        await Link.open(server, **{option: seconds})


@pytest.mark.parametrize("option", ["ping_interval", "ping_timeout", "close_timeout", "open_timeout"])
async def test_times_beyond_the_clock(server, option):
    """More than the clock can tell is no limit, and no panic."""
    link = await Link.open(server, **{option: 1e15})
    link.peer.say(text("a"))
    assert await link.ws.recv() == "a"
    closing = asyncio.ensure_future(link.ws.close())
    await link.peer.finish()
    await closing


def test_a_loop_that_is_closed_as_soon_as_dialling_was_cancelled(loop_kind):
    """No socket is left for the collector, which would warn of it."""
    if loop_kind == "transports":
        pytest.skip("a program of its own has a loop of its own")
    code = f"""
        import asyncio, socket, {"uvloop" if loop_kind == "uvloop" else "sys"}
        from aiowebsocket import connect
        # It takes in nobody: what connects to it waits.
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            waiting = [socket.socket() for _ in range(4)]
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(listener.getsockname())
            async def dial():
                await connect("ws://127.0.0.1:%d/" % listener.getsockname()[1])
            loop = {loop_kind}.new_event_loop()
            dialling = loop.create_task(dial())
            loop.run_until_complete(asyncio.sleep(0.2))
            dialling.cancel()
            try:
                loop.run_until_complete(dialling)
            except asyncio.CancelledError:
                loop.close()
            for sock in waiting:
                sock.close()
    """
    status, said, complaints = run_python(code, "-W", "always::ResourceWarning")
    assert (status, said, complaints) == (0, "", "")


# ---- where to


async def test_a_socket_of_the_callers(server):
    sock = socket.create_connection(("127.0.0.1", server.port))
    opening = asyncio.ensure_future(_opened(aiowebsocket.connect("ws://elsewhere.example/path", sock=sock)))
    peer = await server.accept()
    request = await peer.answer()
    ws = await opening
    assert header(request, "Host") == "elsewhere.example"
    assert sock.fileno() == -1, "it belongs to the connection now"
    peer.say(text("a"))
    assert await ws.recv() == "a"
    closing = asyncio.ensure_future(ws.close())
    await peer.finish()
    await closing


async def test_a_socket_of_another_family():
    ours, theirs = socket.socketpair()
    opening = asyncio.ensure_future(_opened(aiowebsocket.connect("ws://unix.example/", sock=ours)))
    peer = Peer(theirs)
    await peer.answer(behind=text("a"))
    ws = await opening
    assert await ws.recv() == "a"
    peer.shut()
    with pytest.raises(aiowebsocket.ConnectionClosedError):
        await ws.recv()


@pytest.mark.parametrize("connect", [aiowebsocket.connect, aiowebsocket.sync.connect])
def test_a_socket_that_is_closed(connect):
    sock = socket.socket()
    sock.close()
    with pytest.raises(ValueError, match="sock is closed"):
        connect("ws://nobody.invalid/", sock=sock)


@pytest.mark.parametrize("connect", [aiowebsocket.connect, aiowebsocket.sync.connect])
def test_a_socket_with_tls_of_its_own(connect):
    """What would leave by its descriptor is in the clear."""
    ours, theirs = socket.socketpair()
    context = ssl.create_default_context()
    with theirs, context.wrap_socket(ours, server_hostname="a", do_handshake_on_connect=False) as sock:
        with pytest.raises(TypeError, match="sock is a socket without TLS"):
            connect("ws://nobody.invalid/", sock=sock)
        assert sock.fileno() >= 0, "it is still the caller's"
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


@pytest.mark.parametrize("connect", [aiowebsocket.connect, aiowebsocket.sync.connect])
@pytest.mark.parametrize("local_addr", [(), ("127.0.0.1",), ("127.0.0.1", "0"), (None, 0), ("127.0.0.1", 65536), ("127.0.0.1", -1)])
def test_a_local_addr_that_is_no_host_and_port(connect, local_addr):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises((TypeError, ValueError), match="local_addr"):
            connect("ws://nobody.invalid/", sock=ours, local_addr=local_addr)
        assert ours.fileno() >= 0, "it is still the caller's"


async def test_host_and_port(server):
    connecting = aiowebsocket.connect("ws://elsewhere.example/", host="127.0.0.1", port=server.port)
    opening = asyncio.ensure_future(_opened(connecting))
    peer = await server.accept()
    assert header(await peer.answer(), "Host") == "elsewhere.example"
    ws = await opening
    peer.shut()
    await ws.wait_closed()


async def test_local_addr(server):
    link = await Link.open(server, local_addr=("127.0.0.3", 0))
    assert link.peer.sock.getpeername()[0] == "127.0.0.3"


async def test_a_local_addr_that_is_none_of_ours(server):
    with pytest.raises(OSError):
        await aiowebsocket.connect(server.uri, local_addr=("192.0.2.1", 0))


async def test_small_messages_leave_at_once(link):
    sock = socket.socket(fileno=link.ws.fileno())
    try:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        sock.detach()


# ---- the ways to open


async def test_async_with(server):
    async def talk():
        async with aiowebsocket.connect(server.uri) as ws:
            assert ws.is_open
            return ws

    talking = asyncio.ensure_future(talk())
    peer = await server.accept()
    await peer.answer()
    assert (await peer.finish()).code == 1000
    ws = await talking
    assert ws.is_closed and not ws.is_open


async def test_async_with_and_an_exception(server):
    async def talk():
        async with aiowebsocket.connect(server.uri):
            raise KeyError("in the block")

    talking = asyncio.ensure_future(talk())
    peer = await server.accept()
    await peer.answer()
    await peer.finish()
    with pytest.raises(KeyError, match="in the block"):
        await talking


async def test_async_with_an_open_connection(link):
    async def talk():
        async with link.ws as ws:
            assert ws is link.ws

    talking = asyncio.ensure_future(talk())
    await link.peer.finish()
    await talking
    assert link.ws.is_closed


async def test_a_socket_that_is_connected_to_itself():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError, match="itself"):
        await aiowebsocket.connect(f"ws://127.0.0.1:{port}/", local_addr=("127.0.0.1", port))


async def test_connect_opens_another_connection_each_time(server):
    connecting = aiowebsocket.connect(server.uri, headers=iter([("X-Kept", "yes")]), subprotocols=iter(["json"]))
    keys = set()
    for _ in range(2):
        opening = asyncio.ensure_future(_opened(connecting))
        peer = await server.accept()
        await peer.answer()
        ws = await opening
        assert ws.request.headers["X-Kept"] == "yes"
        assert ws.request.headers["Sec-WebSocket-Protocol"] == "json"
        keys.add(ws.request.headers["Sec-WebSocket-Key"])
        peer.shut()
        await ws.wait_closed()
    assert len(keys) == 2, "RFC 6455 4.1: a key for each connection"


async def test_repr(link):
    assert repr(link.ws).startswith(f"<aiowebsocket.WebSocket open fd={link.ws.fileno()} ")
    closing = asyncio.ensure_future(link.ws.close())
    await asyncio.sleep(0)
    assert repr(link.ws).startswith("<aiowebsocket.WebSocket closing ")
    await link.peer.finish()
    await closing
    assert repr(link.ws).startswith("<aiowebsocket.WebSocket closed fd=-1 ")
