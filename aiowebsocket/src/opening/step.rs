//! The steps of opening a connection: how long each may take, and what each fails with.

use std::fmt;
use std::io;
use std::time::Duration;

use super::dial::DialError;
use super::error::HandshakeError;
use super::failure::Failure;
use super::redirect::RedirectError;
use super::request::RequestError;
use super::{ProxyFault, ProxyRulesError};
use crate::layer::TlsError;

/// How long opening may take as a whole. Ten seconds, as the widespread clients allow.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long opening, and each of its steps, may take; `None` is without a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenLimits {
    /// The whole, redirects included. Default 10 s.
    pub whole: Option<Duration>,
    /// Looking a name up.
    pub resolve: Option<Duration>,
    /// One attempt to connect to one address.
    pub connect: Option<Duration>,
    /// The proxy's tunnel.
    pub proxy: Option<Duration>,
    /// The handshake of TLS, with the proxy or with the server.
    pub tls: Option<Duration>,
    /// The opening handshake: from the request to the response.
    pub upgrade: Option<Duration>,
}

impl Default for OpenLimits {
    fn default() -> Self {
        Self {
            whole: Some(OPEN_TIMEOUT),
            resolve: None,
            connect: None,
            proxy: None,
            tls: None,
            upgrade: None,
        }
    }
}

/// A step of opening a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenStep {
    /// Looking the host name up.
    Resolve,
    /// Connecting by TCP.
    Connect,
    /// The proxy's tunnel.
    Proxy,
    /// The handshake of TLS.
    Tls,
    /// The opening handshake of RFC 6455.
    Upgrade,
}

impl fmt::Display for OpenStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking the host name up",
            Self::Connect => "connecting",
            Self::Proxy => "the proxy's tunnel",
            Self::Tls => "the TLS handshake",
            Self::Upgrade => "the opening handshake",
        })
    }
}

/// Why a connection could not be opened: the step says where.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The proxy that the rules name for this address cannot be used. Nothing was dialled.
    ProxyRules(ProxyRulesError),
    /// The request cannot be sent. Nothing was dialled, or, after a redirect, nothing was asked there.
    Request(RequestError),
    /// No nonce could be drawn.
    Random(io::Error),
    /// The name could not be looked up.
    Resolve(ResolveError),
    /// No address could be connected to.
    Connect(DialError),
    /// The proxy opened no tunnel.
    Proxy(ProxyFault),
    /// TLS failed.
    Tls(TlsError),
    /// The server did not open the connection.
    Handshake(HandshakeError),
    /// The server sent us where nobody may.
    Redirect(RedirectError),
    /// A time limit ran out.
    Timeout {
        /// What was going on.
        step: OpenStep,
        /// Whether the limit was that of the whole, and not the step's own.
        whole: bool,
    },
}

/// A name that could not be resolved, or has no address.
pub struct ResolveError {
    host: String,
    cause: io::Error,
}

impl ResolveError {
    pub(crate) fn new(host: String, cause: io::Error) -> Self {
        Self { host, cause }
    }

    /// The name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Why.
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host name {:?} could not be resolved: {}", self.host, self.cause)
    }
}

impl fmt::Debug for ResolveError {
    /// What `Display` says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResolveError({self})")
    }
}

impl std::error::Error for ResolveError {
    /// What is behind the cause, which `Display` has said.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

impl From<ResolveError> for io::Error {
    /// With the kind of the cause; `get_ref` has the whole.
    fn from(error: ResolveError) -> Self {
        Self::new(error.cause.kind(), error)
    }
}

impl ConnectError {
    /// What it comes to where another attempt is thought of.
    pub fn failure(&self) -> Failure<'_> {
        match self {
            Self::Handshake(error) => Failure::Handshake(error),
            Self::Resolve(_) | Self::Connect(_) | Self::Timeout { .. } | Self::Random(_) => Failure::Passing,
            Self::Proxy(fault) => fault.into(),
            Self::Tls(error) => error.into(),
            Self::ProxyRules(_) | Self::Request(_) | Self::Redirect(_) => Failure::Lasting,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProxyRules(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Random(error) => write!(f, "the system gave no randomness: {error}"),
            Self::Resolve(error) => error.fmt(f),
            Self::Connect(error) => write!(f, "no connection could be made: {error}"),
            Self::Proxy(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Redirect(error) => error.fmt(f),
            Self::Timeout { step, whole: true } => {
                write!(f, "the connection was not open within its time limit, which ran out during {step}")
            }
            Self::Timeout { step, whole: false } => write!(f, "{step} was not done within its time limit"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // `Display` has said them already.
            Self::Random(error) => error.source(),
            Self::Resolve(error) => error.source(),
            Self::ProxyRules(error) => error.source(),
            Self::Connect(error) => error.source(),
            Self::Proxy(error) => error.source(),
            Self::Tls(error) => error.source(),
            Self::Redirect(error) => error.source(),
            Self::Request(_) | Self::Handshake(_) | Self::Timeout { .. } => None,
        }
    }
}

impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<ProxyFault> for ConnectError {
    fn from(error: ProxyFault) -> Self {
        Self::Proxy(error)
    }
}

impl From<HandshakeError> for ConnectError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}
