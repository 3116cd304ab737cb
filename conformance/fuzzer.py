"""Runs Autobahn's cases against a peer. The cases and their verdicts are the suite's own; this is what they run on.

    fuzzer.py list                        the cases, one a line
    fuzzer.py server [CASE…]              listens; a client connects to /CASE for each and sends every message back
    fuzzer.py client URL AT_ONCE [CASE…]  connects to a server that sends every message back, so many times at once

Each finished case is a line of JSON on stdout; a server says its port first. It ends with its stdin, or when all cases are done.
"""

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(sys.prefix).parent / "suite"))
sys.dont_write_bytecode = True

import txaio  # noqa: E402

txaio.use_twisted()

import autobahn.websocket.protocol as protocol  # noqa: E402
from autobahn.twisted.websocket import (  # noqa: E402
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet import reactor  # noqa: E402
from twisted.python import log  # noqa: E402

import cases  # noqa: E402
from py2 import Masker, Utf8Validator, octets, text  # noqa: E402

protocol.createXorMasker = Masker
protocol.Utf8Validator = Utf8Validator
# Equal is what looks equal: the suite compares pickles, which in Python 3 also tell who shares memory with whom.
cases.Case.compare = lambda self, one, other: one == other

# A case that waits for a peer gives up after this many times what it says, so that a busy machine fails nobody. A peer that does what is
# wanted is never waited for.
PATIENCE = 4


def name(case):
    """Case1_1_1 is called 1.1.1."""
    return case.__name__.removeprefix("Case").replace("_", ".")


CASES = {name(case): case for case in cases.Cases}


def say(**what):
    print(json.dumps(what), flush=True)


class Fuzzing:
    """What a case expects of the protocol that it runs on, for both roles."""

    runCase = None

    def begin(self, case):
        self.case = case
        self.began = time.monotonic()
        self.connectionWasOpen = False
        self.createWirelog = False
        self.txFrameStats = {}
        # The suite looks at type and length alone in section 9, so that content is looked at here.
        self.checks_content = case.startswith("9.")
        self.wrong_content = False
        self.sent = hashlib.sha1()
        self.runCase = CASES[case](self)

    def onOpen(self):
        if self.runCase:
            self.connectionWasOpen = True
            self.runCase.onOpen()

    def onMessage(self, payload, isBinary):
        if self.checks_content and hashlib.sha1(payload).digest() != self.sent.digest():
            self.wrong_content = True
        # Sections 12 and 13 alone work with bytes.
        in_bytes = self.case.startswith(("12.", "13."))
        self.runCase.onMessage(payload if in_bytes else text(payload), isBinary)

    def onPong(self, payload):
        self.runCase.onPong(text(payload))

    def onClose(self, wasClean, code, reason):
        if self.runCase:
            self.runCase.onClose(wasClean, code, reason)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        if self.runCase:
            self.runCase.onConnectionLost(self.failedByMe)
            self.tell()
            self.runCase = None
            self.factory.run.done(self.case)

    def tell(self):
        case = self.runCase
        behavior = "FAILED" if self.wrong_content else case.behavior
        why = "other content came back" if self.wrong_content else f"{case.result} {case.resultClose}"
        say(
            case=self.case,
            behavior=behavior,
            close=case.behaviorClose,
            code=self.remoteCloseCode,
            ms=round((time.monotonic() - self.began) * 1000),
            why=why,
            offered=extensions(self, "http_request_data"),
            agreed=extensions(self, "http_response_data"),
        )

    # ---- what cases call

    def sendFrame(self, opcode, payload=b"", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
        payload = octets(payload)
        if payload_len is not None:
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        self.sends(opcode, payload)
        super().sendFrame(opcode, payload, fin, rsv, mask, None, chopsize, sync)

    def sendMessage(self, payload, *args, **options):
        super().sendMessage(octets(payload), *args, **options)

    def beginMessage(self, isBinary=False, **options):
        self.sends(2 if isBinary else 1, b"")
        super().beginMessage(isBinary, **options)

    def sendMessageFrameData(self, payload, sync=False):
        self.sends(0, octets(payload))
        return super().sendMessageFrameData(octets(payload), sync)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        super().sendCloseFrame(code, octets(reasonUtf8), isReply)

    def sends(self, opcode, payload):
        if self.checks_content and opcode < 8:
            if opcode > 0:
                self.sent = hashlib.sha1()
            self.sent.update(payload)

    def enableWirelog(self, enable):
        pass

    def logTxFrame(self, header, payload, repeatLength, chopsize, sync):
        self.txFrameStats[header.opcode] = self.txFrameStats.get(header.opcode, 0) + 1

    def logRxFrame(self, header, payload):
        pass

    def continueLater(self, delay, go_on, tag=None):
        self.later(delay, go_on)

    def killAfter(self, delay):
        self.later(delay * PATIENCE, self.failConnection)

    def closeAfter(self, delay):
        self.later(delay, self.sendClose)

    def later(self, delay, do):
        reactor.callLater(delay, lambda: None if self.state == self.STATE_CLOSED else do())


def extensions(connection, head):
    """The value of Sec-WebSocket-Extensions in a head that was sent or received, if any."""
    head = getattr(connection, head, None) or ""
    lines = (head if isinstance(head, str) else text(head)).split("\r\n")
    values = [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("sec-websocket-extensions:")]
    return ", ".join(values)


class Run:
    """The cases that are wanted, and those that are left."""

    def __init__(self, wanted):
        self.wanted = wanted or list(CASES)
        self.left = set(self.wanted)

    def done(self, case):
        self.left.discard(case)
        if not self.left:
            # What was written last may leave.
            reactor.callLater(0.1, stop)


def set_up(factory, run):
    factory.run = run
    # Only so do the hooks see frames, and the cases count them.
    factory.logFrames = True
    factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=20, closeHandshakeTimeout=PATIENCE)
    if not factory.isServer:
        factory.setProtocolOptions(serverConnectionDropTimeout=PATIENCE)
    return factory


class ServerProtocol(Fuzzing, WebSocketServerProtocol):
    def onConnect(self, request):
        self.begin(request.path.removeprefix("/"))


class ServerFactory(WebSocketServerFactory):
    protocol = ServerProtocol


def serve(run):
    factory = set_up(ServerFactory("ws://127.0.0.1:1"), run)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
    factory.setSessionParameters(url=f"ws://127.0.0.1:{port}")
    say(port=port)


class ClientProtocol(Fuzzing, WebSocketClientProtocol):
    def connectionMade(self):
        self.begin(self.factory.case)
        super().connectionMade()

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.factory.go_on()


class ClientFactory(WebSocketClientFactory):
    protocol = ClientProtocol

    def clientConnectionFailed(self, connector, reason):
        log.err(reason, "no connection")


def dial(run, url, at_once):
    waiting = iter(run.wanted)

    def connect():
        case = next(waiting, None)
        if case:
            factory = set_up(ClientFactory(url), run)
            factory.case, factory.go_on = case, connect
            reactor.connectTCP(factory.host, factory.port, factory)

    for _ in range(at_once):
        connect()


def stop():
    if reactor.running:
        reactor.stop()


broken = []


def tell_errors(event):
    """What goes wrong in here is no verdict on anybody: it ends the run."""
    if event.get("isError"):
        broken.append(event)
        sys.stderr.write(event["failure"].getTraceback() if "failure" in event else f"{event['message']}\n")
        stop()


def watch_stdin():
    """Whoever started this is gone when its stdin ends."""

    def wait():
        while os.read(0, 4096):
            pass
        reactor.callFromThread(stop)

    threading.Thread(target=wait, daemon=True).start()


def main(mode, *arguments):
    log.addObserver(tell_errors)
    if mode == "list":
        print("\n".join(CASES))
        return
    watch_stdin()
    if mode == "server":
        serve(Run(arguments))
    else:
        url, at_once, *wanted = arguments
        dial(Run(wanted), url, int(at_once))
    reactor.run()
    sys.exit(1 if broken else 0)


main(*sys.argv[1:])
