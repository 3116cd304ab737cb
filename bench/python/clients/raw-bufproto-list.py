"""The floor of receiving in batches: an object a message, and a list of them a read."""

from harness import module_of

raw = module_of("raw-bufproto")


class Lists(raw.Protocol):
    def buffer_updated(self, n):
        if self.see_all(self.cutter.list(n)):
            self.done.set_result(None)


class Client(raw.Client):
    protocols = {"burst-binary": Lists, "burst-text": Lists}
