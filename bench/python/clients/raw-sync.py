"""A floor without an event loop: a blocking socket."""

from native import frame

from harness import cutter, upgraded


class Client:
    def open(self, run):
        self.socket = upgraded(run)

    def echo(self, run):
        room, recv_into, sendall = cutter(run), self.socket.recv_into, self.socket.sendall
        for message in run.outgoing():
            sendall(frame(message))
            while not room.in_place(recv_into(room)):
                pass

    def burst(self, run):
        room, recv_into, left = cutter(run), self.socket.recv_into, run.count
        self.socket.sendall(frame(b"go"))
        while left:
            left -= room.in_place(recv_into(room))

    def flood(self, run):
        sendall = self.socket.sendall
        for message in run.outgoing():
            sendall(frame(message))
        return self.socket.recv(100)[2:].decode()
