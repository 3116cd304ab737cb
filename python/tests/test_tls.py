"""``wss://``, by the package and by an ``ssl.SSLContext``: against a server of asyncio's own."""

import asyncio
import hashlib
import ssl

import pytest
import trustme

import aiowebsocket
from aiowebsocket import TLS, CertificateError, InvalidHandshake, TLSError
from support import PATIENCE, text
from tls import Server, answer, server_context


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(params=["package", "SSLContext"])
def trusting(request, ca_file):
    """What makes ``connect`` trust the authority, in both ways."""
    if request.param == "package":
        return {"tls": TLS(ca_file=ca_file, only_ca_file=True)}
    return {"ssl": ssl.create_default_context(cafile=str(ca_file))}


SIZES = [0, 1, 125, 126, 65_535, 65_536, 16_384, 16_385, 100_000, 3 << 20]


async def test_messages_of_every_size_come_back(authority, trusting):
    async with Server(server_context(authority)) as server:
        async with aiowebsocket.connect(server.uri, compression=None, **trusting) as ws:
            assert ws.tls.startswith("TLSv1.3, TLS_")
            for size in SIZES:
                message = bytes(range(256)) * (size // 256 + 1)
                await ws.send(message[:size])
                assert await ws.recv(PATIENCE) == message[:size]
            await ws.send("ünïcödé" * 5_000)
            assert await ws.recv(PATIENCE) == "ünïcödé" * 5_000
            for number in range(2_000):
                ws.send_nowait(str(number))
            assert [await ws.recv(PATIENCE) for _ in range(2_000)] == [str(number) for number in range(2_000)]
        assert ws.close_code == 1000
        assert server.errors == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions(authority, trusting, version):
    context = server_context(authority)
    context.minimum_version = context.maximum_version = version
    async with Server(context) as server, aiowebsocket.connect(server.uri, **trusting) as ws:
        assert ws.tls.startswith("TLSv1.2" if version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3")
        await ws.send("hello")
        assert await ws.recv(PATIENCE) == "hello"


@pytest.mark.parametrize(
    ("names", "days", "fault"),
    [(("elsewhere.example",), None, "WrongHost"), ((), -1, "Expired"), ((), 1, "NotYetValid")],
)
async def test_what_is_wrong_with_a_certificate(authority, trusting, names, days, fault):
    import datetime

    options = {}
    now = datetime.datetime.now(datetime.timezone.utc)
    if days is not None:
        begin = now + datetime.timedelta(days=days if days > 0 else days - 1)
        options = {"not_before": begin, "not_after": begin + datetime.timedelta(days=1 if days > 0 else 0, hours=1)}
    async with Server(server_context(authority, *names, **options)) as server:
        with pytest.raises(CertificateError) as caught:
            await aiowebsocket.connect(server.uri, **trusting)
    assert caught.value.fault == fault
    assert isinstance(caught.value, ssl.SSLCertVerificationError)
    if "ssl" in trusting:
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_an_issuer_that_nobody_knows(authority):
    async with Server(server_context(authority)) as server:
        for options in ({}, {"ssl": True}, {"ssl": ssl.create_default_context()}, {"tls": TLS()}):
            with pytest.raises(CertificateError) as caught:
                await aiowebsocket.connect(server.uri, **options)
            assert caught.value.fault == "UnknownIssuer", options
        async with aiowebsocket.connect(server.uri, tls=TLS(verify=False)) as ws:
            await ws.send("anything goes")


async def test_a_fingerprint(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued = authority.issue_cert("elsewhere.example")
    issued.configure_cert(context)
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    digest = hashlib.sha256(der)
    colons = ":".join(f"{byte:02X}" for byte in digest.digest())
    async with Server(context) as server:
        for given in (digest.digest(), digest.hexdigest(), colons, [b"\0" * 32, digest.digest()]):
            await (await aiowebsocket.connect(server.uri, tls=TLS(fingerprint=given))).close()
        with pytest.raises(CertificateError) as caught:
            await aiowebsocket.connect(server.uri, tls=TLS(fingerprint=b"\0" * 32))
        assert caught.value.fault == "NotPinned"
    with pytest.raises(ValueError, match="SHA-256"):
        TLS(fingerprint="abc")


@pytest.mark.parametrize("option", [{"fingerprint": "00" * 32}, {"ca_file": "ca.pem"}, {"only_ca_file": True}, {"crl_file": "ca.crl"}])
def test_whom_to_trust_and_to_trust_anybody(option):
    """What is passed over in silence is a pin that its author believes in."""
    (name,) = option
    with pytest.raises(ValueError, match=f"verify=False takes any certificate, so {name}= would say nothing"):
        TLS(verify=False, **option)


async def test_a_client_certificate(authority, ca_file, tmp_path):
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    issued = authority.issue_cert("client@example.com")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    async with Server(context) as server:
        tls = TLS(ca_file=ca_file, certificate=tmp_path / "client.pem")
        async with aiowebsocket.connect(server.uri, tls=tls) as ws:
            await ws.send("known")
            assert await ws.recv(PATIENCE) == "known"
        # With TLS 1.3 the client is done before the server has looked: what it hears of it depends on who was faster.
        with pytest.raises((TLSError, InvalidHandshake, ConnectionResetError)):
            ws = await aiowebsocket.connect(server.uri, tls=TLS(ca_file=ca_file))
            await ws.recv(PATIENCE)


async def test_sessions_are_resumed_among_those_that_share_a_tls(authority, ca_file):
    async with Server(server_context(authority)) as server:
        tls = TLS(ca_file=ca_file)

        async def resumed(tls):
            async with aiowebsocket.connect(server.uri, tls=tls) as ws:
                await ws.send("hello")
                await ws.recv(PATIENCE)
                return ws.tls.endswith("resumed")

        assert [await resumed(tls), await resumed(tls), await resumed(TLS(ca_file=ca_file))] == [False, True, False]


async def test_another_name_in_the_certificate(authority, trusting):
    async with Server(server_context(authority, "feed.internal")) as server:
        async with aiowebsocket.connect(server.uri, server_hostname="feed.internal", **trusting) as ws:
            await ws.send("hello")
        uri = f"wss://feed.internal:{server.port}/"
        async with aiowebsocket.connect(uri, host="127.0.0.1", **trusting) as ws:
            assert ws.request.headers["Host"] == f"feed.internal:{server.port}"


async def test_a_server_without_tls(trusting):
    async def plain(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with Server(None, plain) as server:
        with pytest.raises(TLSError) as caught:
            await aiowebsocket.connect(server.uri, **trusting)
        assert caught.value.fault == "NotTls"
        assert isinstance(caught.value, OSError)


async def test_an_end_without_the_end_of_tls(authority, trusting):
    async def cut(reader, writer):
        await asyncio.wait_for(answer(reader, writer), PATIENCE)
        writer.write(text("half"))
        await writer.drain()
        writer.transport.abort()

    async with Server(server_context(authority), cut) as server:
        ws = await aiowebsocket.connect(server.uri, **trusting)
        assert await ws.recv(PATIENCE) == "half"
        with pytest.raises(aiowebsocket.ConnectionClosedError) as caught:
            await ws.recv(PATIENCE)
        assert caught.value.code == 1006


async def test_a_redirect_into_tls(authority, ca_file):
    async with Server(server_context(authority)) as secure:

        async def moved(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 301 Moved Permanently\r\nLocation: {secure.uri}\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()

        async with Server(None, moved) as plain:
            uri = plain.uri.replace("wss", "ws")
            async with aiowebsocket.connect(uri, tls=TLS(ca_file=ca_file)) as ws:
                assert ws.tls
        # And never back.
        async with Server(server_context(authority), moved_to(b"ws://127.0.0.1:1/")) as back:
            with pytest.raises(InvalidHandshake, match="not encrypted"):
                await aiowebsocket.connect(back.uri, tls=TLS(ca_file=ca_file))


def moved_to(location):
    async def moved(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    return moved


async def test_arguments_that_contradict_each_other(ca_file):
    context = ssl.create_default_context()
    with pytest.raises(ValueError, match="two ways"):
        aiowebsocket.connect("wss://example.com/", ssl=context, tls=TLS())
    for does_tls in (context, True):
        with pytest.raises(ValueError, match="wss://"):
            aiowebsocket.connect("ws://example.com/", ssl=does_tls)
    with pytest.raises(ValueError, match="ssl=False"):
        aiowebsocket.connect("wss://example.com/", ssl=False)
    with pytest.raises(TLSError):
        TLS(ca_file=ca_file.with_name("nowhere.pem"))
    with pytest.raises(ValueError, match="certificate="):
        TLS(key=ca_file)


async def test_the_seed_does_tls_by_scheme_and_by_argument(authority, ca_file):
    context = ssl.create_default_context(cafile=str(ca_file))
    async with Server(server_context(authority)) as server:
        for uri in (server.uri, server.uri.replace("wss", "ws")):
            async with aiowebsocket.AioWebSocket(uri, ssl=context) as aws:
                converse = aws.manipulator
                await converse.send("hello")
                assert await converse.receive() == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            async with aiowebsocket.AioWebSocket(server.uri.replace("wss", "ws"), ssl=True):
                pass
