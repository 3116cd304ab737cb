//! A server's answer other than 101, kept for the user to read.

use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use http::header::{LOCATION, RETRY_AFTER, SEC_WEBSOCKET_VERSION, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use super::body::{Body, BodyProgress};
use super::http::{Lines, lines_of, list};
use super::response::Response;
use super::shown::Names;

/// The server's answer when it does not open the connection: an error, a redirect, a demand for credentials.
///
/// `Debug` shows no value of a header line, and of the body its length: any of them may be a secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct Refusal {
    /// The status code.
    pub status: StatusCode,
    /// The header lines.
    pub headers: HeaderMap,
    /// The first 16 KiB of the body, in the content coding it came in.
    pub body: Vec<u8>,
    /// Whether `body` is the whole of it: false when it was larger, broken off, or slower than two seconds.
    pub is_complete: bool,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("status", &self.status)
            .field("headers", &Names(&self.headers))
            .field("body", &self.body.len())
            .field("is_complete", &self.is_complete)
            .finish()
    }
}

impl Refusal {
    /// The protocol versions that the server names in Sec-WebSocket-Version, as RFC 6455 4.4 asks of one that does
    /// not speak ours; what is no version is passed over.
    pub fn supported_versions(&self) -> Vec<u8> {
        list(&self.headers, &SEC_WEBSOCKET_VERSION)
            .filter_map(|version| str::from_utf8(version).ok()?.parse().ok())
            .collect()
    }

    /// Where a redirect (3xx) points to, as the server wrote it.
    pub fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    /// Which credentials the server asks for (RFC 9110 11.6.1): each WWW-Authenticate line as the server wrote it, such as
    /// `Basic realm="feed"`. One line may have several challenges. A 401 has at least one; lines that are not UTF-8 are
    /// passed over.
    pub fn challenges(&self) -> Vec<&str> {
        let lines = self.headers.get_all(WWW_AUTHENTICATE);
        lines.iter().filter_map(|line| str::from_utf8(line.as_bytes()).ok()).collect()
    }

    /// How long the server wants not to be asked again (Retry-After, RFC 9110 10.2.3), which mostly comes with 429, 503
    /// and redirects: its seconds, or the time from `now` to its date, zero when that has passed. `None` where it says
    /// neither, or several things. Nothing bounds what it says: that is the caller's to do.
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let Lines::One(line) = lines_of(&self.headers, &RETRY_AFTER) else { return None };
        let value = str::from_utf8(line).ok()?.trim();
        if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
            // Digits alone can only be too many.
            return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `StatusCode` shows the registered reason; the server's own may say anything.
        match self.status.canonical_reason() {
            Some(reason) => write!(f, "the server refused the upgrade: {} {reason}", self.status.as_u16()),
            None => write!(f, "the server refused the upgrade: {}", self.status.as_u16()),
        }
    }
}

/// A refusal whose body is on its way.
#[derive(Debug)]
pub(super) struct PendingRefusal {
    response: Response,
    body: Body,
}

impl PendingRefusal {
    pub(super) fn new(response: Response) -> Self {
        Self { body: Body::of(&response), response }
    }

    /// Takes bytes of the body; breaks with the refusal when they were the last that are wanted.
    pub(super) fn receive(mut self, bytes: &[u8]) -> ControlFlow<Box<Refusal>, Self> {
        match self.body.push(bytes) {
            BodyProgress::More => ControlFlow::Continue(self),
            BodyProgress::Complete => ControlFlow::Break(self.finish(true)),
            BodyProgress::Cut => ControlFlow::Break(self.finish(false)),
        }
    }

    /// The server ended its stream.
    pub(super) fn end(self) -> Box<Refusal> {
        let is_complete = self.body.is_complete_at_end();
        self.finish(is_complete)
    }

    /// What there is, when there is no more time.
    pub(super) fn give_up(self) -> Box<Refusal> {
        self.finish(false)
    }

    fn finish(self, is_complete: bool) -> Box<Refusal> {
        let Response { status, headers, .. } = self.response;
        Box::new(Refusal { status, headers, body: self.body.into_bytes(), is_complete })
    }
}
