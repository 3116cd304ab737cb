"""The numbers of the protocol: states, opcodes, and close codes with what they mean."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from . import _aiowebsocket

__all__ = ["State", "SocketState", "DataFrames", "ControlFrames", "StatusCodes", "CloseCode"]


class SocketState(IntEnum):
    """How far a connection is."""

    zero = 0
    connecting = 0
    opened = 1
    closing = 2
    closed = 3


class State(IntEnum):
    """How far a connection is, by the names that ``websockets`` has. One that ``connect`` gave is past ``CONNECTING``."""

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


class DataFrames(IntEnum):
    """Opcodes of frames that carry messages (RFC 6455 5.6)."""

    cont = 0x0
    text = 0x1
    binary = 0x2


class ControlFrames(IntEnum):
    """Opcodes of control frames (RFC 6455 5.5)."""

    close = 0x8
    ping = 0x9
    pong = 0xA


class _CloseCode(IntEnum):
    @classmethod
    def _missing_(cls, value: object) -> _CloseCode | None:
        # Any number may come in a Close frame, and has at least a range.
        if not isinstance(value, int) or not 0 <= value <= 0xFFFF:
            return None
        code = int.__new__(cls, value)
        code._name_ = str(value)
        code._value_ = value
        return code

    @property
    def title(self) -> str | None:
        """The registered name, such as ``Going Away``; ``None`` where there is none."""
        return _aiowebsocket._explain_close(self)[0]

    def explain(self) -> str:
        """What the code means, in English."""
        return _aiowebsocket._explain_close(self)[1]

    def explain_zh(self) -> str:
        """What the code means, in Chinese."""
        return _aiowebsocket._explain_close(self)[2]

    @property
    def may_be_sent(self) -> bool:
        """Whether the code may stand in a Close frame (RFC 6455 7.4)."""
        return _aiowebsocket._may_send_close(self)


if TYPE_CHECKING:

    class CloseCode(_CloseCode):
        """For type checkers, which read no table; a test holds it equal to the library's."""

        NORMAL = 1000
        GOING_AWAY = 1001
        PROTOCOL_ERROR = 1002
        UNSUPPORTED_DATA = 1003
        RESERVED = 1004
        NO_STATUS = 1005
        ABNORMAL = 1006
        INVALID_PAYLOAD = 1007
        POLICY_VIOLATION = 1008
        TOO_BIG = 1009
        MANDATORY_EXTENSION = 1010
        INTERNAL_ERROR = 1011
        SERVICE_RESTART = 1012
        TRY_AGAIN_LATER = 1013
        BAD_GATEWAY = 1014
        TLS_HANDSHAKE = 1015
        UNAUTHORIZED = 3000
        FORBIDDEN = 3003
        TIMEOUT = 3008

else:
    #: Why a connection was closed (RFC 6455 7.4, and IANA's register): ``CloseCode.GOING_AWAY``, or ``CloseCode(3500)`` for any number.
    CloseCode = _CloseCode("CloseCode", _aiowebsocket._close_codes(), module=__name__)

#: The named codes that may stand in a Close frame.
StatusCodes: list[int] = [int(code) for code in CloseCode if code.may_be_sent]
