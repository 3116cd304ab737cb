//! The server's side of the opening handshake (RFC 6455 4.2), as a machine.

use std::time::{Duration, Instant};
use std::{fmt, mem};

use http::StatusCode;

use super::error::{AcceptError, ReplyError};
use super::extension::{Extension, parse_extensions};
use super::http::{FieldError, HeadFault, HeadLimits, HeadReader, check_field, is_token_byte};
use super::request::put_line;
use super::upgrade::{Request, judge};
use crate::deflate::{Agreed, Deflate};

/// How long a request may take from its first byte: what common servers give a head. It keeps a peer that sends one
/// byte a minute from holding a connection.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How many bytes may come before the answer has been given. RFC 6455 4.1 has the client wait for it; what came
/// early with the request is kept, but nobody may fill our memory with it.
const LEFTOVER_LIMIT: usize = 64 * 1024;

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
    compression: Option<Deflate>,
    agreed: Option<Agreed>,
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
struct Offered {
    accept: String,
    subprotocols: Vec<String>,
    extensions: Vec<Extension>,
}

impl fmt::Debug for Offered {
    /// Without the subprotocols, of which any may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offered").field("extensions", &self.extensions).finish_non_exhaustive()
    }
}

/// How far the server's side is.
#[derive(Debug)]
pub enum AcceptProgress {
    /// It needs more bytes, or the application's answer.
    More,
    /// There is a valid request to be answered.
    Request(Request),
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
            compression: None,
            agreed: None,
        }
    }

    /// Agrees to compression with these options where the client offers one of RFC 7692 that they can honour; `None`, the
    /// default, does not. To be said before [`accept`](Self::accept).
    ///
    /// # Errors
    ///
    /// [`ReplyError::Option`] for an option outside of its range.
    #[cfg(feature = "deflate")]
    pub fn compression(&mut self, options: Option<Deflate>) -> Result<&mut Self, ReplyError> {
        if let Some(options) = &options {
            options.check().map_err(ReplyError::Option)?;
        }
        self.compression = options;
        Ok(self)
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
    /// given. Sec-WebSocket-Extensions may be among them, once, with extensions that were offered; then it is the whole answer,
    /// and [`compression`](Self::compression) agrees to nothing.
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
        let has_extensions = check_extensions(headers, &offered.extensions)?;
        let agreed = match &self.compression {
            Some(options) if !has_extensions => options.choose(&offered.extensions),
            _ => None,
        };

        let mut output = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        put_line(&mut output, "Upgrade", b"websocket");
        put_line(&mut output, "Connection", b"Upgrade");
        put_line(&mut output, "Sec-WebSocket-Accept", offered.accept.as_bytes());
        if let Some(name) = subprotocol {
            put_line(&mut output, "Sec-WebSocket-Protocol", name.as_bytes());
        }
        if let Some(agreed) = &agreed {
            put_line(&mut output, "Sec-WebSocket-Extensions", agreed.to_string().as_bytes());
        }
        put_lines(&mut output, headers);
        output.extend_from_slice(b"\r\n");
        self.output = output;
        self.agreed = agreed;
        self.state = State::Over;
        Ok(())
    }

    /// The compression that [`accept`](Self::accept) agreed to, for
    /// the `compress` of the protocol machine. Always `None` without the feature `deflate`.
    pub fn agreed(&self) -> Option<Agreed> {
        self.agreed
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
        if reader.start(bytes).first().is_some_and(|&first| !is_token_byte(first)) {
            return Err(AcceptError::MalformedHead { fault: HeadFault::StartLine });
        }
        let pushed = pushed.map_err(|overflow| AcceptError::overflow(overflow, reader.limits()))?;
        let Some(taken) = pushed else {
            self.state = State::Head(reader);
            return Ok(AcceptProgress::More);
        };
        let (request, accept) = judge(reader.head(bytes), reader.lines())?;
        self.keep_leftover(&bytes[taken..])?;
        self.state = State::Deciding(Offered {
            accept,
            subprotocols: request.subprotocols.clone(),
            extensions: request.extensions.clone(),
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

/// Whether there is such a line. RFC 6455 11.3.2: one line at most in a response; 4.2.2 item 5: of what was offered.
fn check_extensions(headers: &[(&str, &str)], offered: &[Extension]) -> Result<bool, ReplyError> {
    let mut lines = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Extensions"));
    let Some((_, line)) = lines.next() else {
        return Ok(false);
    };
    let chosen = parse_extensions(line.as_bytes()).map_err(|_| ReplyError::Extensions)?;
    let all_offered = chosen.iter().all(|chosen| offered.iter().any(|offer| offer.name == chosen.name));
    if all_offered && lines.next().is_none() { Ok(true) } else { Err(ReplyError::Extensions) }
}

/// An answer that does not open the connection. 204 and 304 have no body, and 204 no length (RFC 9110 8.6).
fn refusal(status: StatusCode, headers: &[(&str, &str)], connection: &[u8], body: &[u8]) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut output = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
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
