//! The opening handshake (RFC 6455 4), the client's side ([`Opening`]) and the server's ([`Accepting`]).
//!
//! Both are machines: bytes and the time go in; bytes, an outcome and the next deadline come out. Nothing here opens
//! a socket, reads a clock, or draws a random number, and no peer can make it panic, hold more than the limits say,
//! or work more than once on a byte.
//!
//! ```text
//! Address ─► RequestHead ─► Opening ─► request bytes          request bytes ─► Accepting ─► Request
//!                              ▲                                                  ▲            │
//!                              └── response bytes ─► Opened, or HandshakeError    └── accept() or refuse()
//! ```

mod accept;
mod backoff;
mod body;
mod connecting;
mod credentials;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "without_deflate.rs"]
mod deflate;
mod dial;
mod error;
mod extension;
mod failure;
mod http;
mod journal;
mod milestone;
#[cfg(feature = "proxies")]
mod nested;
#[cfg(feature = "proxies")]
mod proxy;
#[cfg(feature = "proxies")]
mod proxy_rules;
#[cfg(feature = "redirects")]
mod redirect;
#[cfg(not(feature = "redirects"))]
#[path = "without_redirects.rs"]
mod redirect;
mod refusal;
mod request;
mod response;
mod shown;
mod step;
#[cfg(feature = "proxies")]
mod tunnel;
mod upgrade;
mod url;
mod wire;
#[cfg(not(feature = "proxies"))]
mod without_proxies;

use std::fmt;
use std::mem;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ::http::header::SEC_WEBSOCKET_PROTOCOL;
use ::http::{HeaderMap, HeaderValue, StatusCode};

pub use self::accept::{AcceptProgress, Accepting};
pub use self::backoff::{Backoff, GaveUp, Retries};
pub use self::connecting::{Connecting, Next, ProxyChoice};
pub use self::dial::{Attempt, AttemptId, DialError, Dialling};
pub use self::error::{AcceptError, HandshakeError, OutOfRange, ParameterFault, ReplyError};
pub use self::extension::Extension;
pub use self::failure::Failure;
pub use self::http::{FieldError, HeadFault, HeadLimits, accept_value};
pub use self::milestone::Milestone;
#[cfg(feature = "proxies")]
pub use self::proxy::{Proxy, ProxyError, ProxyScheme};
#[cfg(feature = "proxies")]
pub use self::proxy_rules::{ProxyRules, ProxyRulesError};
#[cfg(feature = "redirects")]
pub use self::redirect::RedirectFault;
pub use self::redirect::{RedirectError, Redirects};
pub use self::refusal::Refusal;
pub use self::request::{ExpectedAccept, RequestError, RequestHead};
pub use self::response::Response;
pub use self::step::{ConnectError, OPEN_TIMEOUT, OpenLimits, OpenStep, ResolveError};
#[cfg(feature = "proxies")]
pub use self::tunnel::{ProxyFault, SocksReply, Tunnel, TunnelProgress, TunnelTarget};
pub use self::upgrade::Request;
pub use self::url::{Address, Host, Scheme, UrlError, Userinfo};
#[cfg(feature = "tokio")]
pub(crate) use self::wire::Wire;
#[cfg(not(feature = "proxies"))]
pub use self::without_proxies::{Proxy, ProxyFault, ProxyRules, ProxyRulesError};

use self::refusal::PendingRefusal;
use self::response::{Agreement, Offer, ResponseReader};
#[cfg(not(feature = "proxies"))]
use self::without_proxies::{Tunnel, TunnelProgress, TunnelTarget};
use crate::deflate::Agreed;

/// How long the body of a refusal may take after its head. The verdict is known by then and the body only explains
/// it, so this is what a person waits for an explanation, not what a page needs over a slow line; a server that
/// keeps its connection open after an undelimited body costs no more than this.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// The client's side of the opening handshake.
///
/// Four kinds of methods:
/// * bytes out: [`output`](Self::output) has what must be written now; [`written`](Self::written) says how much was.
/// * bytes in: [`receive`](Self::receive) takes all it is given, [`receive_end`](Self::receive_end) is the end of the
///   stream.
/// * time: [`next_timeout`](Self::next_timeout) says when to call [`handle_timeout`](Self::handle_timeout). `now`
///   must never run backwards.
/// * outcomes: the methods that take bytes or time return [`Progress`]. `More` asks for more bytes; `Open` and every
///   error are final, and every later call is answered [`HandshakeError::Finished`].
///
/// The contract: write the output until it is empty, then wait for bytes or the deadline, and hand them in, until
/// there is an outcome. Reading may begin before all is written: a server may refuse early. How long the whole may
/// take is the caller's to say; the machine's one deadline is for the body of a refusal.
///
/// `Debug` shows no byte of the request or the response: both can have secrets.
pub struct Opening {
    request: Vec<u8>,
    written: usize,
    offer: Offer,
    /// Whether anybody is going to look at the header lines of a 101.
    keeps_headers: bool,
    state: State,
}

/// ```text
/// Head ──101──► Over          Head ──1xx──► Head
///   └──other──► Body ──its end, 16 KiB, the deadline──► Over
/// ```
enum State {
    Head(ResponseReader),
    Body { refusal: Box<PendingRefusal>, deadline: Instant },
    Over,
}

/// A final response.
enum Answer {
    /// A 101, and what it agrees to.
    Switches(Response, Result<Agreement, HandshakeError>),
    Other(Response),
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Head { .. } => "Head",
            State::Body { .. } => "Body",
            State::Over => "Over",
        };
        f.debug_struct("Opening")
            .field("unwritten", &self.output().len())
            .field("state", &format_args!("{state}"))
            .finish_non_exhaustive()
    }
}

/// How far a handshake is.
#[derive(Debug)]
pub enum Progress {
    /// It needs more bytes.
    More,
    /// The connection is open.
    Open(Opened),
}

/// What an opened connection starts with. A subprotocol that was offered as a secret is in it, but `Debug` does not show it.
#[non_exhaustive]
pub struct Opened {
    /// The 101.
    pub response: Response,
    /// The one of the offered subprotocols that the server chose, if any.
    pub subprotocol: Option<String>,
    /// The extensions that the server agreed to; each was offered. The parameters of those that
    /// [`RequestHead::extensions`] offered are not judged.
    pub extensions: Vec<Extension>,
    /// The compression that the server agreed to, where [`RequestHead::compression`] offered it: for
    /// the `compress` of the protocol machine. Always `None` without the feature `deflate`.
    pub compression: Option<Agreed>,
    /// Bytes that came after the head in the same read: the first frames.
    pub leftover: Vec<u8>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { response, subprotocol, extensions, compression, leftover } = self;
        // The header line knows, and hides itself.
        let is_secret = response.headers.get(SEC_WEBSOCKET_PROTOCOL).is_some_and(HeaderValue::is_sensitive);
        let subprotocol = subprotocol.as_deref().map(|name| if is_secret { "…" } else { name });
        f.debug_struct("Opened")
            .field("response", response)
            .field("subprotocol", &subprotocol)
            .field("extensions", extensions)
            .field("compression", compression)
            .field("leftover", leftover)
            .finish()
    }
}

impl Opening {
    /// A handshake with this request. The nonce must be 16 fresh random bytes (RFC 6455 4.1); `limits` bound the
    /// response.
    ///
    /// # Errors
    ///
    /// [`RequestError::TooLarge`] and [`RequestError::TooManyLines`], for requests above 64 KiB or 128 lines.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a request belongs to one handshake: its key is used once"
    )]
    pub fn new(request: RequestHead, nonce: [u8; 16], limits: HeadLimits) -> Result<Self, RequestError> {
        let (mut opening, request) = Self::beside(&request, nonce, limits)?;
        opening.request = request;
        Ok(opening)
    }

    /// The same for whoever writes the request, which is the other half of the result.
    fn beside(
        request: &RequestHead,
        nonce: [u8; 16],
        limits: HeadLimits,
    ) -> Result<(Self, Vec<u8>), RequestError> {
        let (bytes, accept) = request.encode_within_limits(nonce)?;
        let opening = Self {
            request: Vec::new(),
            written: 0,
            offer: Offer::new(request, accept),
            keeps_headers: true,
            state: State::Head(ResponseReader::new(limits)),
        };
        Ok((opening, bytes))
    }

    /// The bytes to be written now; empty when there are none.
    pub fn output(&self) -> &[u8] {
        &self.request[self.written..]
    }

    /// The first `n` bytes of the output have been written.
    ///
    /// # Panics
    ///
    /// When `n` is more than the output has: a mistake of the caller.
    pub fn written(&mut self, n: usize) {
        assert!(n <= self.output().len(), "more bytes written than there were");
        self.written += n;
    }

    /// Takes bytes of the server, all of them.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`], when the connection cannot be opened; it is final.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<Progress, HandshakeError> {
        match mem::replace(&mut self.state, State::Over) {
            State::Head(reader) => self.receive_head(reader, bytes, now),
            State::Body { refusal, deadline } => self.receive_body(*refusal, deadline, bytes),
            State::Over => Err(HandshakeError::Finished),
        }
    }

    /// The server ended its stream.
    ///
    /// # Errors
    ///
    /// Always: the refusal whose body ended by this, or [`HandshakeError::UnexpectedEnd`].
    pub fn receive_end(&mut self, _now: Instant) -> Result<Progress, HandshakeError> {
        Err(match mem::replace(&mut self.state, State::Over) {
            State::Head(reader) => HandshakeError::UnexpectedEnd { received: reader.received() },
            State::Body { refusal, .. } => HandshakeError::Refused(refusal.end()),
            State::Over => HandshakeError::Finished,
        })
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if at all.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Body { deadline, .. } => Some(deadline),
            State::Head(_) | State::Over => None,
        }
    }

    /// The time has come, or not yet: a call before the deadline does nothing.
    ///
    /// # Errors
    ///
    /// The refusal, with what has come of its body.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Progress, HandshakeError> {
        match mem::replace(&mut self.state, State::Over) {
            State::Body { refusal, deadline } if deadline <= now => {
                Err(HandshakeError::Refused(refusal.give_up()))
            }
            State::Over => Err(HandshakeError::Finished),
            waiting => {
                self.state = waiting;
                Ok(Progress::More)
            }
        }
    }

    fn receive_head(
        &mut self,
        mut reader: ResponseReader,
        bytes: &[u8],
        now: Instant,
    ) -> Result<Progress, HandshakeError> {
        let keeps_headers = self.keeps_headers;
        let pushed = reader.push(bytes, |response| {
            if response.status != StatusCode::SWITCHING_PROTOCOLS {
                return Response::of(response).map(Answer::Other);
            }
            let kept = if keeps_headers {
                Response::of(response)?
            } else {
                Response { status: response.status, version: response.version, headers: HeaderMap::new() }
            };
            Ok(Answer::Switches(kept, self.offer.check(response)))
        });
        let Some((answer, taken)) = pushed? else {
            self.state = State::Head(reader);
            return Ok(Progress::More);
        };
        let rest = &bytes[taken..];
        match answer {
            Answer::Switches(response, agreed) => Ok(self.open(response, agreed?, rest)),
            Answer::Other(mut response) => {
                self.offer.hide_secrets(&mut response.headers);
                self.receive_body(PendingRefusal::new(response), now + REFUSAL_TIME, rest)
            }
        }
    }

    /// A 101 has no body, whatever its header lines say (RFC 9110 15.2): what follows are frames.
    fn open(&self, mut response: Response, agreement: Agreement, leftover: &[u8]) -> Progress {
        self.offer.hide_secrets(&mut response.headers);
        Progress::Open(Opened {
            response,
            subprotocol: agreement.subprotocol,
            extensions: agreement.extensions,
            compression: agreement.compression,
            leftover: leftover.to_vec(),
        })
    }

    fn receive_body(
        &mut self,
        refusal: PendingRefusal,
        deadline: Instant,
        bytes: &[u8],
    ) -> Result<Progress, HandshakeError> {
        match refusal.receive(bytes) {
            ControlFlow::Continue(refusal) => {
                self.state = State::Body { refusal: Box::new(refusal), deadline };
                Ok(Progress::More)
            }
            ControlFlow::Break(refusal) => Err(HandshakeError::Refused(refusal)),
        }
    }
}
