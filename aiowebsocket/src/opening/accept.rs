//! The server's side of the opening handshake (RFC 6455 4.2), as a machine.

use std::fmt;
use std::mem;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::extension::{Extension, parse_extensions};
use super::http::{
    FieldError, HeadError, HeadFault, HeadLimits, HeadOverflow, HeadReader, Lines, ParsedRequest,
    accept_value, check_field, is_host, is_token, is_token_byte, lines_of, list, list_has, parse_request,
    shortened,
};
use super::request::put_line;

/// How long a request may take from its first byte: what common servers give a head. It keeps a peer that sends one
/// byte a minute from holding a connection.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How many bytes may come before the answer has been given. RFC 6455 4.1 has the client wait for it; what came
/// early with the request is kept, but nobody may fill our memory with it.
const LEFTOVER_LIMIT: usize = 64 * 1024;

/// Any 16 bytes are a key, also when the encoder left rubbish in the four bits that nobody reads.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The server's side of the opening handshake.
///
/// Four kinds of methods:
/// * bytes in: [`receive`](Self::receive), [`receive_end`](Self::receive_end).
/// * the application's word, once there is a [`Request`]: [`accept`](Self::accept) or [`refuse`](Self::refuse).
/// * bytes out: [`output`](Self::output) has what must be written now, [`written`](Self::written) says how much was.
/// * time: [`next_timeout`](Self::next_timeout), [`handle_timeout`](Self::handle_timeout).
///
/// The contract: hand in bytes until there is a request or an error; answer the request; write the output until it is
/// empty. After `accept`, [`take_leftover`](Self::take_leftover) has the first bytes for the protocol machine. After
/// `refuse` and after every error, write the output (an invalid request was answered by the machine itself), then
/// close the connection.
#[derive(Debug)]
pub struct Accepting {
    state: State,
    deadline: Option<Instant>,
    output: Vec<u8>,
    written: usize,
    leftover: Vec<u8>,
}

/// ```text
/// Head ──valid request──► Deciding ──accept(), refuse()──► Over
///   └──invalid, too slow, too large: answered──────────────► Over
/// ```
#[derive(Debug)]
enum State {
    Head(HeadReader),
    Deciding(Offered),
    Over,
}

/// What the answer depends on.
#[derive(Debug)]
struct Offered {
    accept: String,
    subprotocols: Vec<String>,
    extensions: Vec<String>,
}

/// How far the server's side is.
#[derive(Debug)]
pub enum AcceptProgress {
    /// It needs more bytes, or the application's answer.
    More,
    /// There is a valid request to be answered.
    Request(Request),
}

/// A valid upgrade request, as the server sees it. (The client's is [`RequestHead`](super::RequestHead).)
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Path and query, such as `/chat?room=1`.
    pub resource: String,
    /// The header lines; names in lower case, lines of the same name in order.
    pub headers: HeaderMap,
    /// The subprotocols offered, the one the client likes best first.
    pub subprotocols: Vec<String>,
    /// The extensions offered, in the client's order.
    pub extensions: Vec<Extension>,
}

impl Request {
    /// Which site's page asks; only browsers say so, and only from them it can be believed (RFC 6455 10.2). A server
    /// that is not for every site must look at it.
    pub fn origin(&self) -> Option<&str> {
        self.headers.get(ORIGIN)?.to_str().ok()
    }
}

impl Accepting {
    /// A server's side whose request is bounded by `limits`.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            state: State::Head(HeadReader::new(limits)),
            deadline: None,
            output: Vec::new(),
            written: 0,
            leftover: Vec::new(),
        }
    }

    /// Takes bytes of the client, all of them. What follows the request is kept for
    /// [`take_leftover`](Self::take_leftover).
    ///
    /// # Errors
    ///
    /// [`AcceptError`], when the request is invalid; the answer to it is in the output.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<AcceptProgress, AcceptError> {
        match mem::replace(&mut self.state, State::Over) {
            State::Head(reader) => self.receive_head(reader, bytes, now).map_err(|error| self.reject(error)),
            deciding @ State::Deciding(_) => {
                self.state = deciding;
                self.keep_leftover(bytes).map_err(|error| self.reject(error))?;
                Ok(AcceptProgress::More)
            }
            State::Over => Err(AcceptError::Finished),
        }
    }

    /// The client ended its stream.
    ///
    /// # Errors
    ///
    /// Always: a client that ended its stream cannot open a connection.
    pub fn receive_end(&mut self) -> Result<AcceptProgress, AcceptError> {
        Err(match mem::replace(&mut self.state, State::Over) {
            State::Head(reader) => AcceptError::UnexpectedEnd { received: reader.received() },
            State::Deciding(_) => AcceptError::EndBeforeAnswer,
            State::Over => AcceptError::Finished,
        })
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): 10 seconds after the first bytes of a request that is
    /// not complete.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Head(_) => self.deadline,
            State::Deciding(_) | State::Over => None,
        }
    }

    /// The time has come, or not yet: a call before the deadline does nothing.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Timeout`]; the answer (408) is in the output.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<AcceptProgress, AcceptError> {
        if self.next_timeout().is_some_and(|deadline| deadline <= now) {
            self.state = State::Over;
            return Err(self.reject(AcceptError::Timeout));
        }
        Ok(AcceptProgress::More)
    }

    /// Opens the connection: queues the 101.
    ///
    /// `subprotocol` must be one of those offered; `None` chooses none. `headers` are written after our own, as
    /// given. Sec-WebSocket-Extensions may be among them, once, with extensions that were offered.
    ///
    /// # Errors
    ///
    /// [`ReplyError`]; nothing is queued then, and the request still waits for its answer.
    pub fn accept(&mut self, subprotocol: Option<&str>, headers: &[(&str, &str)]) -> Result<(), ReplyError> {
        let State::Deciding(offered) = &self.state else {
            return Err(ReplyError::NoRequest);
        };
        if let Some(name) = subprotocol
            && !offered.subprotocols.iter().any(|offer| offer == name)
        {
            return Err(ReplyError::SubprotocolNotOffered { name: name.to_owned() });
        }
        check_headers(headers)?;
        check_extensions(headers, &offered.extensions)?;

        let mut output = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        put_line(&mut output, "Upgrade", b"websocket");
        put_line(&mut output, "Connection", b"Upgrade");
        put_line(&mut output, "Sec-WebSocket-Accept", offered.accept.as_bytes());
        if let Some(name) = subprotocol {
            put_line(&mut output, "Sec-WebSocket-Protocol", name.as_bytes());
        }
        put_lines(&mut output, headers);
        output.extend_from_slice(b"\r\n");
        self.output = output;
        self.state = State::Over;
        Ok(())
    }

    /// Does not open the connection: queues this answer, with `Connection: close` and the body's length.
    ///
    /// `headers` are written as given: Content-Type, WWW-Authenticate of a 401, Location of a redirect.
    ///
    /// # Errors
    ///
    /// [`ReplyError`]; nothing is queued then, and the request still waits for its answer.
    pub fn refuse(
        &mut self,
        status: StatusCode,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(), ReplyError> {
        if !matches!(self.state, State::Deciding(_)) {
            return Err(ReplyError::NoRequest);
        }
        if status.is_informational() {
            return Err(ReplyError::NotFinal { status });
        }
        check_headers(headers)?;
        if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Extensions")) {
            return Err(reserved_field("Sec-WebSocket-Extensions", "a refusal agrees to nothing").into());
        }
        self.output = refusal(status, headers, b"close", body);
        self.state = State::Over;
        Ok(())
    }

    /// The bytes to be written now; empty when there are none.
    pub fn output(&self) -> &[u8] {
        &self.output[self.written..]
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

    /// The bytes that came after the request: the first frames, once it was accepted. A second call finds none.
    pub fn take_leftover(&mut self) -> Vec<u8> {
        mem::take(&mut self.leftover)
    }

    fn receive_head(
        &mut self,
        mut reader: HeadReader,
        bytes: &[u8],
        now: Instant,
    ) -> Result<AcceptProgress, AcceptError> {
        if self.deadline.is_none() && !bytes.is_empty() {
            self.deadline = Some(now + REQUEST_TIME);
        }
        let pushed = reader.push(bytes);
        // A method is a token. What speaks TLS or another binary protocol to us may wait for our answer forever.
        if reader.start().first().is_some_and(|&first| !is_token_byte(first)) {
            return Err(AcceptError::MalformedHead { fault: HeadFault::StartLine });
        }
        let pushed = pushed.map_err(|overflow| match overflow {
            HeadOverflow::Bytes => AcceptError::HeadTooLarge { limit: reader.limits().max_bytes },
            HeadOverflow::Lines => AcceptError::TooManyLines { limit: reader.limits().max_lines },
        })?;
        let Some(taken) = pushed else {
            self.state = State::Head(reader);
            return Ok(AcceptProgress::More);
        };
        let (request, accept) = judge(reader.head())?;
        self.keep_leftover(&bytes[taken..])?;
        self.state = State::Deciding(Offered {
            accept,
            subprotocols: request.subprotocols.clone(),
            extensions: request.extensions.iter().map(|extension| extension.name.clone()).collect(),
        });
        Ok(AcceptProgress::Request(request))
    }

    fn keep_leftover(&mut self, bytes: &[u8]) -> Result<(), AcceptError> {
        if bytes.len() > LEFTOVER_LIMIT - self.leftover.len() {
            return Err(AcceptError::TooEarly { limit: LEFTOVER_LIMIT });
        }
        self.leftover.extend_from_slice(bytes);
        Ok(())
    }

    /// Queues the answer to an invalid request.
    fn reject(&mut self, error: AcceptError) -> AcceptError {
        self.state = State::Over;
        self.leftover = Vec::new();
        if let Some(status) = error.status() {
            let mut headers = vec![("Content-Type", "text/plain; charset=utf-8")];
            let mut connection = &b"close"[..];
            match status {
                StatusCode::METHOD_NOT_ALLOWED => headers.push(("Allow", "GET")),
                // RFC 9110 15.5.22: a 426 says what to upgrade to; RFC 6455 4.4: and in which version.
                StatusCode::UPGRADE_REQUIRED => {
                    headers.extend([("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]);
                    connection = b"Upgrade, close";
                }
                _ => {}
            }
            self.output = refusal(status, &headers, connection, format!("{error}\n").as_bytes());
        }
        error
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
            Self::NotFinal { status } => {
                write!(f, "a refusal cannot have the status {}: use 200 or above", status.as_str())
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

/// Judges a complete head: the request, and the accept value that answers it. The order is HTTP's rules first, then
/// RFC 6455 4.2.1's.
fn judge(head: &[u8]) -> Result<(Request, String), AcceptError> {
    let ParsedRequest { method, target, version, headers } =
        parse_request(head).map_err(|error| match error {
            HeadError::Fault(fault) => AcceptError::MalformedHead { fault },
            HeadError::Version => AcceptError::HttpVersion,
        })?;
    if version != Version::HTTP_11 {
        return Err(AcceptError::HttpVersion);
    }
    // RFC 9112 3.2: a request without one valid Host is answered 400, whatever else it may be.
    match lines_of(&headers, &HOST) {
        Lines::One(host) if is_host(host.as_bytes()) => {}
        _ => return Err(AcceptError::Host),
    }
    if method != Method::GET.as_str() {
        return Err(AcceptError::Method { method });
    }
    let resource = resource_of(&target).ok_or(AcceptError::Target)?;
    if !list_has(&headers, &UPGRADE, "websocket") || !list_has(&headers, &CONNECTION, "upgrade") {
        return Err(AcceptError::NotUpgrade);
    }
    // What a proxy took for a body we would take for frames.
    if headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0")
    {
        return Err(AcceptError::Body);
    }
    match lines_of(&headers, &SEC_WEBSOCKET_VERSION) {
        Lines::One(version) if version.as_bytes() == b"13" => {}
        Lines::None | Lines::One(_) => return Err(AcceptError::Version),
        Lines::Several => return Err(AcceptError::VersionRepeated),
    }
    let accept = match lines_of(&headers, &SEC_WEBSOCKET_KEY) {
        Lines::One(key) if is_key(key.as_bytes()) => accept_value(key.as_bytes()),
        _ => return Err(AcceptError::Key),
    };
    let subprotocols = subprotocols_of(&headers)?;
    let extensions = extensions_of(&headers)?;
    Ok((Request { resource, headers, subprotocols, extensions }, accept))
}

/// The resource name in a request target: origin form, or absolute form, which RFC 9112 3.2.2 has every server take.
fn resource_of(target: &str) -> Option<String> {
    // RFC 3986: visible ASCII, and a fragment never leaves the client.
    if target.contains('#') || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    if target.starts_with('/') {
        return Some(target.to_owned());
    }
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let path = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
    Some(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

fn is_key(key: &[u8]) -> bool {
    // The length first, so that nothing long is decoded.
    key.len() == 24 && KEY_BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

fn subprotocols_of(headers: &HeaderMap) -> Result<Vec<String>, AcceptError> {
    let mut subprotocols = Vec::new();
    for name in list(headers, &SEC_WEBSOCKET_PROTOCOL) {
        match str::from_utf8(name) {
            Ok(name) if is_token(name.as_bytes()) => subprotocols.push(name.to_owned()),
            _ => return Err(AcceptError::SubprotocolsMalformed),
        }
    }
    if subprotocols.is_empty() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Err(AcceptError::SubprotocolsMalformed);
    }
    Ok(subprotocols)
}

fn extensions_of(headers: &HeaderMap) -> Result<Vec<Extension>, AcceptError> {
    let mut extensions = Vec::new();
    for line in headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes) {
        extensions.extend(parse_extensions(line).map_err(|_| AcceptError::ExtensionsMalformed)?);
    }
    Ok(extensions)
}

/// Refuses header lines that are malformed or ours.
fn check_headers(headers: &[(&str, &str)]) -> Result<(), FieldError> {
    const OURS: [&str; 6] = [
        "Connection",
        "Upgrade",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Content-Length",
        "Transfer-Encoding",
    ];
    for (name, value) in headers {
        check_field(name, value.as_bytes())?;
        if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            return Err(reserved_field(name, "the handshake sets it"));
        }
    }
    Ok(())
}

fn reserved_field(name: &str, reason: &'static str) -> FieldError {
    FieldError::Reserved { name: name.to_owned(), reason }
}

/// RFC 6455 11.3.2: one line at most in a response; 4.2.2 item 5: of what was offered.
fn check_extensions(headers: &[(&str, &str)], offered: &[String]) -> Result<(), ReplyError> {
    let mut lines = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Extensions"));
    let Some((_, line)) = lines.next() else {
        return Ok(());
    };
    let chosen = parse_extensions(line.as_bytes()).map_err(|_| ReplyError::Extensions)?;
    let all_offered = chosen.iter().all(|extension| offered.contains(&extension.name));
    if all_offered && lines.next().is_none() { Ok(()) } else { Err(ReplyError::Extensions) }
}

/// An answer that does not open the connection. 204 and 304 have no body, and 204 no length (RFC 9110 8.6).
fn refusal(status: StatusCode, headers: &[(&str, &str)], connection: &[u8], body: &[u8]) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut output = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    put_line(&mut output, "Connection", connection);
    put_lines(&mut output, headers);
    let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_body {
        put_line(&mut output, "Content-Length", body.len().to_string().as_bytes());
    }
    output.extend_from_slice(b"\r\n");
    if has_body {
        output.extend_from_slice(body);
    }
    output
}

fn put_lines(output: &mut Vec<u8>, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        put_line(output, name, value.as_bytes());
    }
}
