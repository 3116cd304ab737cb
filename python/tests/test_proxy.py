"""Proxies: from the option, from the environment, and what a refusal says. The tunnel leads back to the peer that the proxy is."""

import asyncio

import pytest

import aiowebsocket
from aiowebsocket import InvalidHandshake, InvalidProxy, InvalidProxyStatus
from support import PATIENCE, text


async def opened(server, **options):
    """A connection through the server as its proxy: what it was asked as a proxy and as a server."""
    opening = asyncio.ensure_future(_open("ws://example.com/feed", **options))
    peer = await server.accept()
    connect = await peer.head()
    peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
    request = await peer.answer(behind=text("through"))
    ws = await opening
    assert await ws.recv(PATIENCE) == "through"
    peer.shut()
    await ws.wait_closed()
    return connect, request


async def _open(uri, **options):
    return await aiowebsocket.connect(uri, **options)


async def test_a_proxy_with_credentials(server):
    connect, request = await opened(server, proxy=f"http://me:secret@127.0.0.1:{server.port}")
    assert connect.startswith("CONNECT example.com:80 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in connect
    assert request.startswith("GET /feed HTTP/1.1\r\n") and "Proxy-Authorization" not in request


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
async def test_the_environments(server, monkeypatch, name):
    monkeypatch.setenv(name, f"http://127.0.0.1:{server.port}")
    connect, _ = await opened(server)
    assert connect.startswith("CONNECT example.com:80 ")


async def test_none_although_the_environment_names_one(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for options in ({"proxy": None}, {"proxy": False}, {"no_proxy": "127.0.0.0/8"}):
        if "no_proxy" in options:
            monkeypatch.setenv("no_proxy", options.pop("no_proxy"))
        opening = asyncio.ensure_future(_open(server.uri, **options))
        peer = await server.accept()
        assert (await peer.answer()).startswith("GET /feed ")
        ws = await opening
        peer.shut()
        await ws.wait_closed()


async def test_a_refusal(server):
    opening = asyncio.ensure_future(_open("ws://example.com/", proxy=f"http://127.0.0.1:{server.port}"))
    peer = await server.accept()
    await peer.head()
    peer.say(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nwho?")
    with pytest.raises(InvalidProxyStatus, match="407") as caught:
        await opening
    assert (caught.value.status, caught.value.body) == (407, b"who?")
    assert caught.value.response.headers["Proxy-Authenticate"] == "Basic"
    assert isinstance(caught.value, InvalidHandshake)


async def test_socks5(server):
    opening = asyncio.ensure_future(_open("ws://example.com/", proxy=f"socks5h://me:secret@127.0.0.1:{server.port}"))
    peer = await server.accept()
    assert await peer.exactly(4) == b"\x05\x02\x00\x02"
    peer.say(b"\x05\x02")
    assert await peer.exactly(11) == b"\x01\x02me\x06secret"
    peer.say(b"\x01\x00")
    assert await peer.exactly(18) == b"\x05\x01\x00\x03\x0bexample.com\x00\x50"
    peer.say(b"\x05\x00\x00\x01\0\0\0\0\0\0")
    await peer.answer()
    ws = await opening
    peer.shut()
    await ws.wait_closed()


@pytest.mark.parametrize("proxy", ["gopher://127.0.0.1", "http://", "http://me@home@127.0.0.1", "127.0.0.1\n"])
async def test_a_proxy_that_is_none(proxy):
    with pytest.raises(InvalidProxy) as caught:
        await aiowebsocket.connect("ws://example.com/", proxy=proxy)
    assert isinstance(caught.value, ValueError)
