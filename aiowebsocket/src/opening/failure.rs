//! Whether what failed may succeed later, and when: the one place that says so.

use std::time::{Duration, SystemTime};

use super::ProxyFault;
use super::error::HandshakeError;
use crate::layer::TlsError;

/// What failed, as far as it matters to whether another attempt may succeed. A face sorts its errors into these.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Failure<'a> {
    /// It would fail in the same way again: the address or an option is wrong, a certificate is not trusted, the peer broke the
    /// protocol or a limit, a proxy demands other credentials, a redirect cannot be followed.
    Lasting,
    /// It may pass by itself: a name was not resolved, nobody answered, a time limit ran out, the stream broke.
    Passing,
    /// The server's side of the opening handshake.
    Handshake(&'a HandshakeError),
    /// The connection was open and has ended with this close code: 1005 where the peer's Close frame had none, 1006
    /// where there was none.
    Closed(u16),
}

/// How long a server wants to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Retry-After.
    RetryAfter(Duration),
    /// Close code 1012: it restarts.
    Restart,
    /// Close code 1013: it is overloaded.
    Overload,
}

impl From<&ProxyFault> for Failure<'_> {
    fn from(fault: &ProxyFault) -> Self {
        if fault.is_retryable() { Self::Passing } else { Self::Lasting }
    }
}

impl From<&TlsError> for Failure<'_> {
    fn from(error: &TlsError) -> Self {
        if error.is_retryable() { Self::Passing } else { Self::Lasting }
    }
}

impl Failure<'_> {
    /// Whether another attempt would fail in the same way.
    ///
    /// * Of refusals, those are not final that speak of now: 408, 425, 429, and 5xx. All other 4xx are, so that wrong
    ///   credentials are not tried for ever, and so are 3xx and 2xx: who answers so is no WebSocket server.
    /// * A server that ended its stream in the middle of its response may have been stopped just then. Every other
    ///   fault of a response is one of a server that does not do WebSockets here.
    /// * Of close codes, those are final that complain of us or of what we sent: 1002, 1003, 1007, 1008, 1009, 1010,
    ///   3000 and 3003. 1000 and 1001 are not: servers close feeds so that have been open for long. Neither are the
    ///   private ones (4000 to 4999), whose meaning only the application knows.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Lasting => true,
            Self::Passing => false,
            Self::Handshake(HandshakeError::Refused(refusal)) => {
                !matches!(refusal.status.as_u16(), 408 | 425 | 429 | 500..=599)
            }
            Self::Handshake(error) => !matches!(error, HandshakeError::UnexpectedEnd { .. }),
            Self::Closed(code) => matches!(code, 1002 | 1003 | 1007..=1010 | 3000 | 3003),
        }
    }

    /// What the server asks for; `now` is what the date of a Retry-After is measured by.
    pub(super) fn wish(&self, now: SystemTime) -> Option<Wish> {
        match self {
            Self::Handshake(HandshakeError::Refused(refusal)) => {
                refusal.retry_after(now).map(Wish::RetryAfter)
            }
            Self::Closed(1012) => Some(Wish::Restart),
            Self::Closed(1013) => Some(Wish::Overload),
            _ => None,
        }
    }
}
