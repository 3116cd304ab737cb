//! Why a proxy did not open a tunnel: what, and whose fault.

use std::fmt;

use http::StatusCode;

use super::super::error::looks_like_tls;
use super::super::http::{HeadFault, shortened};
use super::super::refusal::Refusal;
use super::super::response::ResponseFault;

/// How much of an answer that is no SOCKS is shown.
const NOT_SOCKS_SHOWN: usize = 32;

/// A proxy did not open a tunnel. Nothing can be sent over this connection any more: close it.
///
/// [`UnresolvedName`](Self::UnresolvedName), [`NameTooLong`](Self::NameTooLong) and [`Finished`](Self::Finished) are
/// mistakes of the caller. [`Refused`](Self::Refused), [`SocksRefused`](Self::SocksRefused),
/// [`CredentialsRefused`](Self::CredentialsRefused) and [`NoAcceptableMethod`](Self::NoAcceptableMethod) are the
/// proxy's right. All others are its fault, or that of something that is no such proxy. None of the messages repeats
/// what was sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProxyFault {
    /// An HTTP proxy answered with a status outside of 2xx.
    Refused(Box<Refusal>),
    /// What came does not begin like an HTTP response.
    NotHttp {
        /// The first bytes that came, 32 at most.
        start: Vec<u8>,
    },
    /// The head of the response does not follow RFC 9112.
    MalformedHead {
        /// Where it does not.
        fault: HeadFault,
    },
    /// The response is neither HTTP/1.1 nor HTTP/1.0.
    HttpVersion,
    /// The head has more bytes than [`HeadLimits::max_bytes`](super::super::HeadLimits::max_bytes), interim responses
    /// included.
    HeadTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The head has more header lines than [`HeadLimits::max_lines`](super::super::HeadLimits::max_lines).
    TooManyLines {
        /// The limit.
        limit: usize,
    },
    /// More interim responses (1xx) came than anybody sends.
    TooManyInterim {
        /// The limit.
        limit: u8,
    },
    /// A 101 to a request that did not ask for an upgrade (RFC 9110 15.2.2).
    SwitchedProtocols,
    /// The answer came before what it answers was sent.
    AnsweredEarly,
    /// The proxy ended its stream before its answer was complete.
    UnexpectedEnd {
        /// The bytes that had come.
        received: usize,
    },
    /// What came does not begin like SOCKS5 (RFC 1928 3).
    NotSocks {
        /// The first bytes that came, 32 at most.
        start: Vec<u8>,
    },
    /// The proxy takes none of the methods of authentication that were offered (RFC 1928 3).
    NoAcceptableMethod {
        /// Whether user and password were among them.
        has_credentials: bool,
    },
    /// The proxy chose a method of authentication that was not offered (RFC 1928 3).
    MethodNotOffered {
        /// The method.
        method: u8,
    },
    /// The proxy does not take this user and password (RFC 1929 2).
    CredentialsRefused {
        /// The status it gave; its meaning is the proxy's own.
        status: u8,
    },
    /// A SOCKS proxy did not connect to the server (RFC 1928 6).
    SocksRefused {
        /// Why.
        reply: SocksReply,
    },
    /// A message of a SOCKS proxy does not follow RFC 1928 6 or RFC 1929 2.
    MalformedReply {
        /// The part that is wrong.
        part: &'static str,
        /// Its value.
        value: u8,
    },
    /// The name is longer than the 255 bytes that SOCKS5 can carry (RFC 1928 5): have it resolved here, with
    /// `socks5://`.
    NameTooLong {
        /// How long it is.
        length: usize,
    },
    /// A name for a proxy that gets IP addresses only ([`Proxy::resolves_names`](super::super::Proxy::resolves_names)).
    UnresolvedName {
        /// The name.
        name: String,
    },
    /// The dialogue had ended before this call; a mistake of the caller.
    Finished,
}

impl ProxyFault {
    pub(super) fn not_socks(start: &[u8]) -> Self {
        Self::NotSocks { start: start[..start.len().min(NOT_SOCKS_SHOWN)].to_vec() }
    }

    /// Whether the same attempt may succeed later, with nothing changed here.
    ///
    /// Final are: a status of 3xx and 4xx other than 408, 425 and 429; credentials and methods of authentication that
    /// are not taken; the SOCKS replies that name a rule or a lack of the proxy (2, 7, 8); an answer in another
    /// protocol; and the mistakes of the caller.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                refusal.status.is_server_error()
                    || matches!(
                        refusal.status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
                    )
            }
            Self::SocksRefused { reply } => !matches!(
                *reply,
                SocksReply::NOT_ALLOWED
                    | SocksReply::COMMAND_NOT_SUPPORTED
                    | SocksReply::ADDRESS_TYPE_NOT_SUPPORTED
            ),
            Self::MalformedHead { .. }
            | Self::HttpVersion
            | Self::HeadTooLarge { .. }
            | Self::TooManyLines { .. }
            | Self::TooManyInterim { .. }
            | Self::SwitchedProtocols
            | Self::AnsweredEarly
            | Self::UnexpectedEnd { .. }
            | Self::MethodNotOffered { .. }
            | Self::MalformedReply { .. } => true,
            Self::NotHttp { .. }
            | Self::NotSocks { .. }
            | Self::NoAcceptableMethod { .. }
            | Self::CredentialsRefused { .. }
            | Self::NameTooLong { .. }
            | Self::UnresolvedName { .. }
            | Self::Finished => false,
        }
    }
}

impl From<ResponseFault> for ProxyFault {
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

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => {
                write!(f, "the proxy refused the tunnel: {}", refusal.status.as_u16())?;
                match refusal.status.canonical_reason() {
                    Some(reason) => write!(f, " {reason}"),
                    None => Ok(()),
                }
            }
            Self::NotHttp { start } => {
                let hint = match start.first() {
                    _ if looks_like_tls(start) => ", which is TLS (use https:// for the proxy)",
                    Some(5) => ", which is SOCKS5 (use socks5:// or socks5h:// for the proxy)",
                    _ => "",
                };
                let start = start.escape_ascii();
                write!(f, "the proxy does not speak HTTP here: its answer begins with \"{start}\"{hint}")
            }
            Self::MalformedHead { fault } => write!(f, "the proxy's response is malformed: {fault}"),
            Self::HttpVersion => f.write_str("the proxy's response is not HTTP/1.1"),
            Self::HeadTooLarge { limit } => {
                write!(f, "the head of the proxy's response is larger than {limit} bytes")
            }
            Self::TooManyLines { limit } => {
                write!(f, "the proxy's response has more than {limit} header lines")
            }
            Self::TooManyInterim { limit } => {
                write!(f, "the proxy sent more than {limit} interim responses (1xx)")
            }
            Self::SwitchedProtocols => {
                f.write_str("the proxy answered 101 to a CONNECT, which asks for no upgrade: it is no proxy")
            }
            Self::AnsweredEarly => f.write_str("the proxy answered before it was asked"),
            Self::UnexpectedEnd { received: 0 } => {
                f.write_str("the proxy closed the connection without an answer")
            }
            Self::UnexpectedEnd { received } => {
                write!(
                    f,
                    "the proxy closed the connection in the middle of its answer, after {received} bytes"
                )
            }
            Self::NotSocks { start } => {
                let hint = match start.first() {
                    Some(b'H') => ", which is HTTP (use http:// for the proxy)",
                    Some(0 | 4) => ", which is SOCKS4 (and that is not supported)",
                    _ => "",
                };
                let start = start.escape_ascii();
                write!(f, "the proxy does not speak SOCKS5 here: its answer begins with \"{start}\"{hint}")
            }
            Self::NoAcceptableMethod { has_credentials: false } => f.write_str(
                "the SOCKS proxy does not let us in without authentication: give it a user and a password",
            ),
            Self::NoAcceptableMethod { has_credentials: true } => {
                f.write_str("the SOCKS proxy wants another way of authentication than user and password")
            }
            Self::MethodNotOffered { method } => write!(
                f,
                "the SOCKS proxy chose the authentication method 0x{method:02x}, which was not offered"
            ),
            Self::CredentialsRefused { status } => {
                write!(f, "the SOCKS proxy does not take this user and password (status {status})")
            }
            Self::SocksRefused { reply } => {
                write!(f, "the SOCKS proxy did not connect to the server: {reply}")
            }
            Self::MalformedReply { part, value } => {
                write!(f, "the SOCKS proxy's answer is malformed: the {part} is 0x{value:02x}")
            }
            Self::NameTooLong { length } => write!(
                f,
                "the server's name has {length} bytes, and SOCKS5 carries 255: have it resolved here (socks5://)"
            ),
            Self::UnresolvedName { name } => write!(
                f,
                "the SOCKS proxy gets IP addresses only, and {:?} is a name: resolve it first, or use socks5h://",
                shortened(name)
            ),
            Self::Finished => f.write_str("the dialogue with the proxy is over: the call came too late"),
        }
    }
}

impl std::error::Error for ProxyFault {}

/// Why a SOCKS proxy did not connect (the REP of RFC 1928 6). `Display` says what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocksReply(pub u8);

impl SocksReply {
    /// Something failed at the proxy; many say so whatever it was.
    pub const GENERAL_FAILURE: Self = Self(1);
    /// The proxy's rules do not allow it.
    pub const NOT_ALLOWED: Self = Self(2);
    /// The network cannot be reached from there.
    pub const NETWORK_UNREACHABLE: Self = Self(3);
    /// The host cannot be reached from there, or its name does not resolve.
    pub const HOST_UNREACHABLE: Self = Self(4);
    /// The server refused the connection.
    pub const CONNECTION_REFUSED: Self = Self(5);
    /// It took too many hops.
    pub const TTL_EXPIRED: Self = Self(6);
    /// The proxy does not open connections.
    pub const COMMAND_NOT_SUPPORTED: Self = Self(7);
    /// The proxy does not know addresses of this type.
    pub const ADDRESS_TYPE_NOT_SUPPORTED: Self = Self(8);
}

impl fmt::Display for SocksReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match *self {
            Self::GENERAL_FAILURE => "general failure",
            Self::NOT_ALLOWED => "not allowed by its rules",
            Self::NETWORK_UNREACHABLE => "network unreachable",
            Self::HOST_UNREACHABLE => "host unreachable",
            Self::CONNECTION_REFUSED => "connection refused",
            Self::TTL_EXPIRED => "time to live expired",
            Self::COMMAND_NOT_SUPPORTED => "it does not open connections",
            Self::ADDRESS_TYPE_NOT_SUPPORTED => "it does not know addresses of this type",
            Self(_) => "a reason that RFC 1928 does not know",
        };
        write!(f, "{meaning} (reply {})", self.0)
    }
}
