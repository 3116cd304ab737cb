//! The dialogue that makes a proxy open a tunnel to the server. What passes through it afterwards is none of its
//! business.

mod error;
mod http_connect;
mod socks;

use std::fmt;
use std::mem;
use std::ops::ControlFlow;
use std::time::Instant;

pub use self::error::{ProxyFault, SocksReply};

use self::http_connect::HttpConnect;
use self::socks::Socks;
use super::http::HeadLimits;
use super::proxy::Proxy;
use super::url::{Address, Host};

/// Where a tunnel leads to. `Display` is the authority-form of RFC 9112 3.2.3: host and port, an IPv6 address in
/// brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TunnelTarget {
    host: Host,
    port: u16,
}

impl TunnelTarget {
    /// A host and its port. For a proxy that does not [resolve names](Proxy::resolves_names) the host must be an IP
    /// address.
    pub fn new(host: Host, port: u16) -> Self {
        Self { host, port }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<&Address> for TunnelTarget {
    fn from(address: &Address) -> Self {
        Self::new(address.host().clone(), address.port())
    }
}

impl fmt::Display for TunnelTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host.bracketed(), self.port)
    }
}

/// The client's side of the dialogue with a proxy.
///
/// Four kinds of methods, as [`Opening`](super::Opening) has them:
/// * bytes out: [`output`](Self::output) has what must be written now; [`written`](Self::written) says how much was.
/// * bytes in: [`receive`](Self::receive) takes all it is given, [`receive_end`](Self::receive_end) is the end of the
///   stream.
/// * time: [`next_timeout`](Self::next_timeout) says when to call [`handle_timeout`](Self::handle_timeout). `now`
///   must never run backwards.
/// * outcomes: the methods that take bytes or time return [`TunnelProgress`]. `More` asks for more bytes, and the
///   output may have grown; `Open` and every error are final, and every later call is answered
///   [`ProxyFault::Finished`].
///
/// The contract: write the output until it is empty, then wait for bytes or the deadline, and hand them in, until
/// there is an outcome. How long the whole may take is the caller's to say; the machine's one deadline is for the body
/// of a refusal.
pub struct Tunnel {
    output: Vec<u8>,
    written: usize,
    dialogue: Dialogue,
}

enum Dialogue {
    Http(HttpConnect),
    Socks(Socks),
    Over,
}

/// How far a dialogue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunnelProgress {
    /// It needs more bytes, or has more to write.
    More,
    /// The tunnel is open.
    Open {
        /// Bytes that came through the tunnel in the same read: of a server that speaks first.
        leftover: Vec<u8>,
    },
}

/// What a dialogue comes to with some bytes: it goes on, or the tunnel is open with what was left of them.
type Step<Dialogue> = Result<ControlFlow<Vec<u8>, Dialogue>, ProxyFault>;

impl Tunnel {
    /// A dialogue with this proxy about this target. `limits` bound the head of an HTTP proxy's answer.
    ///
    /// # Errors
    ///
    /// What can be known beforehand: [`ProxyFault::UnresolvedName`], and [`ProxyFault::NameTooLong`] for what SOCKS5
    /// cannot carry.
    pub fn new(proxy: &Proxy, target: &TunnelTarget, limits: HeadLimits) -> Result<Self, ProxyFault> {
        let (dialogue, output) = if proxy.is_socks() {
            let (socks, output) = Socks::new(proxy, target)?;
            (Dialogue::Socks(socks), output)
        } else {
            let (connect, output) = HttpConnect::new(proxy, target, limits);
            (Dialogue::Http(connect), output)
        };
        Ok(Self { output, written: 0, dialogue })
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

    /// Takes bytes of the proxy, all of them.
    ///
    /// # Errors
    ///
    /// [`ProxyFault`], when the tunnel cannot be opened; it is final.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<TunnelProgress, ProxyFault> {
        let step = match mem::replace(&mut self.dialogue, Dialogue::Over) {
            Dialogue::Http(connect) => {
                let is_asked = self.output().is_empty();
                connect.receive(bytes, is_asked, now)?.map_continue(Dialogue::Http)
            }
            Dialogue::Socks(socks) => {
                let mut is_asked = self.output().is_empty();
                if is_asked {
                    self.output.clear();
                    self.written = 0;
                }
                socks.receive(bytes, &mut is_asked, &mut self.output)?.map_continue(Dialogue::Socks)
            }
            Dialogue::Over => return Err(ProxyFault::Finished),
        };
        match step {
            ControlFlow::Continue(dialogue) => {
                self.dialogue = dialogue;
                Ok(TunnelProgress::More)
            }
            ControlFlow::Break(leftover) => Ok(TunnelProgress::Open { leftover }),
        }
    }

    /// The proxy ended its stream.
    ///
    /// # Errors
    ///
    /// Always: the refusal whose body ended by this, or [`ProxyFault::UnexpectedEnd`].
    pub fn receive_end(&mut self, _now: Instant) -> Result<TunnelProgress, ProxyFault> {
        Err(match mem::replace(&mut self.dialogue, Dialogue::Over) {
            Dialogue::Http(connect) => connect.end(),
            Dialogue::Socks(socks) => socks.end(),
            Dialogue::Over => ProxyFault::Finished,
        })
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if at all.
    pub fn next_timeout(&self) -> Option<Instant> {
        match &self.dialogue {
            Dialogue::Http(connect) => connect.deadline(),
            Dialogue::Socks(_) | Dialogue::Over => None,
        }
    }

    /// The time has come, or not yet: a call before the deadline does nothing.
    ///
    /// # Errors
    ///
    /// The refusal, with what has come of its body.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<TunnelProgress, ProxyFault> {
        match mem::replace(&mut self.dialogue, Dialogue::Over) {
            Dialogue::Http(connect) if connect.deadline().is_some_and(|deadline| deadline <= now) => {
                Err(connect.give_up())
            }
            Dialogue::Over => Err(ProxyFault::Finished),
            waiting => {
                self.dialogue = waiting;
                Ok(TunnelProgress::More)
            }
        }
    }
}

impl fmt::Debug for Tunnel {
    /// Without the output, which has the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dialogue = match &self.dialogue {
            Dialogue::Http(_) => "CONNECT",
            Dialogue::Socks(_) => "SOCKS5",
            Dialogue::Over => "over",
        };
        f.debug_struct("Tunnel").field("dialogue", &dialogue).finish_non_exhaustive()
    }
}
