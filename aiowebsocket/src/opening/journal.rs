//! What happens while a connection opens, for whoever asked for milestones.

use core::net::SocketAddr;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, StatusCode};

use super::milestone::Milestone;
use super::request::RequestHead;
use super::shown;
use super::url::{Address, Host};
use super::{Opened, Proxy, TunnelTarget};
use crate::layer::TlsInfo;

/// What is seen at a step: references, which cost nothing where nobody watches.
#[derive(Clone, Copy)]
pub(super) enum Seen<'a> {
    Resolving { host: &'a str },
    Resolved { addresses: usize },
    Dialling { address: SocketAddr },
    DialFailed { address: SocketAddr, cause: &'a io::Error },
    Connected { address: SocketAddr },
    Tunnelling { proxy: &'a Proxy, target: &'a TunnelTarget },
    Tunnelled,
    Securing { host: &'a Host },
    Secured { info: &'a TlsInfo },
    Asking { address: &'a Address, request: &'a RequestHead, head: &'a [u8] },
    Answered { status: StatusCode, headers: &'a HeaderMap },
    Redirected { status: StatusCode, to: &'a Address },
    Open { opened: &'a Opened, request: &'a RequestHead },
}

/// When the connection began to open, and the milestones since then that were not told yet.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) started: Instant,
    keeper: Option<Box<dyn Keeper>>,
}

/// Makes milestones of what is seen. Behind a pointer that only [`Journal::watch`] sets: a program in which nobody asks for milestones
/// has no code for them.
trait Keeper: fmt::Debug + Send + Sync {
    fn keep(&mut self, at: Duration, seen: Seen<'_>);
    fn next(&mut self) -> Option<(Duration, Milestone)>;
}

impl Journal {
    pub(super) fn new(started: Instant) -> Self {
        Self { started, keeper: None }
    }

    /// Milestones are kept from now on.
    pub(super) fn watch(&mut self) {
        self.keeper = Some(Box::new(Kept::default()));
    }

    pub(super) fn is_watched(&self) -> bool {
        self.keeper.is_some()
    }

    /// One copy: it is called at ten places.
    #[inline(never)]
    pub(super) fn saw(&mut self, now: Instant, seen: Seen<'_>) {
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(now.saturating_duration_since(self.started), seen);
        }
    }

    /// The next that was not told yet.
    pub(super) fn next(&mut self) -> Option<(Duration, Milestone)> {
        self.keeper.as_mut()?.next()
    }
}

#[derive(Debug, Default)]
struct Kept(VecDeque<(Duration, Milestone)>);

impl Keeper for Kept {
    fn keep(&mut self, at: Duration, seen: Seen<'_>) {
        self.0.push_back((at, milestone(seen)));
    }

    fn next(&mut self) -> Option<(Duration, Milestone)> {
        self.0.pop_front()
    }
}

/// For people: without what is secret.
fn milestone(seen: Seen<'_>) -> Milestone {
    match seen {
        Seen::Resolving { host } => Milestone::Resolving { host: host.to_owned() },
        Seen::Resolved { addresses } => Milestone::Resolved { addresses },
        Seen::Dialling { address } => Milestone::Dialling { address },
        Seen::DialFailed { address, cause } => Milestone::DialFailed { address, cause: cause.to_string() },
        Seen::Connected { address } => Milestone::Connected { address },
        Seen::Tunnelling { proxy, target } => {
            Milestone::Tunnelling { proxy: proxy.to_string(), target: target.to_string() }
        }
        Seen::Tunnelled => Milestone::Tunnelled,
        Seen::Securing { host } => Milestone::Securing { host: host.bracketed() },
        Seen::Secured { info } => Milestone::Secured(info.clone()),
        Seen::Asking { address, request, head } => {
            Milestone::Asking { address: address.clone(), head: shown::request(request, head) }
        }
        Seen::Answered { status, headers } => {
            Milestone::Answered { status, head: shown::response(status, headers) }
        }
        Seen::Redirected { status, to } => Milestone::Redirected { status, to: to.clone() },
        Seen::Open { opened, request } => {
            let extensions = opened.response.headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
            let subprotocol =
                opened.subprotocol.as_ref().map(|name| match request.is_secret_subprotocol(name) {
                    true => "…".to_owned(),
                    false => name.clone(),
                });
            Milestone::Open {
                subprotocol,
                extensions: extensions
                    .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
                    .collect(),
            }
        }
    }
}
