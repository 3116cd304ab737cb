//! Why the opening handshake failed: what, and whose fault.

use std::fmt;

use super::http::{HeadFault, HeadLimits, HeadOverflow, shortened};
use super::refusal::Refusal;

/// The opening handshake failed (RFC 6455 4.1). Nothing can be sent over this connection any more: close it.
///
/// All but [`Refused`](Self::Refused), which is the server's right, and [`Finished`](Self::Finished), which is a
/// mistake of the caller, are the server's fault, or that of something in between that is no WebSocket server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server answered with a status other than 101.
    Refused(Box<Refusal>),
    /// What came does not begin like an HTTP response: the port speaks TLS, SSH, or something else.
    NotHttp {
        /// The first bytes that came, 32 at most.
        start: Vec<u8>,
    },
    /// The head does not follow RFC 9112.
    MalformedHead {
        /// Where it does not.
        fault: HeadFault,
    },
    /// The head has more bytes than [`HeadLimits::max_bytes`], interim responses included.
    HeadTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The head has more header lines than [`HeadLimits::max_lines`].
    TooManyLines {
        /// The limit.
        limit: usize,
    },
    /// More interim responses (1xx) came than anybody sends.
    TooManyInterim {
        /// The limit.
        limit: u8,
    },
    /// The server ended its stream before its response was complete.
    UnexpectedEnd {
        /// The bytes that had come.
        received: usize,
    },
    /// The response is neither HTTP/1.1 nor HTTP/1.0, or a 101 is not HTTP/1.1.
    HttpVersion,
    /// A 101 whose Upgrade is not `websocket` (RFC 6455 4.1, item 2).
    Upgrade,
    /// A 101 whose Connection has no `upgrade` (RFC 6455 4.1, item 3).
    Connection,
    /// A 101 without Sec-WebSocket-Accept (RFC 6455 4.1, item 4).
    AcceptMissing,
    /// A 101 whose Sec-WebSocket-Accept does not answer our key (RFC 6455 4.1, item 4).
    AcceptMismatch,
    /// A 101 with several lines of Sec-WebSocket-Accept (RFC 6455 11.3.3).
    AcceptRepeated,
    /// A 101 whose Sec-WebSocket-Extensions is malformed (RFC 6455 9.1).
    ExtensionsMalformed,
    /// A 101 with several lines of Sec-WebSocket-Extensions (RFC 6455 11.3.2).
    ExtensionsRepeated,
    /// A 101 with an extension that was not offered (RFC 6455 4.1, item 5).
    ExtensionNotOffered {
        /// Its name.
        name: String,
    },
    /// A 101 with a subprotocol that was not offered, or an empty one (RFC 6455 4.1, item 6).
    SubprotocolNotOffered {
        /// Its name.
        name: String,
    },
    /// A 101 with several lines of Sec-WebSocket-Protocol (RFC 6455 11.3.4).
    SubprotocolRepeated,
    /// The handshake had ended before this call; a mistake of the caller.
    Finished,
}

impl HandshakeError {
    /// The limit that was met.
    pub(super) fn overflow(overflow: HeadOverflow, limits: HeadLimits) -> Self {
        match overflow {
            HeadOverflow::Bytes => Self::HeadTooLarge { limit: limits.max_bytes },
            HeadOverflow::Lines => Self::TooManyLines { limit: limits.max_lines },
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NotHttp { start } => write!(
                f,
                "the server does not speak HTTP here: its answer begins with \"{}\"{}",
                start.escape_ascii(),
                if looks_like_tls(start) { ", which is TLS (use wss://)" } else { "" }
            ),
            Self::MalformedHead { fault } => write!(f, "the server's response is malformed: {fault}"),
            Self::HeadTooLarge { limit } => {
                write!(f, "the head of the server's response is larger than {limit} bytes")
            }
            Self::TooManyLines { limit } => {
                write!(f, "the server's response has more than {limit} header lines")
            }
            Self::TooManyInterim { limit } => {
                write!(f, "the server sent more than {limit} interim responses (1xx)")
            }
            Self::UnexpectedEnd { received: 0 } => {
                f.write_str("the server closed the connection without an answer to the upgrade request")
            }
            Self::UnexpectedEnd { received } => write!(
                f,
                "the server closed the connection in the middle of its response, after {received} bytes"
            ),
            Self::HttpVersion => f.write_str("the server's response is not HTTP/1.1"),
            Self::Upgrade => {
                f.write_str("the server answered 101, but its Upgrade header is not \"websocket\"")
            }
            Self::Connection => {
                f.write_str("the server answered 101, but its Connection header has no \"upgrade\"")
            }
            Self::AcceptMissing => f.write_str("the server answered 101 without Sec-WebSocket-Accept"),
            Self::AcceptMismatch => f.write_str(
                "the server's Sec-WebSocket-Accept does not answer our key: it is no WebSocket server, or the response is an old one out of a cache",
            ),
            Self::AcceptRepeated => f.write_str("the server sent Sec-WebSocket-Accept more than once"),
            Self::ExtensionsMalformed => f.write_str("the server's Sec-WebSocket-Extensions is malformed"),
            Self::ExtensionsRepeated => {
                f.write_str("the server sent Sec-WebSocket-Extensions more than once")
            }
            Self::ExtensionNotOffered { name } => {
                write!(f, "the server chose the extension {:?}, which was not offered", shortened(name))
            }
            Self::SubprotocolNotOffered { name } => {
                write!(f, "the server chose the subprotocol {:?}, which was not offered", shortened(name))
            }
            Self::SubprotocolRepeated => {
                f.write_str("the server sent Sec-WebSocket-Protocol more than once")
            }
            Self::Finished => f.write_str("the opening handshake is over: the call came too late"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// A TLS record: a handshake (22) or an alert (21, what a TLS server answers to plain HTTP), version 3.x.
fn looks_like_tls(start: &[u8]) -> bool {
    matches!(start, [21 | 22, 3, ..])
}
