//! A tunnel through an HTTP proxy (RFC 9110 9.3.6).

use std::ops::ControlFlow;
use std::time::Instant;

use http::StatusCode;

use super::super::REFUSAL_TIME;
use super::super::http::HeadLimits;
use super::super::proxy::Proxy;
use super::super::refusal::PendingRefusal;
use super::super::request::put_line;
use super::super::response::{Response, ResponseReader};
use super::error::ProxyFault;
use super::{Step, TunnelTarget};

/// ```text
/// Head ──2xx──► the tunnel is open
///   │ ▲
///   ├─┘ 1xx
///   └──other──► Body ──its end, 16 KiB, the deadline──► refused
/// ```
pub(super) enum HttpConnect {
    Head(ResponseReader),
    Body { refusal: Box<PendingRefusal>, deadline: Instant },
}

impl HttpConnect {
    /// The dialogue, and the request that begins it.
    pub(super) fn new(proxy: &Proxy, target: &TunnelTarget, limits: HeadLimits) -> (Self, Vec<u8>) {
        // The port stands there even if it is the default one (RFC 9110 9.3.6), and Host says the same (RFC 9112 3.2).
        let authority = target.to_string();
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\n").into_bytes();
        put_line(&mut request, "Host", authority.as_bytes());
        for (name, value) in proxy.lines() {
            put_line(&mut request, name, &value);
        }
        request.extend_from_slice(b"\r\n");
        (Self::Head(ResponseReader::new(limits)), request)
    }

    /// `is_asked`: all of the request has been written.
    pub(super) fn receive(self, bytes: &[u8], is_asked: bool, now: Instant) -> Step<Self> {
        match self {
            Self::Head(mut reader) => {
                let Some((response, taken)) = reader.push(bytes, Response::of)? else {
                    return Ok(ControlFlow::Continue(Self::Head(reader)));
                };
                let rest = &bytes[taken..];
                if response.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Err(ProxyFault::SwitchedProtocols);
                }
                if !response.status.is_success() {
                    let refusal = Box::new(PendingRefusal::new(response));
                    return Self::Body { refusal, deadline: now + REFUSAL_TIME }.receive(rest, is_asked, now);
                }
                if !is_asked {
                    return Err(ProxyFault::AnsweredEarly);
                }
                // RFC 9110 9.3.6: Content-Length and Transfer-Encoding of a 2xx say nothing. The tunnel begins here.
                Ok(ControlFlow::Break(rest.to_vec()))
            }
            Self::Body { refusal, deadline } => match refusal.receive(bytes) {
                ControlFlow::Continue(refusal) => {
                    Ok(ControlFlow::Continue(Self::Body { refusal: Box::new(refusal), deadline }))
                }
                ControlFlow::Break(refusal) => Err(ProxyFault::Refused(refusal)),
            },
        }
    }

    pub(super) fn end(self) -> ProxyFault {
        match self {
            Self::Head(reader) => ProxyFault::UnexpectedEnd { received: reader.received() },
            Self::Body { refusal, .. } => ProxyFault::Refused(refusal.end()),
        }
    }

    /// Until when the body of a refusal may take.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Head(_) => None,
            Self::Body { deadline, .. } => Some(*deadline),
        }
    }

    /// The deadline has passed.
    pub(super) fn give_up(self) -> ProxyFault {
        match self {
            Self::Head(_) => self.end(),
            Self::Body { refusal, .. } => ProxyFault::Refused(refusal.give_up()),
        }
    }
}
