"""The floor with what a library has to give: an object a message, and a Python call with each."""

from harness import module_of

raw = module_of("raw-bufproto")


class Calls(raw.Protocol):
    def on_message(self, message):
        if self.see(message):
            self.done.set_result(None)

    def buffer_updated(self, n):
        self.cutter.call(n, self.on_message)


class Client(raw.Client):
    protocols = {"burst-binary": Calls, "burst-text": Calls}
