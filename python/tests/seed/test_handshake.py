"""The request: which lines, in which order and spelling."""

from __future__ import annotations

import base64

import pytest

from aiowebsocket import AioWebSocket
from aiowebsocket.exceptions import InvalidHandshake

from .peer import Peer, serving

#: A key copied from somewhere, which must not be used.
COPIED = "RmDgZzaqqvC4hGlWBsEmwQ=="


def request(run, headers: object = None, union_header: object = None, path: str = "/chat?a=1") -> tuple[list[str], str]:
    """The lines that the server sees, with KEY for the key and HOST for its address; and the key."""
    seen: list[str] = []

    async def play(peer: Peer) -> None:
        seen.extend(peer.lines)
        await peer.answer_close()

    async def main() -> str:
        async with serving(play) as uri, AioWebSocket(uri + path, headers=headers, union_header=union_header):
            return uri.removeprefix("ws://")

    host = run(main())
    (key,) = [line.partition(":")[2].strip() for line in seen if line.lower().startswith("sec-websocket-key:")]
    assert len(base64.b64decode(key)) == 16
    return [line.replace(host, "HOST").replace(key, "KEY") for line in seen], key


REST = ["Connection: Upgrade", "Upgrade: websocket"]
END = ["Sec-WebSocket-Key: KEY", "Sec-WebSocket-Version: 13"]


def test_by_default(run) -> None:
    lines, key = request(run)
    assert lines[:4] == ["GET /chat?a=1 HTTP/1.1", "Host: HOST", *REST]
    assert lines[4].startswith("User-Agent: aiowebsocket/")
    assert lines[5:] == ["Origin: http://HOST", *END]
    assert key != request(run)[1]


def test_a_list_with_the_request_line(run) -> None:
    headers = [
        "GET /ajaxchattest?x=a:b HTTP/1.1",
        "connection: keep-alive, Upgrade",
        "X-B:  2 ",
        "X-A:1",
        f"Sec-WebSocket-Key: {COPIED}",
        "x-B: again: and again",
        "HOST: virtual.example:81",
        "Upgrade: WebSocket",
        "Sec-WebSocket-Version: 13",
    ]
    lines, key = request(run, headers)
    assert key != COPIED
    assert lines == [
        "GET /ajaxchattest?x=a:b HTTP/1.1",
        "connection: keep-alive, Upgrade",
        "X-B: 2",
        "X-A: 1",
        "Sec-WebSocket-Key: KEY",
        "x-B: again: and again",
        "HOST: virtual.example:81",
        "Upgrade: WebSocket",
        "Sec-WebSocket-Version: 13",
    ]


@pytest.mark.parametrize(
    "headers",
    [
        ["X-A: 1", "x-b: 2"],
        ["X-A: 1", "x-b: 2", "\r\n"],
        ["X-A: 1", "x-b: 2\r\n"],
        ["X-A: 1", "x-b: 2", "", ""],
        {"X-A": "1", "x-b": 2},
        [("X-A", 1), ("x-b", "2")],
        (("X-A", "1"), ("x-b", "2")),
    ],
)
def test_what_is_missing_is_added(run, headers: object) -> None:
    lines, _ = request(run, headers)
    assert lines == ["GET /chat?a=1 HTTP/1.1", "Host: HOST", "X-A: 1", "x-b: 2", *REST, *END]


def test_a_generator_lasts_for_a_second_try() -> None:
    assert AioWebSocket("ws://127.0.0.1:1", headers=(f"X-{i}: 1" for i in range(2))).headers == ["X-0: 1", "X-1: 1"]


def test_union_header_replaces_in_place_whatever_the_case(run) -> None:
    lines, _ = request(run, None, {"origin": "http://coolaf.com", "Pragma": "no-cache", "USER-AGENT": "me", "X": 1})
    assert lines == [
        "GET /chat?a=1 HTTP/1.1",
        "Host: HOST",
        *REST,
        "USER-AGENT: me",
        "origin: http://coolaf.com",
        *END,
        "Pragma: no-cache",
        "X: 1",
    ]


def test_union_header_beside_headers(run) -> None:
    lines, _ = request(run, ["X-A: 1", "X-B: 2"], {"x-a": "3", "X-C": "4"})
    assert lines == ["GET /chat?a=1 HTTP/1.1", "Host: HOST", "x-a: 3", "X-B: 2", "X-C: 4", *REST, *END]


def test_lines_copied_from_a_browser(run, caplog: pytest.LogCaptureFixture) -> None:
    union = {
        "Connection": "Upgrade",
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Key": COPIED,
        "Sec-WebSocket-Version": 13,
    }
    lines, key = request(run, None, union)
    assert key != COPIED
    assert not [line for line in lines if "Extensions" in line]
    assert "Sec-WebSocket-Extensions is left out" in caplog.text


def test_subprotocols(run) -> None:
    async def play(peer: Peer) -> None:
        assert peer.value("Sec-WebSocket-Protocol") == "chat, superchat"
        peer.accept("Sec-WebSocket-Protocol: superchat")
        await peer.answer_close()

    async def unasked(peer: Peer) -> None:
        peer.accept("Sec-WebSocket-Protocol: other")
        await peer.end()

    async def main() -> None:
        union = {"Sec-WebSocket-Protocol": "chat, superchat"}
        async with serving(play, accepts=False) as uri, AioWebSocket(uri, union_header=union):
            pass
        async with serving(unasked, accepts=False) as uri:
            with pytest.raises(InvalidHandshake, match="other"):
                await AioWebSocket(uri, union_header=union).create_connection()

    run(main())


@pytest.mark.parametrize(
    ("headers", "union_header", "says"),
    [
        (["X: a\r\nEvil: 1"], None, "control character 0x0d"),
        (["X: a\nEvil: 1", "Y: 1"], None, "control character 0x0a"),
        ({"X": "a\r\n"}, None, "control character 0x0d"),
        (None, {"X": "a\rb"}, "control character 0x0d"),
        (None, {"X\r\nEvil": "1"}, "not a token"),
        (["GET / HTTP/1.1\r\nX: 1"], None, "request line"),
        (["POST / HTTP/1.1"], None, "request line"),
        (["X: 1", "no colon"], None, "no colon"),
        (["Host: a", "host: b"], None, "stands twice"),
        (None, {"Upgrade": "h2c"}, "must say websocket"),
        (None, {"Connection": "keep-alive"}, "must say Upgrade"),
        (None, {"Sec-WebSocket-Version": 8}, "must say 13"),
        (None, {"Content-Length": 1}, "no body"),
    ],
)
def test_lines_that_are_refused_before_anything_is_dialled(run, headers: object, union_header: object, says: str) -> None:
    # Nobody listens there.
    aws = AioWebSocket("ws://127.0.0.1:1", headers=headers, union_header=union_header)
    with pytest.raises(ValueError, match=says):
        run(aws.create_connection())


def test_one_string_is_no_list(run) -> None:
    with pytest.raises(TypeError, match="list of lines"):
        run(AioWebSocket("ws://127.0.0.1:1", headers="X: 1").create_connection())
