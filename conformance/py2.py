"""What the suite's cases expect of Python 2, where a `str` held octets: here it holds one character of Latin-1 for each."""

import binascii as real
import codecs
from pathlib import Path


def octets(text):
    """The octets that a `str` of the cases means."""
    return text.encode("latin-1") if isinstance(text, str) else text


def text(octets):
    """Octets as the cases see them."""
    return octets.decode("latin-1")


class binascii:
    """Hexadecimal digits of such a `str`; they only stand in descriptions."""

    @staticmethod
    def b2a_hex(text):
        return real.b2a_hex(octets(text)).decode("ascii")

    hexlify = b2a_hex


class pkg_resources:
    """The data that lies beside the cases."""

    @staticmethod
    def resource_filename(_package, name):
        import cases

        return str(Path(cases.__file__).parent.parent / name)


class Utf8Validator:
    """Text as it arrives, judged by the standard library: octet by octet, since a decoder that is given several may look at the next one
    only when it has more of them. Some text a message, so that is fast enough."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.total = 0

    def validate(self, data):
        """Whether it is right so far, whether it ends behind a character, and the index of the first wrong octet, here and in all."""
        data = octets(bytes(data) if isinstance(data, bytearray) else data)
        try:
            self.decoder.decode(data)
        except UnicodeDecodeError as error:
            at = max(error.start, 0)
            return False, False, at, self.total + at
        self.total += len(data)
        return True, not self.decoder.getstate()[0], len(data), self.total


class Masker:
    """Masking as one operation on long integers; the suite's own goes octet by octet, which takes minutes for section 9."""

    def __init__(self, key, _length=None):
        self.key = bytes(key)
        self.at = 0

    def pointer(self):
        return self.at

    def reset(self):
        self.at = 0

    def process(self, data):
        size = len(data)
        start = self.at % 4
        key = (self.key[start:] + self.key[:start]) * (size // 4 + 1)
        self.at += size
        return (int.from_bytes(data, "big") ^ int.from_bytes(key[:size], "big")).to_bytes(size, "big")
