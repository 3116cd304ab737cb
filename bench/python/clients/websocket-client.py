"""websocket-client: a blocking socket, no event loop. TCP_NODELAY as everybody has it."""

import socket

from websocket import create_connection


class Client:
    def open(self, run):
        tls = {"context": run.context} if run.tls else None
        self.ws = create_connection(run.uri, sockopt=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)], sslopt=tls)

    def echo(self, run):
        send, recv, see = self.ws.send_binary, self.ws.recv, run.see
        for message in run.outgoing():
            send(message)
            see(recv())

    def burst(self, run):
        recv, see = self.ws.recv, run.see
        self.ws.send("go")
        for _ in range(run.count):
            see(recv())

    def flood(self, run):
        send = self.ws.send_binary
        for message in run.outgoing():
            send(message)
        return self.ws.recv()
