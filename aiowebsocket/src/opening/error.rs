//! Why the opening handshake failed: what, and whose fault. First the client's side, then the server's.

use std::fmt;

use http::StatusCode;

use super::http::{FieldError, HeadFault, HeadLimits, HeadOverflow, shortened};
use super::refusal::Refusal;
use super::response::ResponseFault;

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
    /// A 101 with the same extension twice, where it can be used once.
    ExtensionRepeated {
        /// Its name.
        name: String,
    },
    /// A 101 whose answer to our offer of permessage-deflate has a parameter that it must not have, or lacks one
    /// (RFC 7692 7.1).
    ExtensionParameter {
        /// The parameter's name.
        name: String,
        /// What is wrong with it.
        fault: ParameterFault,
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

impl From<ResponseFault> for HandshakeError {
    fn from(fault: ResponseFault) -> Self {
        match fault {
            ResponseFault::NotHttp { start } => Self::NotHttp { start },
            ResponseFault::Malformed(fault) => Self::MalformedHead { fault },
            ResponseFault::Version => Self::HttpVersion,
            ResponseFault::TooLarge { limit } => Self::HeadTooLarge { limit },
            ResponseFault::TooManyLines { limit } => Self::TooManyLines { limit },
            ResponseFault::TooManyInterim { limit } => Self::TooManyInterim { limit },
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
            Self::ExtensionRepeated { name } => {
                write!(f, "the server chose the extension {name:?} more than once")
            }
            Self::ExtensionParameter { name, fault } => {
                write!(f, "the server's permessage-deflate has {fault}: {:?}", shortened(name))
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

/// What is wrong with a parameter in the answer to an offer of permessage-deflate (RFC 7692 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterFault {
    /// The extension has no such parameter.
    Unknown,
    /// It stands there twice.
    Repeated,
    /// Its value is missing, is there where none belongs, or is outside of 8 to 15.
    Value,
    /// It may stand only in an answer to an offer that has it.
    NotOffered,
    /// The offer demanded it, and the answer does not have it.
    Missing,
    /// Its value is larger than the offer's.
    Larger,
}

impl fmt::Display for ParameterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "an unknown parameter",
            Self::Repeated => "a parameter twice",
            Self::Value => "a parameter with a wrong value, or none",
            Self::NotOffered => "a parameter that was not offered",
            Self::Missing => "not a parameter that was demanded",
            Self::Larger => "a parameter with a larger value than was offered",
        })
    }
}

/// An option outside of its range: a mistake of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutOfRange {
    /// The option.
    pub option: &'static str,
    /// Its value as it was given.
    pub value: u8,
    /// The least that it may be.
    pub least: u8,
    /// The most that it may be.
    pub most: u8,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { option, value, least, most } = self;
        write!(f, "the {option} {value} is outside of its range, {least} to {most}")
    }
}

/// Why a request cannot be answered with an open connection. The client's fault, but for [`Finished`](Self::Finished).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptError {
    /// The head does not follow RFC 9112.
    MalformedHead {
        /// Where it does not.
        fault: HeadFault,
    },
    /// The head has more bytes than [`HeadLimits::max_bytes`].
    HeadTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The head has more header lines than [`HeadLimits::max_lines`].
    TooManyLines {
        /// The limit.
        limit: usize,
    },
    /// The request is not HTTP/1.1 (RFC 6455 4.2.1, item 1). HTTP/2 has another handshake (RFC 8441).
    HttpVersion,
    /// The method is not GET (RFC 6455 4.2.1, item 1).
    Method {
        /// The method.
        method: String,
    },
    /// The target is neither a path nor an absolute `http:` or `https:` address (RFC 6455 4.2.1, item 1).
    Target,
    /// There is no Host, more than one, or its value is malformed (RFC 6455 4.2.1, item 2; RFC 9112 3.2).
    Host,
    /// The request announces a body.
    Body,
    /// There is no Upgrade to `websocket`, or Connection does not say so (RFC 6455 4.2.1, items 3 and 4).
    NotUpgrade,
    /// Sec-WebSocket-Version does not name 13 (RFC 6455 4.2.1, item 6).
    Version,
    /// Sec-WebSocket-Version stands there more than once (RFC 6455 11.3.5).
    VersionRepeated,
    /// There is not one Sec-WebSocket-Key, or it is not the base64 of 16 bytes (RFC 6455 4.2.1, item 5).
    Key,
    /// Sec-WebSocket-Protocol is empty or has something that is no token (RFC 6455 11.3.4).
    SubprotocolsMalformed,
    /// Sec-WebSocket-Extensions is malformed (RFC 6455 9.1).
    ExtensionsMalformed,
    /// The client sent more than a little before it had our answer (RFC 6455 4.1 has it wait).
    TooEarly {
        /// The limit.
        limit: usize,
    },
    /// The request was not complete in time.
    Timeout,
    /// The client ended its stream before its request was complete.
    UnexpectedEnd {
        /// The bytes that had come.
        received: usize,
    },
    /// The client ended its stream before it was answered.
    EndBeforeAnswer,
    /// The handshake had ended before this call; a mistake of the caller.
    Finished,
}

impl AcceptError {
    /// The limit that was met.
    pub(super) fn overflow(overflow: HeadOverflow, limits: HeadLimits) -> Self {
        match overflow {
            HeadOverflow::Bytes => Self::HeadTooLarge { limit: limits.max_bytes },
            HeadOverflow::Lines => Self::TooManyLines { limit: limits.max_lines },
        }
    }

    /// The status of the answer that the machine queued; `None` when nobody is there to read one.
    pub fn status(&self) -> Option<StatusCode> {
        Some(match self {
            Self::HeadTooLarge { .. } | Self::TooManyLines { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::MalformedHead { .. }
            | Self::Target
            | Self::Host
            | Self::Body
            | Self::VersionRepeated
            | Self::Key
            | Self::SubprotocolsMalformed
            | Self::ExtensionsMalformed
            | Self::TooEarly { .. } => StatusCode::BAD_REQUEST,
            Self::UnexpectedEnd { .. } | Self::EndBeforeAnswer | Self::Finished => return None,
        })
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedHead { fault } => write!(f, "the request is malformed: {fault}"),
            Self::HeadTooLarge { limit } => write!(f, "the head of the request is larger than {limit} bytes"),
            Self::TooManyLines { limit } => write!(f, "the request has more than {limit} header lines"),
            Self::HttpVersion => f.write_str("the request is not HTTP/1.1"),
            Self::Method { method } => {
                write!(f, "the method is {:?}, and a WebSocket opens with GET", shortened(method))
            }
            Self::Target => f.write_str("the request target is malformed"),
            Self::Host => f.write_str("the request has not one valid Host header"),
            Self::Body => f.write_str("the request announces a body, and an upgrade request has none"),
            Self::NotUpgrade => f.write_str("the request does not ask for an upgrade to websocket"),
            Self::Version => f.write_str("the request does not ask for version 13 of the WebSocket protocol"),
            Self::VersionRepeated => f.write_str("the request has Sec-WebSocket-Version more than once"),
            Self::Key => f.write_str("the request has not one Sec-WebSocket-Key of 16 bytes in base64"),
            Self::SubprotocolsMalformed => f.write_str("the request's Sec-WebSocket-Protocol is malformed"),
            Self::ExtensionsMalformed => f.write_str("the request's Sec-WebSocket-Extensions is malformed"),
            Self::TooEarly { limit } => {
                write!(f, "the client sent more than {limit} bytes before it was answered")
            }
            Self::Timeout => f.write_str("the request was not complete in time"),
            Self::UnexpectedEnd { received } => {
                write!(f, "the client closed the connection after {received} bytes of its request")
            }
            Self::EndBeforeAnswer => {
                f.write_str("the client closed the connection before its request was answered")
            }
            Self::Finished => f.write_str("the opening handshake is over: the call came too late"),
        }
    }
}

impl std::error::Error for AcceptError {}

/// Why an answer cannot be given: a mistake of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// There is no request, or it has been answered.
    NoRequest,
    /// The subprotocol was not offered (RFC 6455 4.2.2, item 5).
    SubprotocolNotOffered {
        /// Its name.
        name: String,
    },
    /// The extensions are malformed, given twice, or were not offered (RFC 6455 4.2.2, item 5, and 9.1).
    Extensions,
    /// An option of the compression that is outside of its range.
    Option(OutOfRange),
    /// A refusal needs a final status, 200 or above.
    NotFinal {
        /// The status as it was given.
        status: StatusCode,
    },
    /// A header field that must not be written.
    Field(FieldError),
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequest => f.write_str("there is no request to be answered"),
            Self::SubprotocolNotOffered { name } => {
                write!(
                    f,
                    "the client did not offer the subprotocol {:?}: choose one it offered",
                    shortened(name)
                )
            }
            Self::Extensions => {
                f.write_str("the client did not offer these extensions, or they are malformed")
            }
            Self::Option(option) => option.fmt(f),
            Self::NotFinal { status } => {
                write!(f, "a refusal cannot have the status {}: use 200 or above", status.as_u16())
            }
            Self::Field(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReplyError {}

impl From<FieldError> for ReplyError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

/// A TLS record: a handshake (22) or an alert (21, what a TLS server answers to plain HTTP), version 3.x.
pub(super) fn looks_like_tls(start: &[u8]) -> bool {
    matches!(start, [21 | 22, 3, ..])
}
