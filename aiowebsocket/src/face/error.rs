//! The one error of the faces: which step failed and whose fault it is.

use std::fmt;
use std::io;

use http::StatusCode;

use super::program::ProgramError;
use crate::layer::TlsError;
use crate::opening::{
    AcceptError, ConnectError, Failure, HandshakeError, OpenStep, ProxyFault, ProxyRulesError, RedirectError,
    ReplyError, RequestError, UrlError,
};
use crate::protocol::{CloseCode, Ending, PeerError, Timeout, UsageError};

/// What went wrong, by the step that failed. Small, because every result carries room for one: what is large is boxed.
#[non_exhaustive]
pub enum Error {
    /// The address is wrong. Nothing was dialled.
    Url(Box<UrlError>),
    /// A header, subprotocol or other part of the request is wrong. Nothing was dialled.
    Request(Box<RequestError>),
    /// The name could not be resolved, or has no address. Inside is a [`ResolveError`](crate::opening::ResolveError), which has
    /// the name and the cause.
    Dns(io::Error),
    /// No connection to the host, or to its proxy, could be made. Inside is a [`DialError`](crate::opening::DialError), which has each
    /// address with its cause.
    Connect(io::Error),
    /// What the environment, or whose rules they are, says about proxies is wrong. Nothing was dialled.
    ProxyRules(Box<ProxyRulesError>),
    /// The proxy opened no tunnel; a refusal keeps its status, headers and the first part of its body.
    Proxy(Box<ProxyFault>),
    /// The connection could not be made secure, or is no more.
    Tls(Box<TlsError>),
    /// The server sent us where nobody may.
    Redirect(Box<RedirectError>),
    /// The server's side of the opening handshake is wrong, or it refused; a refusal keeps status, headers and the
    /// first part of the body.
    Handshake(Box<HandshakeError>),
    /// The client's side of the opening handshake is wrong: said by `accept`.
    Accept(Box<AcceptError>),
    /// The peer broke the protocol; a Close frame with [`PeerError::close_code`] told it so.
    Protocol(Box<PeerError>),
    /// The peer sent more than the limits allow; a Close frame with 1009 told it so.
    TooBig(Box<PeerError>),
    /// The application refused the client's request with this status: said by `accept`.
    Refused(StatusCode),
    /// The application's answer to the client's request cannot be given: said by `accept`.
    Reply(Box<ReplyError>),
    /// A time limit ran out.
    Timeout(TimeLimit),
    /// The connection is closed: the peer's code and reason, or 1006 where it ended without a Close frame.
    Closed {
        /// The close code.
        code: CloseCode,
        /// The peer's reason; often empty.
        reason: Box<str>,
    },
    /// There is no connection now, and nothing was sent: said by [`Reconnecting`](crate::Reconnecting) between two of them.
    NotConnected,
    /// The caller's fault; nothing was sent.
    Usage(UsageError),
    /// The stream broke.
    Io(io::Error),
    /// What the program itself found: see [`Error::passing`] and [`Error::lasting`].
    Program(Box<ProgramError>),
}

/// Which time limit ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeLimit {
    /// Opening as a whole; it ran out during this step.
    Open(OpenStep),
    /// One step of opening, whose own limit it was.
    Step(OpenStep),
    /// The peer sent no byte within the keep-alive's timeout after a ping.
    KeepAlive,
    /// The closing handshake.
    Close,
    /// A call that waits for a message so long and no longer: said by
    /// [`recv_timeout`](crate::blocking::WebSocket::recv_timeout). The connection goes on.
    Receive,
}

impl Error {
    /// Whether the same call may succeed later: the network or the server was at fault for now, not the call. The rules are
    /// [`Failure::is_final`]'s.
    pub fn is_retryable(&self) -> bool {
        !self.failure().is_final()
    }

    /// What it comes to where another attempt is thought of.
    pub(crate) fn failure(&self) -> Failure<'_> {
        match self {
            Self::Connect(_) | Self::Dns(_) | Self::Timeout(_) | Self::Io(_) | Self::NotConnected => {
                Failure::Passing
            }
            Self::Program(error) if !error.is_lasting => Failure::Passing,
            Self::Proxy(fault) => (&**fault).into(),
            Self::Tls(error) => (&**error).into(),
            Self::Closed { code, .. } => Failure::Closed(code.get()),
            Self::Handshake(error) => Failure::Handshake(error),
            Self::Url(_)
            | Self::ProxyRules(_)
            | Self::Redirect(_)
            | Self::Request(_)
            | Self::Accept(_)
            | Self::Refused(_)
            | Self::Reply(_)
            | Self::Protocol(_)
            | Self::TooBig(_)
            | Self::Usage(_)
            | Self::Program(_) => Failure::Lasting,
        }
    }

    fn variant(&self) -> &'static str {
        match self {
            Self::Url(_) => "Url",
            Self::Request(_) => "Request",
            Self::Dns(_) => "Dns",
            Self::Connect(_) => "Connect",
            Self::ProxyRules(_) => "ProxyRules",
            Self::Proxy(_) => "Proxy",
            Self::Tls(_) => "Tls",
            Self::Redirect(_) => "Redirect",
            Self::Handshake(_) => "Handshake",
            Self::Accept(_) => "Accept",
            Self::Protocol(_) => "Protocol",
            Self::TooBig(_) => "TooBig",
            Self::Refused(_) => "Refused",
            Self::Reply(_) => "Reply",
            Self::Timeout(_) => "Timeout",
            Self::Closed { .. } => "Closed",
            Self::NotConnected => "NotConnected",
            Self::Usage(_) => "Usage",
            Self::Io(_) => "Io",
            Self::Program(_) => "Program",
        }
    }

    pub(crate) fn from_ending(ending: Ending, broken: Option<&io::Error>, tls: Option<&TlsError>) -> Self {
        match ending {
            Ending::Closed(frame) => Self::Closed { code: frame.code, reason: frame.reason.into() },
            Ending::Abnormal => match (broken, tls) {
                (Some(error), _) => Self::Io(copy(error)),
                (None, Some(error)) => Self::Tls(Box::new(error.clone())),
                (None, None) => Self::Closed { code: CloseCode::ABNORMAL, reason: Box::default() },
            },
            Ending::Failed(error) if error.close_code() == CloseCode::TOO_BIG => {
                Self::TooBig(Box::new(error))
            }
            Ending::Failed(error) => Self::Protocol(Box::new(error)),
            Ending::Timeout(Timeout::KeepAlive) => Self::Timeout(TimeLimit::KeepAlive),
            Ending::Timeout(Timeout::Close) => Self::Timeout(TimeLimit::Close),
        }
    }
}

/// The same error again: a connection tells its end to whoever asks, however often.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl fmt::Debug for Error {
    /// The variant, and what `Display` says: as much as a panic should tell. The errors inside have a `Debug` of each field, and of those
    /// all would be in every program that unwraps a result.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({self})", self.variant())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Dns(error) => error.fmt(f),
            Self::Connect(error) => write!(f, "no connection could be made: {error}"),
            Self::ProxyRules(error) => error.fmt(f),
            Self::Proxy(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Redirect(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Accept(error) => error.fmt(f),
            Self::Refused(status) => write!(f, "the request was refused with {status}"),
            Self::Reply(error) => error.fmt(f),
            Self::Protocol(error) | Self::TooBig(error) => {
                write!(f, "{error} ({})", error.close_code().get())
            }
            Self::Timeout(TimeLimit::Open(step)) => {
                write!(f, "the connection was not open within its time limit, which ran out during {step}")
            }
            Self::Timeout(TimeLimit::Step(step)) => write!(f, "{step} was not done within its time limit"),
            Self::Timeout(TimeLimit::KeepAlive) => {
                write!(f, "the peer is silent: no byte came within the time limit after a ping")
            }
            Self::Timeout(TimeLimit::Receive) => {
                write!(f, "no message came within the time limit of the call")
            }
            Self::Timeout(TimeLimit::Close) => {
                write!(f, "the peer did not complete the closing handshake within its time limit")
            }
            Self::Closed { code: CloseCode::ABNORMAL, .. } => {
                write!(f, "the peer ended the connection without a Close frame (1006)")
            }
            Self::Closed { code, reason } if reason.is_empty() => {
                write!(f, "the connection was closed: {code}")
            }
            Self::Closed { code, reason } => write!(f, "the connection was closed: {code}: {reason:?}"),
            Self::NotConnected => f.write_str("there is no connection now: nothing was sent"),
            Self::Usage(error) => error.fmt(f),
            Self::Io(error) => write!(f, "the connection broke: {error}"),
            Self::Program(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    /// What is behind the error inside, which `Display` has said already: whoever prints the chain prints nothing twice.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Dns(error) | Self::Connect(error) | Self::Io(error) => error.source(),
            Self::ProxyRules(error) => error.source(),
            Self::Proxy(error) => error.source(),
            Self::Tls(error) => error.source(),
            Self::Redirect(error) => error.source(),
            Self::Program(error) => error.source(),
            Self::Url(_)
            | Self::Request(_)
            | Self::Handshake(_)
            | Self::Accept(_)
            | Self::Protocol(_)
            | Self::TooBig(_)
            | Self::Refused(_)
            | Self::Reply(_)
            | Self::Timeout(_)
            | Self::Closed { .. }
            | Self::NotConnected
            | Self::Usage(_) => None,
        }
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::ProxyRules(error) => Self::ProxyRules(Box::new(error)),
            ConnectError::Request(error) => error.into(),
            ConnectError::Random(error) => Self::Io(error),
            ConnectError::Resolve(error) => Self::Dns(error.into()),
            ConnectError::Connect(error) => Self::Connect(error.into()),
            ConnectError::Proxy(error) => Self::Proxy(Box::new(error)),
            ConnectError::Tls(error) => Self::Tls(Box::new(error)),
            ConnectError::Handshake(error) => error.into(),
            ConnectError::Redirect(error) => Self::Redirect(Box::new(error)),
            ConnectError::Timeout { step, whole: true } => Self::Timeout(TimeLimit::Open(step)),
            ConnectError::Timeout { step, whole: false } => Self::Timeout(TimeLimit::Step(step)),
        }
    }
}

impl From<UsageError> for Error {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}

impl From<UrlError> for Error {
    fn from(error: UrlError) -> Self {
        Self::Url(Box::new(error))
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        Self::Request(Box::new(error))
    }
}

impl From<HandshakeError> for Error {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(Box::new(error))
    }
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        Self::Tls(Box::new(error))
    }
}

impl From<AcceptError> for Error {
    fn from(error: AcceptError) -> Self {
        Self::Accept(Box::new(error))
    }
}

impl From<ReplyError> for Error {
    fn from(error: ReplyError) -> Self {
        Self::Reply(Box::new(error))
    }
}

const _: () = assert!(size_of::<Error>() <= 24, "results are moved often");

#[cfg(all(test, feature = "proxies", feature = "redirects"))]
mod tests {
    use std::error::Error as _;
    use std::io;
    use std::time::Instant;

    use http::StatusCode;

    use super::{Error, TimeLimit};
    use crate::layer::{TlsError, TlsFault};
    use crate::opening::{
        AcceptError, Address, ConnectError, DialError, Dialling, HandshakeError, OpenStep, Proxy, ProxyFault,
        ProxyRulesError, RedirectError, RedirectFault, ReplyError, RequestError, ResolveError,
    };
    use crate::protocol::{CloseCode, PeerError, UsageError};

    /// What a program of its own may fail with: two errors, the second behind the first.
    #[derive(Debug)]
    struct Outer(io::Error);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the outer of the two")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    fn outer() -> io::Error {
        io::Error::other(Outer(io::Error::other("the inner one")))
    }

    fn refused() -> io::Error {
        io::Error::from_raw_os_error(111)
    }

    fn undialled(cause: io::Error) -> DialError {
        let mut dialling = Dialling::new(&[([127, 0, 0, 1], 1).into()], None);
        #[expect(clippy::disallowed_methods, reason = "a moment like any other")]
        let now = Instant::now();
        let attempt = dialling.next(now).expect("not over").expect("one address");
        dialling.failed(attempt.id, cause);
        dialling.next(now).expect_err("it was the only one")
    }

    /// The texts of an error and of all that is behind it.
    fn chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
        let mut texts = vec![error.to_string()];
        let mut behind = error.source();
        while let Some(error) = behind {
            texts.push(error.to_string());
            behind = error.source();
        }
        texts
    }

    #[test]
    fn no_text_of_a_chain_stands_in_one_before_it() {
        let not_an_address = || Address::parse("nonsense").expect_err("no address");
        let status = StatusCode::FOUND;
        let tls = |fault, cause| Error::from(TlsError::caused(fault, cause));
        let rules = ProxyRulesError {
            variable: "ALL_PROXY".to_owned(),
            error: Proxy::parse("ftp://nonsense").expect_err("no proxy"),
        };
        let unresolved = |cause| ConnectError::Resolve(ResolveError::new("example.com".to_owned(), cause));
        let redirect = RedirectError { status, fault: RedirectFault::Address(not_an_address()) };
        let opening = [
            unresolved(refused()),
            unresolved(outer()),
            ConnectError::Connect(undialled(refused())),
            ConnectError::Connect(undialled(outer())),
            ConnectError::Random(outer()),
            ConnectError::ProxyRules(rules),
            ConnectError::Proxy(ProxyFault::HttpVersion),
            ConnectError::Redirect(redirect),
            ConnectError::Handshake(HandshakeError::NotHttp { start: vec![1] }),
            ConnectError::Timeout { step: OpenStep::Resolve, whole: true },
        ];
        for error in &opening {
            holds(error);
        }
        let errors = [
            Error::from(not_an_address()),
            RequestError::Required { name: "Host".to_owned() }.into(),
            tls(TlsFault::BadCertificate, outer()),
            tls(TlsFault::Broken, refused()),
            tls(TlsFault::Configuration, outer()),
            tls(TlsFault::NoCommonProtocol, outer()),
            tls(TlsFault::UnknownIssuer, outer()),
            AcceptError::HeadTooLarge { limit: 1 }.into(),
            Error::Protocol(Box::new(PeerError::NotUtf8)),
            Error::TooBig(Box::new(PeerError::MessageTooBig { length: 2, limit: 1 })),
            Error::Refused(StatusCode::FORBIDDEN),
            ReplyError::NoRequest.into(),
            Error::Timeout(TimeLimit::KeepAlive),
            Error::Closed { code: CloseCode::NORMAL, reason: Box::default() },
            Error::NotConnected,
            UsageError::NotOpen.into(),
            Error::Io(refused()),
            Error::Io(outer()),
            Error::passing(outer()),
            Error::lasting("the token is not taken"),
        ];
        for error in opening.into_iter().map(Error::from).chain(errors) {
            holds(&error);
            #[cfg(feature = "tokio")]
            holds(&crate::TrySendError::Closed(error));
        }
    }

    fn holds(error: &(dyn std::error::Error + 'static)) {
        let texts = chain(error);
        for (i, text) in texts.iter().enumerate() {
            assert!(!texts[..i].iter().any(|before| before.contains(text)), "{texts:?}");
        }
    }

    /// What `Display` has not said is still to be found.
    #[test]
    fn what_is_behind_the_error_inside_is_handed_on() {
        for error in [
            Error::from(ConnectError::Resolve(ResolveError::new("example.com".to_owned(), outer()))),
            ConnectError::Connect(undialled(outer())).into(),
            TlsError::caused(TlsFault::Broken, outer()).into(),
            Error::Io(outer()),
            Error::passing(outer()),
        ] {
            let texts = chain(&error);
            assert!(texts[0].ends_with("the outer of the two"), "{texts:?}");
            assert_eq!(texts[1..], ["the inner one"], "{error}");
        }
        let untrusted = Error::from(TlsError::caused(TlsFault::UnknownIssuer, refused()));
        assert!(untrusted.source().is_some(), "the library's own words");
    }
}
