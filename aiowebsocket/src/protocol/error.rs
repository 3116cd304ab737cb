//! Whose fault it is, and which close code says so.
//!
//! [`PeerError`] lists every way in which the peer can break the protocol or our limits, and
//! [`PeerError::close_code`] is the only map from those to the wire. [`UsageError`] is the caller's fault and
//! changes nothing. [`Ending`] says how a connection came to its end.

use std::fmt;

use super::close::{CloseCode, CloseFrame};
use super::deadline::Timeout;

/// What the peer did wrong. The connection answers with a Close frame of [`close_code`](Self::close_code) and fails.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerError {
    /// A reserved bit was set that no negotiated extension uses; the bits are 4, 2, 1 for RSV1 to RSV3.
    ReservedBits(u8),
    /// RSV1, which marks compressed messages, on a frame that does not begin a message (RFC 7692 6).
    CompressedInside,
    /// A compressed message that is no DEFLATE data, or not complete (RFC 7692 7.2.2).
    NotDeflate,
    /// An opcode that RFC 6455 reserves.
    ReservedOpcode(u8),
    /// A client's frame that was not masked.
    NotMasked,
    /// A server's frame that was masked.
    Masked,
    /// A control frame without FIN.
    FragmentedControl,
    /// A control frame of more than 125 bytes.
    ControlTooLong,
    /// A length that was not in its shortest form.
    LengthNotMinimal,
    /// A length of 2^63 or more.
    LengthOver63Bits,
    /// A continuation frame while no message was in progress.
    UnexpectedContinuation,
    /// A new message began inside a fragmented one.
    ExpectedContinuation,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A Close frame with a payload of one byte.
    CloseOneByte,
    /// A Close frame with a code that must not be sent.
    CloseCodeForbidden(CloseCode),
    /// A Close frame whose reason is not UTF-8.
    CloseReasonNotUtf8,
    /// A frame over the limit; both in bytes.
    FrameTooBig {
        /// What the header announced.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// A message over the limit; both in bytes.
    MessageTooBig {
        /// What the headers so far announced; of a compressed message, what was inflated of it.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// A message in more fragments than the limit.
    TooManyFragments {
        /// The limit.
        limit: u32,
    },
}

impl PeerError {
    /// The code that tells the peer (RFC 6455 7.4.1).
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::ReservedBits(_)
            | Self::CompressedInside
            | Self::ReservedOpcode(_)
            | Self::NotMasked
            | Self::Masked
            | Self::FragmentedControl
            | Self::ControlTooLong
            | Self::LengthNotMinimal
            | Self::LengthOver63Bits
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::CloseOneByte
            | Self::CloseCodeForbidden(_) => CloseCode::PROTOCOL_ERROR,
            Self::NotUtf8 | Self::CloseReasonNotUtf8 | Self::NotDeflate => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } | Self::TooManyFragments { .. } => {
                CloseCode::TOO_BIG
            }
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits(bits) => {
                write!(f, "the peer set reserved bits ({bits:03b}) that no extension was negotiated for")
            }
            Self::CompressedInside => {
                write!(f, "the peer marked a frame as compressed that does not begin a message")
            }
            Self::NotDeflate => {
                write!(f, "the peer sent a compressed message that is not complete DEFLATE data")
            }
            Self::ReservedOpcode(opcode) => write!(f, "the peer used the reserved opcode {opcode:#x}"),
            Self::NotMasked => write!(f, "the client sent a frame that is not masked"),
            Self::Masked => write!(f, "the server sent a masked frame"),
            Self::FragmentedControl => write!(f, "the peer fragmented a control frame"),
            Self::ControlTooLong => write!(f, "the peer sent a control frame of more than 125 bytes"),
            Self::LengthNotMinimal => write!(f, "the peer did not use the shortest form of a length"),
            Self::LengthOver63Bits => write!(f, "the peer announced a frame of 2^63 bytes or more"),
            Self::UnexpectedContinuation => {
                write!(f, "the peer continued a message although none was in progress")
            }
            Self::ExpectedContinuation => {
                write!(f, "the peer began a new message inside a fragmented one")
            }
            Self::NotUtf8 => write!(f, "the peer sent a text message that is not UTF-8"),
            Self::CloseOneByte => write!(f, "the peer sent a Close frame with a payload of one byte"),
            Self::CloseCodeForbidden(code) => {
                write!(f, "the peer sent the close code {}, which must not be sent", code.get())
            }
            Self::CloseReasonNotUtf8 => write!(f, "the peer sent a close reason that is not UTF-8"),
            Self::FrameTooBig { length, limit } => {
                write!(f, "the peer announced a frame of {length} bytes; the limit is {limit}")
            }
            Self::MessageTooBig { length, limit } => {
                write!(f, "the peer announced a message of at least {length} bytes; the limit is {limit}")
            }
            Self::TooManyFragments { limit } => {
                write!(f, "the peer cut a message into more than {limit} fragments")
            }
        }
    }
}

impl std::error::Error for PeerError {}

/// What the caller did wrong. Nothing was sent and nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageError {
    /// A close code that must not be sent.
    CloseCodeForbidden(CloseCode),
    /// A close reason of this many bytes; 123 is the most.
    CloseReasonTooLong(usize),
    /// A message or ping after a Close frame went out.
    NotOpen,
    /// A message while another one that is sent in parts has not got its last.
    MessageUnfinished,
    /// A part of a message of the other kind than those before it.
    PartOfOtherKind,
    /// A whole message was asked for in the middle of one that is received in parts.
    MessageInParts,
    /// A message that would have to wait for room, where the call never waits.
    QueueFull,
    /// Waiting for a pong while [`Config::max_backlog`](super::Config::max_backlog) bytes of messages wait to be received.
    BacklogFull,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CloseCodeForbidden(code) => write!(
                f,
                "the close code {} must not be sent; use 1000-1003, 1007-1014 or 3000-4999",
                code.get()
            ),
            Self::CloseReasonTooLong(length) => {
                write!(f, "a close reason of {length} bytes; 123 bytes of UTF-8 are the most")
            }
            Self::NotOpen => write!(f, "nothing can be sent after close() was called"),
            Self::MessageUnfinished => {
                write!(f, "a message that is sent in parts is unfinished; send its last part first")
            }
            Self::PartOfOtherKind => write!(f, "the parts of a message are all text or all binary"),
            Self::MessageInParts => {
                write!(f, "a message is being received in parts; receive its last part first")
            }
            Self::QueueFull => write!(f, "the send queue is full"),
            Self::BacklogFull => {
                write!(f, "too many messages wait to be received before the pong; receive them first")
            }
        }
    }
}

impl std::error::Error for UsageError {}

/// How a connection came to its end. Set once; never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The closing handshake was completed; what the peer's Close frame said.
    Closed(CloseFrame),
    /// The peer ended the stream without a Close frame, or was cut off: code 1006.
    Abnormal,
    /// The peer broke the protocol or a limit; a Close frame told it so.
    Failed(PeerError),
    /// A time limit ran out.
    Timeout(Timeout),
}

impl Ending {
    /// The close code of this ending as RFC 6455 7.1.5 defines it: the peer's, 1005 for an empty Close frame,
    /// 1006 without one; for a failure the code that we sent.
    pub const fn code(&self) -> CloseCode {
        match self {
            Self::Closed(frame) => frame.code,
            Self::Failed(error) => error.close_code(),
            Self::Abnormal | Self::Timeout(_) => CloseCode::ABNORMAL,
        }
    }
}
