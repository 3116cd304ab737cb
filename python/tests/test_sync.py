"""`aiowebsocket.sync`: the connection of programs with threads, against peers on threads of their own that say exact bytes."""

import contextlib
import logging
import socket
import ssl
import threading
import time
import warnings

import pytest
import trustme

import aiowebsocket
from aiowebsocket import TLS, ConnectionClosedError, sync
from aiowebsocket.sync import connect
from support import BINARY, CLOSE, CONTINUATION, PATIENCE, PING, PONG, TEXT, Frame, accept_value, close, frame, nobody, run_python, text, unmasked
from tls import Server as TlsServer, server_context


@pytest.fixture(autouse=True)
def once(loop_kind):
    if loop_kind != "asyncio":
        pytest.skip("there is no event loop in it")


class Peer:
    """The server's end of a connection, in a thread that may wait."""

    def __init__(self, sock):
        sock.settimeout(PATIENCE)
        self.sock = sock

    def say(self, *pieces):
        self.sock.sendall(b"".join(pieces))

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            assert more, "the stream ended early"
            data += more
        return data

    def head(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.exactly(1)
        return head.decode()

    def answer(self, *lines, behind=b""):
        request = self.head()
        head = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_value(request)}",
            *lines,
        ]
        self.say("\r\n".join([*head, "", ""]).encode(), behind)
        return request

    def frame(self):
        first, second = self.exactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(self.exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(self.exactly(8), "big")
        key = self.exactly(4)
        return Frame(first & 15, unmasked(self.exactly(size), key), bool(first & 0x80), first >> 4 & 7, key)

    def end(self):
        """Reads until the client ends its stream, or breaks it."""
        with contextlib.suppress(ConnectionError):
            while self.sock.recv(1 << 16):
                pass


def echo(peer, *lines):
    """Echoes until the client closes."""
    peer.answer(*lines)
    while True:
        came = peer.frame()
        if came.opcode != PONG:
            peer.say(frame(PONG if came.opcode == PING else came.opcode, came.payload, fin=came.fin))
        if came.opcode == CLOSE:
            return


class Serving:
    """Serves one connection with a function, on a thread; what went wrong there is raised at the end."""

    def __init__(self, serve):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.uri = f"ws://127.0.0.1:{self.port}/feed"
        self._serve = serve
        self._error = None
        self.said = None
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            sock, _ = self._listener.accept()
            with sock:
                self.said = self._serve(Peer(sock))
        except BaseException as error:
            self._error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *raised):
        self._listener.close()
        if raised[0] is None:
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive(), "the peer waits for something"
            if self._error is not None:
                raise self._error


def answered(behind=b"", then=Peer.end):
    """A peer that opens the connection, says this right behind, and then does that."""

    def serve(peer):
        peer.answer(behind=behind)
        return then(peer)

    return Serving(serve)


class Thread(threading.Thread):
    """A thread whose result is asked for."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self._call = function, arguments
        self._outcome = None
        self.start()

    def run(self):
        function, arguments = self._call
        try:
            self._outcome = function(*arguments), None
        except BaseException as error:
            self._outcome = None, error

    def result(self):
        self.join(PATIENCE)
        assert not self.is_alive(), "it waits"
        value, error = self._outcome
        if error is not None:
            raise error
        return value


def a_moment():
    """As long as it takes until another thread waits in a call."""
    time.sleep(0.05)


# ---- messages


def test_messages_come_back():
    with Serving(echo) as server:
        with connect(server.uri) as ws:
            for message in ["", "hello", "ünïcödé ✓ 🎈", b"", b"\x00\xff", "x" * 100_000, b"y" * 3_000_000]:
                ws.send(message)
                assert ws.recv() == message
            ws.send(bytearray(b"mutable"))
            assert ws.recv() == b"mutable"
            ws.send(b"as text", text=True)
            assert ws.recv() == "as text"
            ws.send("as bytes", text=False)
            assert ws.recv() == b"as bytes"
            assert ws.messages_sent == ws.messages_received == 10
            assert ws.bytes_sent > 3_100_000 and ws.bytes_received > 3_100_000
            assert ws.state is aiowebsocket.State.OPEN
        assert (ws.close_code, ws.close_reason) == (1000, "")
        assert ws.state is aiowebsocket.State.CLOSED


def test_what_cannot_be_sent():
    with Serving(echo) as server, connect(server.uri) as ws:
        with pytest.raises(TypeError, match="str or bytes-like"):
            ws.send(1)
        with pytest.raises(TypeError, match="dict"):
            ws.send({"a": 1})
        with pytest.raises(UnicodeError):
            ws.send(b"\xff", text=True)
        with pytest.raises(UnicodeEncodeError):
            ws.send("\ud800")


def test_decode_and_what_cannot_be_decoded():
    with answered(text("ü") + frame(BINARY, b"b") + frame(BINARY, b"\xff") + close(1000), Peer.frame) as server:
        with connect(server.uri) as ws:
            assert ws.recv(decode=False) == "ü".encode()
            assert ws.recv(decode=True) == "b"
            with pytest.raises(UnicodeDecodeError):
                ws.recv(decode=True)
            assert ws.recv() == b"\xff", "it is the next one again"


def test_a_feed_is_iterated_until_its_end():
    with answered(text("a") + text("b") + close(1001, "away"), Peer.frame) as server, connect(server.uri) as ws:
        assert list(ws) == ["a", "b"]
        assert (ws.close_code, ws.close_reason) == (1001, "away")
        with pytest.raises(aiowebsocket.ConnectionClosedOK, match="1001.*away"):
            ws.recv()
        with pytest.raises(aiowebsocket.ConnectionClosedOK):
            ws.send("late")
    with answered(text("a") + close(1011, "broken"), Peer.frame) as server, connect(server.uri) as ws:
        with pytest.raises(aiowebsocket.ConnectionClosedError) as raised:
            list(ws)
        assert (raised.value.code, raised.value.reason) == (1011, "broken")


def test_ends_have_the_exceptions_of_the_other_face():
    def reset(peer):
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with answered(then=lambda peer: None) as server, connect(server.uri) as ws:
        with pytest.raises(aiowebsocket.ConnectionClosedError, match="without a Close frame") as raised:
            ws.recv()
        assert raised.value.code == ws.close_code == 1006
    with answered(then=reset) as server, connect(server.uri) as ws:
        with pytest.raises(aiowebsocket.ConnectionClosedError) as raised:
            ws.recv()
        assert isinstance(raised.value.__cause__, ConnectionResetError)
    with answered(frame(TEXT, b"\xff"), Peer.frame) as server, connect(server.uri) as ws:
        with pytest.raises(aiowebsocket.ProtocolError) as raised:
            ws.recv()
        assert raised.value.code == 1007
    assert server.said.code == 1007
    with answered(frame(BINARY, b"12345"), Peer.frame) as server, connect(server.uri, max_size=4) as ws:
        with pytest.raises(aiowebsocket.ProtocolError, match="4"):
            ws.recv()
    assert server.said.code == 1009


def test_a_silent_server_is_noticed():
    with answered() as server, connect(server.uri, ping_interval=0.1, ping_timeout=0.15, close_timeout=0.1) as ws:
        with pytest.raises(aiowebsocket.ConnectionClosedError, match="silent") as raised:
            ws.recv()
        assert isinstance(raised.value.__cause__, TimeoutError)


# ---- time


def test_a_time_limit_loses_nothing():
    whole = text("in two pieces")
    go_on = threading.Event()

    def late(peer):
        peer.say(whole[:5])
        assert go_on.wait(PATIENCE)
        peer.say(whole[5:])
        peer.frame()

    with answered(then=late) as server, connect(server.uri, close_timeout=0.1) as ws:
        for limit in (0.05, 0, -1):
            with pytest.raises(aiowebsocket.ReceiveTimeout, match=f"within {limit} seconds"):
                ws.recv(limit)
        with pytest.raises(TimeoutError):
            ws.recv(timeout=0.01)
        with pytest.raises(ValueError, match="timeout is nan,"):
            ws.recv(timeout=float("nan"))
        go_on.set()
        assert ws.recv(timeout=PATIENCE) == "in two pieces"


def test_a_mistake_names_its_argument():
    with answered(then=lambda peer: peer.say(frame(CLOSE, peer.frame().payload))) as server, connect(server.uri) as ws:
        for call, error, told in [
            (lambda: ws.close("a"), TypeError, "code is an int, and this is str"),
            (lambda: ws.close(1000, 1), TypeError, "reason is a str, and this is int"),
            (lambda: ws.recv("a"), TypeError, "timeout is a number or None"),
            (lambda: ws.recv(timeout=float("nan")), ValueError, "timeout is nan, and no number of seconds"),
            (lambda: ws.recv(timeout=-1), aiowebsocket.ReceiveTimeout, "no message came within -1 seconds"),
            *((lambda code=code: ws.close(code), ValueError, f"the close code {code} must not be sent; use 1000-1003, 1007-1014 or 3000-4999")
              for code in (-1, 999, 1005, 70_000)),
        ]:
            with pytest.raises(error) as caught:
                call()
            assert str(caught.value) == told
        assert ws.is_open


def test_ping_gives_the_round_trip():
    with Serving(echo) as server, connect(server.uri) as ws:
        assert ws.latency == 0
        seconds = ws.ping()
        assert 0 < seconds < PATIENCE
        assert ws.latency == seconds


def test_pings_are_answered_while_a_call_waits():
    def pings(peer):
        peer.say(frame(PING, b"alive?"))
        pong = peer.frame()
        peer.say(text("yes"))
        return pong

    with answered(then=pings) as server, connect(server.uri, close_timeout=0.1) as ws:
        assert ws.recv() == "yes"
    assert (server.said.opcode, server.said.payload) == (PONG, b"alive?")


# ---- parts


def test_a_message_is_sent_and_received_in_parts():
    def serve(peer):
        peer.answer()
        frames = [peer.frame() for _ in range(3)]
        peer.say(frame(TEXT, "ü".encode()[:1], fin=False))
        peer.frame()
        peer.say(frame(CONTINUATION, "ü".encode()[1:] + b"!"), frame(BINARY, b"whole"))
        peer.end()
        return frames

    with Serving(serve) as server, connect(server.uri, compression=None, close_timeout=0.1) as ws:
        ws.send(part for part in ["a", "b", "c"])
        parts = ws.recv_streaming()
        ws.send("go on")
        assert list(parts) == ["ü!"]
        assert list(ws.recv_streaming()) == [b"whole"]
    assert [(part.opcode, part.payload, part.fin) for part in server.said] == [
        (TEXT, b"a", False),
        (CONTINUATION, b"b", False),
        (CONTINUATION, b"c", True),
    ]


def test_half_a_character_waits_for_the_call_that_takes_its_other_half():
    def serve(peer):
        peer.answer()
        peer.say(frame(TEXT, "aü".encode()[:2], fin=False))
        peer.frame()
        peer.say(frame(CONTINUATION, "ü".encode()[1:]))
        peer.end()

    with Serving(serve) as server, connect(server.uri, compression=None, close_timeout=0.1) as ws:
        parts = ws.recv_streaming()
        assert next(parts) == "a"
        parts.close()
        ws.send("go on")
        assert list(ws.recv_streaming()) == ["ü"]


def test_recv_in_the_middle_of_parts_is_refused():
    with answered(frame(BINARY, b"a", fin=False), Peer.frame) as server, connect(server.uri, close_timeout=0.1) as ws:
        parts = ws.recv_streaming()
        assert next(parts) == b"a"
        with pytest.raises(aiowebsocket.ConcurrencyError, match="in parts"):
            ws.recv()


def test_others_wait_until_a_message_in_parts_is_whole():
    begun, go_on = threading.Event(), threading.Event()

    def parts():
        yield "a"
        yield "b"
        begun.set()
        assert go_on.wait(PATIENCE)
        yield "c"

    def serve(peer):
        peer.answer()
        return [peer.frame().payload for _ in range(4)]

    with Serving(serve) as server, connect(server.uri, compression=None, close_timeout=0.1) as ws:
        sending = Thread(ws.send, parts())
        assert begun.wait(PATIENCE)
        other = Thread(ws.send, "between")
        a_moment()
        assert other.is_alive()
        go_on.set()
        sending.result()
        other.result()
    assert server.said == [b"a", b"b", b"c", b"between"]


def test_parts_that_fail_close_the_connection():
    def parts():
        yield "a"
        yield "b"
        raise KeyError("mine")

    def own(ws):
        yield "a"
        yield "b"
        ws.send("in between")

    def closes(peer):
        while (came := peer.frame()).opcode != CLOSE:
            pass
        peer.say(close(1011))
        return came

    for given, raised in [(lambda ws: parts(), KeyError), (own, RuntimeError), (lambda ws: ["a", b"b"], TypeError)]:
        with answered(then=closes) as server, connect(server.uri) as ws:
            with pytest.raises(raised):
                ws.send(given(ws))
            assert ws.close_code == 1011
        assert server.said.code == 1011


def test_who_sends_behind_a_failure_is_told_of_it():
    may_answer = threading.Event()

    def closes(peer):
        while peer.frame().opcode != CLOSE:
            pass
        failed.set()
        assert may_answer.wait(PATIENCE)
        peer.say(close(1011))

    failed = threading.Event()
    with answered(then=closes) as server, connect(server.uri) as ws:
        failing = Thread(lambda: pytest.raises(TypeError, ws.send, ["a", b"b"]))
        assert failed.wait(PATIENCE)
        for call in (lambda: ws.send("x"), ws.ping):
            with pytest.raises(ConnectionClosedError, match=r"^a message could not be completed \(1011\)$"):
                call()
        may_answer.set()
        failing.join()
        with pytest.raises(ConnectionClosedError, match="1011"):
            ws.send("x")


# ---- threads


def test_one_receives_while_four_send():
    def serve(peer):
        peer.answer()
        for _ in range(4 * 200):
            came = peer.frame()
            peer.say(frame(came.opcode, came.payload))
        assert peer.frame().opcode == CLOSE
        peer.say(close(1000))

    with Serving(serve) as server, connect(server.uri, compression=None) as ws:
        def send(sender):
            for number in range(200):
                ws.send(f"{sender} {number} " + "x" * (50_000 if number % 50 == 0 else number))

        senders = [Thread(send, sender) for sender in range(4)]
        following = [0] * 4
        for _ in range(4 * 200):
            sender, number, _ = ws.recv(timeout=PATIENCE).split(" ")
            assert int(number) == following[int(sender)]
            following[int(sender)] += 1
        for sender in senders:
            sender.result()


def test_close_from_another_thread_ends_a_waiting_recv():
    with Serving(echo) as server:
        ws = connect(server.uri)
        receivers = [Thread(lambda: pytest.raises(aiowebsocket.ConnectionClosedOK, ws.recv)) for _ in range(2)]
        iterating = Thread(list, ws)
        a_moment()
        ws.close(1000, "enough")
        for receiver in receivers:
            receiver.result()
        assert iterating.result() == []
        assert ws.close_code == 1000
        ws.close()


def test_the_interpreter_is_free_while_a_call_waits():
    """A thread in `recv` and one that opens hold nothing that another one needs."""
    with answered() as server, Serving(Peer.end) as silent:
        ws = connect(server.uri, close_timeout=0.1)
        receiving = Thread(lambda: pytest.raises(aiowebsocket.ConnectionClosed, ws.recv))
        opening = Thread(lambda: pytest.raises(aiowebsocket.OpenTimeout, connect, silent.uri, open_timeout=0.3))
        a_moment()
        count = 0
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            count += 1
        assert count > 1000
        assert receiving.is_alive()
        opening.result()
        ws.close()
        receiving.result()


# ---- signals


SIGNALS = """
    import signal, sys, threading, time, os
    from aiowebsocket.sync import connect
    from test_sync import answered, text, Peer, PATIENCE, echo, Serving

    # A shell has what it starts in the background ignore the key.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupts(after):
        def kill():
            time.sleep(after)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=kill, daemon=True).start()
"""


def test_ctrl_c_ends_a_waiting_recv_and_loses_nothing():
    code = SIGNALS + """
    go_on = threading.Event()
    def late(peer):
        whole = text("not lost")
        peer.say(whole[:4])
        assert go_on.wait(PATIENCE)
        peer.say(whole[4:])
        peer.frame()

    with answered(then=late) as server, connect(server.uri, close_timeout=0.1) as ws:
        interrupts(0.2)
        begun = time.monotonic()
        try:
            ws.recv()
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - begun < PATIENCE / 2)
        go_on.set()
        print(ws.recv())
    """
    assert run_python(code) == (0, "interrupted True\nnot lost\n", "")


def test_ctrl_c_while_a_message_is_taken_loses_nothing():
    """It comes when `recv` has a message and waits for the interpreter's lock, to return."""
    code = SIGNALS + """
    import ctypes
    # Who has the lock gives it away when it waits for something, and not before. A function of a `PyDLL` keeps it.
    sys.setswitchinterval(1000)
    said = text("not lost")
    send = ctypes.PyDLL(None).send
    def busy(peer):
        time.sleep(0.2)
        send(peer.sock.fileno(), said, len(said), 0)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass
        os.kill(os.getpid(), signal.SIGINT)
        peer.say(text("next"))
        peer.frame()

    with answered(then=busy) as server, connect(server.uri, close_timeout=0.1) as ws:
        try:
            print(ws.recv())
        except KeyboardInterrupt:
            print("interrupted")
        print(ws.recv())
        print(ws.recv())
    """
    assert run_python(code) == (0, "interrupted\nnot lost\nnext\n", "")


def test_ctrl_c_while_an_ssl_context_is_at_work_breaks_nothing():
    """It comes when bytes were read and OpenSSL is to open them: Python calls the handler there, and not what is wrong with the bytes."""
    code = SIGNALS + """
    import ctypes, socket, ssl, trustme
    from support import accept_value
    from tls import server_context
    sys.setswitchinterval(1000)
    send = ctypes.PyDLL(None).send
    authority = trustme.CA()
    context = server_context(authority)

    def serve():
        sock, _ = listener.accept()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        engine = context.wrap_bio(incoming, outgoing, server_side=True)
        def until_done(call):
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(1 << 16))
        until_done(engine.do_handshake)
        head = b""
        while not head.endswith(bytes([13, 10, 13, 10])):
            head += until_done(lambda: engine.read(1 << 16))
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Accept: " + accept_value(head.decode()), "", ""]
        engine.write((chr(13) + chr(10)).join(lines).encode())
        sock.sendall(outgoing.read())
        time.sleep(0.2)
        engine.write(text("not lost"))
        sealed = outgoing.read()
        send(sock.fileno(), sealed, len(sealed), 0)
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            pass
        os.kill(os.getpid(), signal.SIGINT)
        engine.write(text("next"))
        sock.sendall(outgoing.read())
        sock.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as listener, authority.cert_pem.tempfile() as ca_file:
        threading.Thread(target=serve, daemon=True).start()
        uri = f"wss://127.0.0.1:{listener.getsockname()[1]}/"
        with connect(uri, ssl=ssl.create_default_context(cafile=ca_file), close_timeout=0.1) as ws:
            try:
                print(ws.recv())
            except KeyboardInterrupt:
                print("interrupted")
            print(ws.recv())
            print(ws.recv())
    """
    assert run_python(code) == (0, "interrupted\nnot lost\nnext\n", "")


def test_ctrl_c_reaches_the_main_thread_behind_another_one():
    """Another thread waits for the socket when the main thread comes to wait too."""
    code = SIGNALS + """
    with answered() as server:
        ws = connect(server.uri, close_timeout=0.1)
        def receive():
            try:
                ws.recv()
            except Exception as error:
                print(type(error).__name__)
        other = threading.Thread(target=receive)
        other.start()
        time.sleep(0.1)
        interrupts(0.2)
        try:
            ws.recv(timeout=PATIENCE)
        except KeyboardInterrupt:
            print("interrupted", other.is_alive())
        ws.close()
        other.join()
    """
    assert run_python(code) == (0, "interrupted True\nConnectionClosedError\n", "")


def test_a_handler_that_raises_nothing_interrupts_nothing():
    code = SIGNALS + """
    calls = []
    signal.signal(signal.SIGINT, lambda *_: calls.append(ws.is_open))
    def later(peer):
        time.sleep(0.4)
        peer.say(text("later"))
        peer.frame()
    with answered(then=later) as server, connect(server.uri, close_timeout=0.1) as ws:
        interrupts(0.1)
        print(ws.recv(), calls)
    """
    assert run_python(code) == (0, "later [True]\n", "")


def test_ctrl_c_while_it_opens_and_while_it_sends():
    code = SIGNALS + """
    with Serving(Peer.end) as silent:
        interrupts(0.2)
        try:
            connect(silent.uri)
        except KeyboardInterrupt:
            print("opening")
    with answered(then=lambda peer: time.sleep(1)) as server:
        ws = connect(server.uri, compression=None, close_timeout=0.1)
        interrupts(0.3)
        try:
            while True:
                ws.send(b"x" * 1_000_000)
        except KeyboardInterrupt:
            print("sending", ws.queued > 0)
        ws.close()
    """
    assert run_python(code) == (0, "opening\nsending True\n", "")


# ---- opening


def test_what_is_asked_for_and_answered():
    lines = "Sec-WebSocket-Protocol: json", "X-Cookie: a", "X-Cookie: b"

    def serve(peer):
        request = peer.answer(*lines)
        peer.end()
        return request

    with Serving(serve) as server:
        ws = connect(
            server.uri,
            headers={"X-Client": "mine", "User-Agent": None},
            secret_headers={"X-Api-Key": "hunter2"},
            origin="https://example.com",
            subprotocols=["json", "cbor"],
            close_timeout=0.1,
        )
        assert ws.subprotocol == "json"
        assert ws.compression is None and ws.tls is None
        assert ws.request.path == "/feed"
        assert ws.request.headers["X-Client"] == "mine" and "User-Agent" not in ws.request.headers
        assert ws.request.headers["X-Api-Key"] == "hunter2" and "hunter2" not in repr(ws.request)
        assert ws.response.status_code == 101
        assert ws.response.headers.get_all("x-cookie") == ["a", "b"]
        assert ws.remote_address == ("127.0.0.1", server.port)
        with socket.socket(fileno=ws.fileno()) as sock:
            assert sock.getsockname() == ws.local_address
            sock.detach()
        assert "open" in repr(ws)
        ws.close()
        assert "closed" in repr(ws)
    assert "Origin: https://example.com\r\n" in server.said


def test_mistakes_and_refusals_have_the_exceptions_of_the_other_face():
    with pytest.raises(aiowebsocket.InvalidURI):
        connect("http://127.0.0.1/")
    with pytest.raises(ValueError, match="Upgrade"):
        connect("ws://127.0.0.1/", headers={"Upgrade": "other"})
    with pytest.raises(ValueError, match="open_timeout"):
        connect("ws://127.0.0.1/", open_timeout=-1)
    with pytest.raises(aiowebsocket.InvalidProxy):
        connect("ws://127.0.0.1/", proxy="gopher://127.0.0.1")
    with pytest.raises(ValueError, match="ssl"):
        connect("ws://127.0.0.1/", ssl=ssl.create_default_context())
    with nobody() as port, pytest.raises(ConnectionRefusedError, match=f"127.0.0.1:{port}"):
        connect(f"ws://127.0.0.1:{port}/")
    with pytest.raises(socket.gaierror):
        connect("ws://nobody.invalid/")

    def refuses(peer):
        peer.head()
        peer.say(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 13\r\n\r\nlater, please")

    with Serving(refuses) as server:
        with pytest.raises(aiowebsocket.InvalidStatus) as raised:
            connect(server.uri)
    assert (raised.value.status, raised.value.body) == (503, b"later, please")
    assert raised.value.response.headers["Retry-After"] == "7"
    with Serving(lambda peer: peer.say(b"not HTTP at all\r\n\r\n")) as server:
        with pytest.raises(aiowebsocket.InvalidHandshake):
            connect(server.uri)


def test_a_name_that_takes_too_long_is_given_up(monkeypatch):
    go_on = threading.Event()

    def slow(*_):
        assert go_on.wait(PATIENCE)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(aiowebsocket.OpenTimeout, match="looking the host name up"):
        connect("ws://slow.invalid/", open_timeout=0.1)
    go_on.set()


def test_sockets_hosts_and_local_addresses():
    with Serving(echo) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        local = sock.getsockname()
        with connect("ws://nobody.invalid/", sock=sock) as ws:
            assert sock.fileno() == -1
            assert ws.local_address == local
            ws.send("mine")
            assert ws.recv() == "mine"
    with Serving(echo) as server:
        with connect("ws://nobody.invalid/", host="127.0.0.1", port=server.port, local_addr=("127.0.0.2", 0)) as ws:
            assert ws.local_address[0] == "127.0.0.2"
            assert ws.request.headers["Host"] == "nobody.invalid"
    ours, theirs = socket.socketpair()

    def local(peer):
        with peer.sock:
            echo(peer)

    peer = Thread(local, Peer(theirs))
    with connect("ws://nobody.invalid/", sock=ours) as ws:
        ws.send("local")
        assert ws.recv() == "local"
        assert ws.remote_address is None
    peer.result()


def test_a_proxy_and_a_redirect(monkeypatch):
    def proxy(peer):
        head = peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
        echo(peer)
        return head

    with Serving(proxy) as server:
        with connect("ws://feed.invalid/", proxy=f"http://me:secret@127.0.0.1:{server.port}") as ws:
            ws.send("through")
            assert ws.recv() == "through"
    assert server.said.startswith("CONNECT feed.invalid:80 ") and "Proxy-Authorization" in server.said
    with Serving(proxy) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        connect("ws://feed.invalid/").close()
        monkeypatch.delenv("http_proxy")
    with Serving(echo) as there:

        def redirects(peer):
            peer.head()
            peer.say(f"HTTP/1.1 307 There\r\nLocation: {there.uri}\r\nContent-Length: 0\r\n\r\n".encode())

        with Serving(redirects) as server, connect(server.uri, headers={"X-One": "1"}, secret_headers={"X-Two": "2"}) as ws:
            assert ws.remote_address[1] == there.port
            assert "X-One" in ws.request.headers and "X-Two" not in ws.request.headers


def test_compression():
    def deflates(peer):
        peer.answer("Sec-WebSocket-Extensions: permessage-deflate")
        came = peer.frame()
        # What a client may always do: give it back as it came.
        peer.say(frame(came.opcode, came.payload, rsv=came.rsv))
        plain = peer.frame()
        peer.end()
        return came, plain

    with Serving(deflates) as server, connect(server.uri, close_timeout=0.1) as ws:
        assert ws.compression == "permessage-deflate"
        said = "the same again and again " * 20
        ws.send(said)
        assert ws.recv() == said
        ws.send(said, plain=True)
    came, plain = server.said
    assert came.rsv == 4 and len(came.payload) < 100
    assert plain.rsv == 0 and plain.payload == said.encode()
    with pytest.raises(ValueError, match="compression"):
        connect("ws://127.0.0.1/", compression="gzip")


def test_the_log_tells_opening_and_end(caplog):
    caplog.set_level(logging.DEBUG, "aiowebsocket")
    with Serving(echo) as server, connect(server.uri):
        pass
    told = [record.getMessage() for record in caplog.records]
    assert any("is open" in line for line in told)
    assert any("ended: 1000" in line for line in told)
    assert len(told) >= 4, told


def test_what_is_left_open_is_told():
    with answered() as server:
        ws = connect(server.uri)
        with pytest.warns(ResourceWarning, match="unclosed connection"):
            del ws
    with Serving(echo) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        with connect(server.uri) as ws:
            pass
        del ws


# ---- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = trustme.CA()
    authority.file = str(tmp_path_factory.mktemp("tls") / "ca.pem")
    authority.cert_pem.write_to_path(authority.file)
    return authority


@pytest.mark.parametrize("engine", ["tls", "ssl"])
async def test_wss_by_either_engine(authority, engine):
    import asyncio

    context = ssl.create_default_context(cafile=authority.file)
    how = {"tls": {"tls": TLS(ca_file=authority.file)}, "ssl": {"ssl": context}}[engine]

    def talk(uri):
        with connect(uri, **how) as ws:
            assert ws.tls.startswith("TLSv1.3")
            receiver = Thread(lambda: [ws.recv() for _ in range(21)])
            senders = [Thread(lambda: [ws.send("x" * size) for size in (0, 1, 1000, 70_000, 300_000)]) for _ in range(4)]
            for sender in senders:
                sender.result()
            ws.send("last")
            assert len(receiver.result()) == 21
            assert ws.ping() < PATIENCE
        assert ws.close_code == 1000

    async with TlsServer(server_context(authority)) as server:
        with pytest.raises(aiowebsocket.CertificateError):
            await asyncio.to_thread(connect, server.uri)
        with pytest.raises(aiowebsocket.CertificateError):
            await asyncio.to_thread(connect, server.uri, server_hostname="elsewhere.example", **how)
        await asyncio.to_thread(talk, server.uri)
        # What the certificate has, whatever the address says.
        named = f"wss://elsewhere.example:{server.port}/"
        ws = await asyncio.to_thread(connect, named, host="127.0.0.1", server_hostname="localhost", **how)
        await asyncio.to_thread(ws.close)


def test_it_is_loaded_on_demand():
    code = "import sys, aiowebsocket; print('aiowebsocket.sync' in sys.modules)"
    assert run_python(code)[:2] == (0, "False\n")
    assert sync.__all__ == ["WebSocket", "connect"]
