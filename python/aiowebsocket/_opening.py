"""The pump of a connection that opens: looks names up, dials, reads, writes and waits as the machine says."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass, field
from os import PathLike
from typing import Any

from . import _aiowebsocket
from .exceptions import OpenTimeout

#: Bytes of one read of the handshake. Heads of real servers have a few hundred, flights of TLS a few thousand.
_READ = 8192


def _fingerprint(given: str | bytes) -> bytes:
    """A SHA-256 as 32 bytes, or as ``openssl x509 -fingerprint -sha256`` prints it."""
    try:
        raw = bytes.fromhex(given.replace(":", "")) if isinstance(given, str) else bytes(given)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise ValueError("a fingerprint is a SHA-256: 32 bytes, or 64 hexadecimal digits with or without colons")
    return raw


@dataclass(frozen=True)
class TLS:
    """Whom ``wss://`` trusts, and who this client is: for ``connect(uri, tls=TLS(...))``.

    ``ca_file``
        A file of PEM certificates that are trusted beside the operating system's: a private CA, or a server's own certificate.
        Default ``None``: the system's alone.
    ``only_ca_file``
        Trusts those of ``ca_file`` alone, so that no public CA vouches for your server. Default ``False``.
    ``crl_file``
        A PEM file of lists of revoked certificates; needs ``only_ca_file``. Default ``None``: no list is asked.
    ``certificate``, ``key``
        Files: a PEM certificate to be shown to a server that asks for one, its chain behind it; and its key, in the same file unless ``key``
        names another. Default ``None``: nothing is shown.
    ``fingerprint``
        Trusts exactly the certificate with this SHA-256 (or one of several), whoever signed it and whatever its dates say: 32 bytes, or 64
        hexadecimal digits with or without colons. Default ``()``: signature, name and dates decide.
    ``verify``
        ``False`` takes any certificate of any server: whoever sits in between reads and writes everything. Default ``True``.
    ``only_tls13``
        TLS 1.3 and nothing older. Default ``False``: TLS 1.2 too, for servers that have no other.

    Connections that share one ``TLS`` resume each other's sessions. Raises ``ValueError`` for options that exclude each other, ``TLSError``
    for a file that cannot be used.
    """

    _: KW_ONLY
    ca_file: str | PathLike[str] | None = None
    only_ca_file: bool = False
    crl_file: str | PathLike[str] | None = None
    certificate: str | PathLike[str] | None = None
    key: str | PathLike[str] | None = None
    fingerprint: str | bytes | Iterable[str | bytes] = ()
    verify: bool = True
    only_tls13: bool = False
    _tls: _aiowebsocket.Tls = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.key is not None and self.certificate is None:
            raise ValueError("key= is the key of certificate=, and that is not given")
        if not self.verify:
            # Each of them would be passed over, and whoever wrote it believes that it holds.
            for name in ("fingerprint", "ca_file", "only_ca_file", "crl_file"):
                if getattr(self, name):
                    raise ValueError(f"verify=False takes any certificate, so {name}= would say nothing: leave one of them out")
        given = self.fingerprint
        fingerprints = [given] if isinstance(given, (str, bytes)) else list(given)
        made = _aiowebsocket.Tls(
            ca_file=self.ca_file,
            only_ca_file=self.only_ca_file,
            crl_file=self.crl_file,
            certificate=self.certificate,
            key=self.key,
            fingerprints=[list(_fingerprint(one)) for one in fingerprints],
            verify=self.verify,
            only_tls13=self.only_tls13,
        )
        object.__setattr__(self, "_tls", made)


@dataclass
class Means:
    """What the pump needs besides the machine."""

    loop: asyncio.AbstractEventLoop
    #: A socket that is connected already.
    sock: socket.socket | None
    local_addr: tuple[str, int] | None
    #: The engine of TLS.
    engine: _aiowebsocket.Tls | ssl.SSLContext | None
    #: The name in the server's certificate, where it is not that of the address.
    server_hostname: str | None
    tell: Callable[[float, str], None] | None


async def run(machine: _aiowebsocket.Connecting, means: Means) -> tuple[socket.socket, _aiowebsocket.Opened]:
    """Drives the machine until the connection is open. What was begun is ended with it, whatever happens."""
    pending = _Pending(machine, means)
    if means.tell is not None:
        machine.watch()
    try:
        while True:
            try:
                what, *about = machine.next()
            finally:
                while (milestone := machine.milestone()) is not None:
                    if means.tell is not None:
                        means.tell(*milestone)
            if what == "open":
                sock, pending.sock = pending.sock, None
                assert sock is not None, "what is open has a socket"
                return sock, about[0]
            await getattr(pending, what)(*about)
    except BaseException:
        pending.say_last()
        raise
    finally:
        pending.end()


class _Pending:
    """What is under way; each method is what the machine may say next."""

    def __init__(self, machine: _aiowebsocket.Connecting, means: Means) -> None:
        self._machine = machine
        self._means = means
        self._loop = means.loop
        self.sock = means.sock
        if self.sock is not None:
            _prepare(self.sock)
        self._lookup: asyncio.Future[list[Any]] | None = None
        #: Each attempt with its number and its socket.
        self._attempts: dict[asyncio.Future[None], tuple[int, socket.socket]] = {}

    async def resolve(self, host: str, port: int) -> None:
        self._lookup = asyncio.ensure_future(self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    async def dial(self, number: int, ip: str, port: int, zone: int) -> None:
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            self._machine.failed(number, error)
            return
        attempt = asyncio.ensure_future(self._connect(sock, (ip, port, 0, zone) if zone else (ip, port)))
        self._attempts[attempt] = number, sock

    async def _connect(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        try:
            _prepare(sock)
            if self._means.local_addr is not None:
                sock.bind(self._means.local_addr)
            await self._loop.sock_connect(sock, address)
        except BaseException:
            # Not in a callback of this task alone: a loop that stops with the task that was cancelled makes no such call any more.
            sock.close()
            raise

    async def wait(self) -> None:
        for attempt, (number, sock) in list(self._attempts.items()):
            if not self._machine.is_wanted(number):
                self._drop(attempt)
        waiting: set[asyncio.Future[Any]] = set(self._attempts)
        if self._lookup is not None:
            waiting.add(self._lookup)
        done, _ = await asyncio.wait(
            waiting, timeout=self._machine.timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            self._machine.handle_timeout()
        for future in done:
            if future is self._lookup:
                self._resolved(future)
            elif future in self._attempts:
                self._dialled(future)

    def _resolved(self, lookup: asyncio.Future[list[Any]]) -> None:
        self._lookup = None
        if (error := lookup.exception()) is not None:
            self._machine.unresolved(error)
            return
        self._machine.resolved([address for *_, address in lookup.result()])

    def _dialled(self, attempt: asyncio.Future[None]) -> None:
        number, sock = self._attempts.pop(attempt)
        error = attempt.exception()
        if error is None:
            error = _wrong_with(sock)
        if error is not None:
            sock.close()
            self._machine.failed(number, error)
        elif self._machine.connected(number):
            self.sock = sock
            for other in list(self._attempts):
                self._drop(other)
        else:
            sock.close()

    def _drop(self, attempt: asyncio.Future[None]) -> None:
        _, sock = self._attempts.pop(attempt)
        attempt.add_done_callback(lambda _: sock.close())
        attempt.cancel()

    async def secure(self, host: str, is_proxy: bool) -> None:
        engine = self._means.engine
        hostname = None if is_proxy else self._means.server_hostname
        if isinstance(engine, ssl.SSLContext):
            self._machine.secure_with(engine, hostname or host)
            return
        tls = engine or _shared()
        if not tls.is_ready:
            # It reads the trust store, once.
            await self._within(self._loop.run_in_executor(None, _load, tls))
        self._machine.secure(tls, hostname)

    async def exchange(self) -> None:
        assert self.sock is not None, "bytes are exchanged over a socket"
        broken = None
        output = self._machine.output()
        if output:
            try:
                await self._within(self._loop.sock_sendall(self.sock, output))
                return
            except OSError as error:
                # A server that refuses early may have closed its side: what it said is still there to be read.
                broken = error
        try:
            data = await self._within(self._loop.sock_recv(self.sock, _READ))
        except OSError as error:
            if self._machine.receive_break():
                return
            raise broken or error from None
        if data is None:
            return
        if data:
            self._machine.receive(data)
        else:
            self._machine.receive_end()

    async def flush(self) -> None:
        assert self.sock is not None, "bytes are written to a socket"
        await self._within(self._loop.sock_sendall(self.sock, self._machine.output()))

    async def hangup(self) -> None:
        assert self.sock is not None, "there is a socket to be closed"
        self.sock.close()
        self.sock = None

    async def _within(self, doing: Any) -> Any:
        """What is awaited, or ``None`` where the machine's time came first."""
        try:
            return await asyncio.wait_for(doing, self._machine.timeout)
        except asyncio.TimeoutError:
            self._machine.handle_timeout()
            return None

    def say_last(self) -> None:
        """Tells the other side why, if the socket takes that at once."""
        output = self._machine.output()
        if output and self.sock is not None:
            try:
                self.sock.send(output)
            except OSError:
                pass

    def end(self) -> None:
        if self._lookup is not None:
            self._lookup.cancel()
        for attempt in list(self._attempts):
            self._drop(attempt)
        if self.sock is not None:
            self.sock.close()


def _wrong_with(sock: socket.socket) -> OSError | None:
    """Why a socket that was connected is no connection to the server, if it is none."""
    try:
        if sock.getsockname() != sock.getpeername():
            return None
    except OSError as error:
        # It was reset meanwhile.
        return error
    # Where nobody listens at a port that the system hands out, TCP may connect a socket to itself.
    return ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens there: the socket was connected to itself")


def _prepare(sock: socket.socket) -> None:
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        # Messages are written whole, so waiting for more to fill a packet only adds delay.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


_SHARED: list[_aiowebsocket.Tls] = []


def _shared() -> _aiowebsocket.Tls:
    """The one of all connections that name no options."""
    if not _SHARED:
        _SHARED.append(_aiowebsocket.Tls.shared())
    return _SHARED[0]


def _load(tls: _aiowebsocket.Tls) -> None:
    try:
        tls.load()
    except Exception:  # noqa: BLE001 - it says the same where it is used
        logging.getLogger("aiowebsocket").debug("the trust store cannot be read", exc_info=True)


@asynccontextmanager
async def within(loop: asyncio.AbstractEventLoop, seconds: float | None) -> AsyncIterator[None]:
    """Ends the block after so many seconds with ``OpenTimeout``. (``asyncio.timeout`` is not there in 3.10.)"""
    if seconds is None:
        yield
        return
    task = asyncio.current_task()
    assert task is not None, "the caller is a coroutine of a task"
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    handle = loop.call_later(seconds, expire)
    try:
        yield
    except asyncio.CancelledError:
        if not expired:
            raise
        if hasattr(task, "uncancel") and task.uncancel() > 0:
            # Somebody else cancels too.
            raise
        raise OpenTimeout(f"the connection was not open within {seconds} seconds") from None
    finally:
        handle.cancel()
