//! What there is of proxies without the feature `proxies`: types that have no value, so that every way is direct, and the
//! code for others is not there. (Each holds what has no value in a private field: of an empty enum the compiler would warn, wherever one is
//! used, that nothing can come of it.)

use std::convert::Infallible;
use std::fmt;
use std::time::Instant;

use super::http::HeadLimits;
use super::url::{Address, Host};

/// No proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy(Infallible);

impl Proxy {
    pub(super) fn host(&self) -> &Host {
        match self.0 {}
    }

    pub(super) fn port(&self) -> u16 {
        match self.0 {}
    }

    pub(super) fn is_secure(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn resolves_names(&self) -> bool {
        match self.0 {}
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

/// No rules.
#[derive(Clone, Debug)]
pub struct ProxyRules(Infallible);

impl ProxyRules {
    pub(super) fn proxy_for(&self, _: &Address) -> Result<Option<Proxy>, ProxyRulesError> {
        match self.0 {}
    }
}

/// No rules, nothing wrong with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyRulesError(Infallible);

impl fmt::Display for ProxyRulesError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl std::error::Error for ProxyRulesError {}

/// No proxy that fails.
#[derive(Clone, Debug)]
pub struct ProxyFault(Infallible);

impl ProxyFault {
    pub(super) fn is_retryable(&self) -> bool {
        match self.0 {}
    }
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl std::error::Error for ProxyFault {}

/// Where a tunnel would lead.
#[derive(Debug)]
pub(super) struct TunnelTarget;

impl TunnelTarget {
    pub(super) fn new(_: Host, _: u16) -> Self {
        Self
    }
}

impl fmt::Display for TunnelTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nowhere")
    }
}

/// No dialogue.
#[derive(Debug)]
pub(super) struct Tunnel(Infallible);

impl Tunnel {
    pub(super) fn new(proxy: &Proxy, _: &TunnelTarget, _: HeadLimits) -> Result<Self, ProxyFault> {
        match proxy.0 {}
    }

    pub(super) fn output(&self) -> &[u8] {
        match self.0 {}
    }

    pub(super) fn written(&mut self, _: usize) {
        match self.0 {}
    }

    pub(super) fn receive(&mut self, _: &[u8], _: Instant) -> Result<TunnelProgress, ProxyFault> {
        match self.0 {}
    }

    pub(super) fn receive_end(&mut self, _: Instant) -> Result<TunnelProgress, ProxyFault> {
        match self.0 {}
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match self.0 {}
    }

    pub(super) fn handle_timeout(&mut self, _: Instant) -> Result<TunnelProgress, ProxyFault> {
        match self.0 {}
    }
}

/// How far no dialogue is.
pub(super) enum TunnelProgress {
    #[expect(dead_code, reason = "no dialogue goes on")]
    More,
    #[expect(dead_code, reason = "no tunnel opens")]
    Open { leftover: Vec<u8> },
}
