//! The CONNECTING state of RFC 6455 4.1, whole: from an address to an open connection, over a proxy, through TLS, after
//! redirects.
//!
//! ```text
//!            ┌──────────────────────────── redirect ◄────────────────────────────┐
//!            ▼                                                                   │
//!  Resolve ─► Dial ─► (TLS with the proxy) ─► (Tunnel) ─► (TLS with the server) ─► Upgrade ─► Open
//! ```

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::mem;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};

use super::dial::{Attempt, AttemptId, Dialling};
use super::error::HandshakeError;
use super::http::HeadLimits;
use super::journal::{Journal, Seen};
use super::milestone::Milestone;
use super::redirect::Redirects;
use super::request::RequestHead;
use super::step::{ConnectError, OpenLimits, OpenStep, ResolveError};
use super::url::{Address, Host};
use super::wire::{self, Wire};
use super::{Opened, Opening, Progress, Proxy, ProxyRules, Tunnel, TunnelProgress, TunnelTarget};
use crate::layer::{Layer, TlsError, TlsFault};

/// What a face does next, said by [`Connecting::next`].
#[derive(Debug)]
pub enum Next {
    /// Look this name up and say [`resolved`](Connecting::resolved).
    Resolve {
        /// The name.
        host: String,
        /// The port, for the addresses.
        port: u16,
    },
    /// Begin to connect to this address, beside the attempts that are under way, and say [`connected`](Connecting::connected) or
    /// [`failed`](Connecting::failed).
    Dial(Attempt),
    /// Make a layer of TLS with this host, and say [`secured`](Connecting::secured).
    Secure {
        /// The name that the certificate must be for.
        host: Host,
        /// Whether it is the proxy, and not the server.
        is_proxy: bool,
    },
    /// Wait for what was asked for, drop attempts that are not [wanted](Connecting::is_wanted), or wait for the deadline.
    Wait,
    /// Write the [`output`](Connecting::output), read into [`receive`](Connecting::receive), or wait for the deadline.
    Exchange,
    /// Write the [`output`](Connecting::output) and read nothing more: the connection is open then.
    Flush,
    /// Close the stream: another will be dialled.
    Hangup,
    /// The connection is open. Nothing more is to be called.
    Open {
        /// What it starts with.
        opened: Box<Opened>,
        /// Its TLS, where there is any: for the `secure` of the protocol machine.
        layer: Option<Box<dyn Layer>>,
    },
}

/// Which proxy a connection goes through.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ProxyChoice {
    /// None.
    #[default]
    Direct,
    /// This one.
    Through(Box<Proxy>),
    /// Whichever the rules name, which are those of the environment mostly.
    ByRules(Box<ProxyRules>),
}

/// From an address to an open connection: what to look up, to dial and when, what to write, and what the answers mean.
///
/// Four kinds of methods:
/// * what to do: [`next`](Self::next).
/// * what came of it: [`resolved`](Self::resolved), [`connected`](Self::connected), [`failed`](Self::failed),
///   [`secured`](Self::secured).
/// * bytes: [`output`](Self::output) and [`written`](Self::written), [`receive`](Self::receive),
///   [`receive_end`](Self::receive_end) and [`receive_break`](Self::receive_break).
/// * time: [`next_timeout`](Self::next_timeout), [`handle_timeout`](Self::handle_timeout). `now` must never run backwards.
///
/// The contract: call `next` and do what it says until it says [`Next::Wait`], [`Next::Exchange`] or [`Next::Flush`]; then wait for one of the
/// things that were begun, or the deadline; tell the machine; and begin again. An error of `next` is final; what
/// [`output`](Self::output) has then tells the other side, and may be written before the stream is closed.
///
/// What a peer sends is bounded as [`Opening`] and [`Tunnel`] bound it.
#[derive(Debug)]
pub struct Connecting {
    address: Address,
    request: RequestHead,
    proxies: ProxyChoice,
    redirects: Redirects,
    limits: OpenLimits,
    /// Dialled instead of what the address names.
    instead: Option<(Host, u16)>,
    /// The head of the request that was sent last, and how much of it is written or sealed: one that nothing seals is written from
    /// here.
    sent: Vec<u8>,
    taken: usize,
    /// The proxy of this address.
    proxy: Option<Proxy>,
    /// What the tunnel leads to.
    target: Option<TunnelTarget>,
    wire: Wire,
    stage: Stage,
    failed: Option<ConnectError>,
    keeps_headers: bool,
    journal: Journal,
    /// When the stage must be over.
    stage_deadline: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    /// Begins with the address.
    Begin,
    /// A name is looked up: the server's, for a proxy that does not, or the one that is dialled.
    Resolve {
        host: String,
        port: u16,
        for_tunnel: bool,
        asked: bool,
    },
    /// Addresses are dialled.
    Dial(Dialling),
    /// A stream is there, and what comes first is decided.
    Ready,
    /// A layer is asked for, or shakes hands. What came before it is held.
    Secure {
        with: With,
        asked: bool,
        held: Vec<u8>,
    },
    /// The proxy is asked for a tunnel.
    Tunnel(Box<Tunnel>),
    /// The server's turn: TLS or the request, with what came through the tunnel already.
    Through(Vec<u8>),
    /// The request is to be sent, with what came before it.
    Ask(Vec<u8>),
    /// The opening handshake.
    Upgrade(Box<Opening>),
    /// The stream is to be closed, since another is to be dialled.
    Hangup,
    /// It is open, and told so when everything is written.
    Open(Box<Opened>),
    Over,
}

/// Whom TLS is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    Proxy,
    Server,
}

impl Connecting {
    /// A connection to this address, by this request, which begins at `now`.
    pub fn new(
        address: Address,
        request: RequestHead,
        proxies: ProxyChoice,
        redirects: Redirects,
        limits: OpenLimits,
        now: Instant,
    ) -> Self {
        Self {
            address,
            request,
            proxies,
            redirects,
            limits,
            instead: None,
            sent: Vec::new(),
            taken: 0,
            proxy: None,
            target: None,
            wire: Wire::default(),
            stage: Stage::Begin,
            failed: None,
            keeps_headers: true,
            journal: Journal::new(now),
            stage_deadline: None,
        }
    }

    /// The same over a stream that leads to the server already: nothing is looked up or dialled, no proxy is asked and no
    /// redirect followed. With `secure`, TLS is still to be done where the address asks for it.
    pub fn over(
        address: Address,
        request: RequestHead,
        secure: bool,
        limits: OpenLimits,
        now: Instant,
    ) -> Self {
        let secure = secure && address.is_secure();
        let mut connecting = Self::new(address, request, ProxyChoice::Direct, Redirects::none(), limits, now);
        connecting.stage = if secure { Stage::Through(Vec::new()) } else { Stage::Ask(Vec::new()) };
        connecting
    }

    /// Reaches the address at another host or port than those it names, until a redirect leads elsewhere. What is asked for, and whose
    /// certificate is wanted, stays the same.
    pub fn reach_at(&mut self, host: Host, port: u16) {
        self.instead = Some((host, port));
    }

    /// Begins at `now`, and not when it was made. To be said before the first [`next`](Self::next).
    pub fn start(&mut self, now: Instant) {
        self.journal.started = now;
    }

    /// What to do next. `nonces` gives sixteen fresh random bytes for each request (RFC 6455 4.1).
    ///
    /// # Errors
    /// Why the connection cannot be opened. It is final.
    pub fn next(
        &mut self,
        now: Instant,
        nonces: &mut impl FnMut() -> io::Result<[u8; 16]>,
    ) -> Result<Next, ConnectError> {
        let next = match self.failed.take() {
            Some(error) => Err(error),
            None => self.advance(now, nonces),
        };
        if next.is_err() {
            self.stage = Stage::Over;
            self.wire.close();
        }
        next
    }

    fn advance(
        &mut self,
        now: Instant,
        nonces: &mut impl FnMut() -> io::Result<[u8; 16]>,
    ) -> Result<Next, ConnectError> {
        loop {
            match mem::replace(&mut self.stage, Stage::Over) {
                Stage::Begin => self.begin(now)?,
                Stage::Resolve { host, port, for_tunnel, asked } => {
                    let next = match asked {
                        true => Next::Wait,
                        false => {
                            self.enter(self.limits.resolve, now);
                            self.journal.saw(now, Seen::Resolving { host: &host });
                            Next::Resolve { host: host.clone(), port }
                        }
                    };
                    self.stage = Stage::Resolve { host, port, for_tunnel, asked: true };
                    return Ok(next);
                }
                Stage::Dial(mut dialling) => {
                    let attempt = dialling.next(now).map_err(|error| {
                        ConnectError::Connect(if self.proxy.is_some() {
                            error.with_the_proxy()
                        } else {
                            error
                        })
                    })?;
                    self.stage = Stage::Dial(dialling);
                    return Ok(match attempt {
                        Some(attempt) => {
                            self.journal.saw(now, Seen::Dialling { address: attempt.address });
                            Next::Dial(attempt)
                        }
                        None => Next::Wait,
                    });
                }
                Stage::Ready => {
                    self.stage = match &self.proxy {
                        None => Stage::Through(Vec::new()),
                        Some(proxy) if proxy.is_secure() => {
                            Stage::Secure { with: With::Proxy, asked: false, held: Vec::new() }
                        }
                        Some(_) => {
                            let mut wire = mem::take(&mut self.wire);
                            let begun = self.tunnel(&mut wire, now);
                            self.wire = wire;
                            begun?;
                            continue;
                        }
                    }
                }
                Stage::Through(held) => {
                    self.stage = if self.address.is_secure() {
                        Stage::Secure { with: With::Server, asked: false, held }
                    } else {
                        Stage::Ask(held)
                    }
                }
                Stage::Secure { with, asked: false, held } => {
                    let host = match (with, &self.proxy) {
                        (With::Proxy, Some(proxy)) => proxy.host().clone(),
                        _ => self.address.host().clone(),
                    };
                    self.enter(self.limits.tls, now);
                    self.journal.saw(now, Seen::Securing { host: &host });
                    self.stage = Stage::Secure { with, asked: true, held };
                    return Ok(Next::Secure { host, is_proxy: with == With::Proxy });
                }
                Stage::Ask(held) => self.ask(&held, now, nonces)?,
                stage @ (Stage::Secure { .. } | Stage::Tunnel(_) | Stage::Upgrade(_)) => {
                    self.stage = stage;
                    return Ok(Next::Exchange);
                }
                Stage::Hangup => {
                    self.wire = Wire::default();
                    self.taken = self.sent.len();
                    self.stage = Stage::Begin;
                    return Ok(Next::Hangup);
                }
                Stage::Open(opened) if self.output().is_empty() => {
                    let layer = match self.proxy {
                        #[cfg(feature = "proxies")]
                        Some(_) if !self.address.is_secure() => self.wire.take_outer_layer(),
                        _ => self.wire.take_layer(),
                    };
                    return Ok(Next::Open { opened, layer });
                }
                Stage::Open(opened) => {
                    self.stage = Stage::Open(opened);
                    return Ok(Next::Flush);
                }
                Stage::Over => return Err(ConnectError::Handshake(HandshakeError::Finished)),
            }
        }
    }

    // ---- what came of it

    /// The name has these addresses, or could not be looked up.
    pub fn resolved(&mut self, found: io::Result<Vec<SocketAddr>>, now: Instant) {
        let Stage::Resolve { host, port, for_tunnel, .. } = mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        let found = found.and_then(|found| match found.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")),
            false => Ok(found),
        });
        match found {
            Err(cause) => self.failed = Some(ConnectError::Resolve(ResolveError::new(host, cause))),
            Ok(found) => {
                self.journal.saw(now, Seen::Resolved { addresses: found.len() });
                if for_tunnel {
                    self.target = Some(TunnelTarget::new(host_of(found[0].ip()), port));
                    self.dial_proxy(now);
                } else {
                    self.dial(&found, now);
                }
            }
        }
    }

    /// The attempt has a connection. True: it is the stream from now on, and the other attempts are to be dropped.
    /// False: it is not wanted any more.
    pub fn connected(&mut self, attempt: Attempt, now: Instant) -> bool {
        let Stage::Dial(dialling) = &mut self.stage else { return false };
        let is_the_one = dialling.connected(attempt.id);
        if is_the_one {
            self.journal.saw(now, Seen::Connected { address: attempt.address });
            self.stage = Stage::Ready;
        }
        is_the_one
    }

    /// The attempt failed.
    pub fn failed(&mut self, attempt: Attempt, cause: io::Error, now: Instant) {
        if let Stage::Dial(dialling) = &mut self.stage {
            self.journal.saw(now, Seen::DialFailed { address: attempt.address, cause: &cause });
            dialling.failed(attempt.id, cause);
        }
    }

    /// Whether an attempt is still to be waited for.
    pub fn is_wanted(&self, attempt: AttemptId) -> bool {
        match &self.stage {
            Stage::Dial(dialling) => dialling.is_wanted(attempt),
            _ => false,
        }
    }

    /// The layer that was asked for, or why there is none.
    pub fn secured(&mut self, layer: Result<Box<dyn Layer>, TlsError>, now: Instant) {
        let Stage::Secure { with, held, .. } = mem::replace(&mut self.stage, Stage::Over) else { return };
        match layer {
            Err(error) => self.failed = Some(error.into()),
            Ok(mut layer) => {
                let mut held = held.as_slice();
                while !held.is_empty() {
                    held = &held[wire::put(&mut *layer, held)..];
                }
                self.wire.secure(layer);
                self.stage = Stage::Secure { with, asked: true, held: Vec::new() };
                self.receive(&[], now);
            }
        }
    }

    // ---- bytes

    /// The bytes to be written now; empty when there are none.
    pub fn output(&self) -> &[u8] {
        match self.wire.output() {
            [] => &self.sent[self.taken..],
            output => output,
        }
    }

    /// The first `n` bytes of the output have been written.
    ///
    /// # Panics
    /// When `n` is more than the output has: a mistake of the caller.
    pub fn written(&mut self, n: usize) {
        if self.wire.output().is_empty() {
            assert!(n <= self.output().len(), "more bytes written than there were");
            self.taken += n;
        } else {
            self.wire.written(n);
        }
    }

    /// Takes bytes of the stream, all of them.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        if let Stage::Open(opened) = &mut self.stage {
            // What comes now is the open connection's.
            if !self.wire.keep(bytes) {
                opened.leftover.extend_from_slice(bytes);
            }
            return;
        }
        self.hear(&[], bytes, now);
    }

    /// The same, before them plain bytes that were held.
    fn hear(&mut self, held: &[u8], bytes: &[u8], now: Instant) {
        let mut wire = mem::take(&mut self.wire);
        let taken = wire.receive(held, bytes, |wire, plain| self.take(wire, plain, now));
        self.wire = wire;
        if let Err(error) = taken {
            let error = match (error, &self.stage) {
                (ConnectError::Tls(error), Stage::Secure { with: With::Proxy, .. }) => {
                    ConnectError::Tls(error.with_the_proxy())
                }
                (error, _) => error,
            };
            self.refused(error, now);
        } else if self.wire.is_ended() {
            self.receive_end(now);
        }
    }

    /// The stream ended.
    pub fn receive_end(&mut self, now: Instant) {
        // What goes on to the end is not known to be whole where TLS said nothing of an end.
        if self.wire.is_sealed() && !self.wire.is_ended() && self.receive_break(now) {
            return;
        }
        let error = match &mut self.stage {
            Stage::Tunnel(tunnel) => tunnel.receive_end(now).err().map(ConnectError::from),
            Stage::Upgrade(opening) => opening.receive_end(now).err().map(ConnectError::from),
            Stage::Secure { .. } => Some(TlsError::new(TlsFault::Truncated).into()),
            _ => None,
        };
        if let Some(error) = error {
            self.refused(error, now);
        }
    }

    /// The stream broke: nothing more can be read. True: a refusal was on its way, and [`next`](Self::next) goes on with what came
    /// of it. False: why it broke is all that is known.
    pub fn receive_break(&mut self, now: Instant) -> bool {
        // The one deadline that either has by itself is that of a refusal's body.
        let known = match &mut self.stage {
            Stage::Tunnel(tunnel) => tunnel
                .next_timeout()
                .and_then(|deadline| tunnel.handle_timeout(deadline).err())
                .map(ConnectError::from),
            Stage::Upgrade(opening) => opening
                .next_timeout()
                .and_then(|deadline| opening.handle_timeout(deadline).err())
                .map(ConnectError::from),
            _ => None,
        };
        let is_known = known.is_some();
        if let Some(error) = known {
            self.refused(error, now);
        }
        is_known
    }

    // ---- time

    /// When to call [`handle_timeout`](Self::handle_timeout), if at all.
    pub fn next_timeout(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Dial(dialling) => dialling.next_timeout(),
            Stage::Tunnel(tunnel) => tunnel.next_timeout(),
            Stage::Upgrade(opening) => opening.next_timeout(),
            _ => None,
        };
        [stage, self.stage_deadline, self.whole_deadline()].into_iter().flatten().min()
    }

    /// The time has come, or not yet: a call before the deadline does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        // What a step knows by itself tells more than that its time is up.
        let known = match &mut self.stage {
            Stage::Dial(dialling) => {
                dialling.handle_timeout(now);
                None
            }
            Stage::Tunnel(tunnel) => tunnel.handle_timeout(now).err().map(ConnectError::from),
            Stage::Upgrade(opening) => opening.handle_timeout(now).err().map(ConnectError::from),
            _ => None,
        };
        if let Some(error) = known {
            return self.refused(error, now);
        }
        let whole = self.whole_deadline().is_some_and(|deadline| deadline <= now);
        let stage = self.stage_deadline.is_some_and(|deadline| deadline <= now);
        if (whole || stage)
            && let Some(step) = self.step()
        {
            self.failed = Some(ConnectError::Timeout { step, whole });
        }
    }

    /// The step that is going on.
    pub fn step(&self) -> Option<OpenStep> {
        Some(match &self.stage {
            Stage::Begin | Stage::Resolve { .. } => OpenStep::Resolve,
            Stage::Dial(_) | Stage::Ready | Stage::Hangup => OpenStep::Connect,
            Stage::Tunnel(_) => OpenStep::Proxy,
            Stage::Secure { .. } | Stage::Through(_) => OpenStep::Tls,
            Stage::Ask(_) | Stage::Upgrade(_) => OpenStep::Upgrade,
            Stage::Open(_) | Stage::Over => return None,
        })
    }

    /// The address that is being asked: after a redirect, another than at first.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The head of the request that was sent last, its secrets included: for whoever sent it.
    pub fn request(&self) -> &[u8] {
        &self.sent
    }

    /// Somebody is going to ask for each [`milestone`](Self::milestone); without this there are none. To be said before the first
    /// [`next`](Self::next).
    pub fn watch(&mut self) {
        self.journal.watch();
    }

    /// Nobody is going to look at the header lines of the response: [`Opened::response`] has none then, unless somebody
    /// [watches](Self::watch). They are judged all the same. To be said before the first [`next`](Self::next).
    pub fn skip_headers(&mut self) {
        self.keeps_headers = false;
    }

    /// The next thing that happened, and how long after the beginning.
    pub fn milestone(&mut self) -> Option<(Duration, Milestone)> {
        self.journal.next()
    }

    // ---- from one stage to the next

    /// Finds the way to the address.
    fn begin(&mut self, now: Instant) -> Result<(), ConnectError> {
        self.proxy = match &self.proxies {
            ProxyChoice::Direct => None,
            ProxyChoice::Through(proxy) => Some((**proxy).clone()),
            ProxyChoice::ByRules(rules) => {
                rules.proxy_for(&self.address).map_err(ConnectError::ProxyRules)?
            }
        };
        self.target = None;
        let named = || (self.address.host().clone(), self.address.port());
        let (host, port) = self.instead.clone().unwrap_or_else(named);
        match (&self.proxy, host) {
            (None, host) => self.reach(host, port, now),
            (Some(proxy), Host::Name(host)) if !proxy.resolves_names() => {
                self.stage = Stage::Resolve { host, port, for_tunnel: true, asked: false };
            }
            (Some(_), host) => {
                self.target = Some(TunnelTarget::new(host, port));
                self.dial_proxy(now);
            }
        }
        Ok(())
    }

    fn dial_proxy(&mut self, now: Instant) {
        if let Some(proxy) = &self.proxy {
            let (host, port) = (proxy.host().clone(), proxy.port());
            self.reach(host, port, now);
        }
    }

    /// An IP address is dialled, a name looked up.
    fn reach(&mut self, host: Host, port: u16, now: Instant) {
        match host {
            Host::Ipv4(ip) => self.dial(&[SocketAddr::from((ip, port))], now),
            Host::Ipv6(ip) => self.dial(&[SocketAddr::from((ip, port))], now),
            Host::Name(host) => {
                self.stage = Stage::Resolve { host, port, for_tunnel: false, asked: false };
            }
        }
    }

    fn dial(&mut self, addresses: &[SocketAddr], now: Instant) {
        // Each attempt has its own limit.
        self.enter(None, now);
        self.stage = Stage::Dial(Dialling::new(addresses, self.limits.connect));
    }

    /// Asks the proxy for a tunnel.
    fn tunnel(&mut self, wire: &mut Wire, now: Instant) -> Result<(), ConnectError> {
        let (Some(proxy), Some(target)) = (&self.proxy, &self.target) else {
            unreachable!("a proxy and its target are known before it is dialled")
        };
        let mut tunnel = Box::new(Tunnel::new(proxy, target, HeadLimits::default())?);
        self.journal.saw(now, Seen::Tunnelling { proxy, target });
        self.enter(self.limits.proxy, now);
        let n = tunnel.output().len();
        wire.send(tunnel.output())?;
        tunnel.written(n);
        self.stage = Stage::Tunnel(tunnel);
        Ok(())
    }

    /// Sends the request. What came before it, came before it was asked for: that is judged as its answer.
    fn ask(
        &mut self,
        held: &[u8],
        now: Instant,
        nonces: &mut impl FnMut() -> io::Result<[u8; 16]>,
    ) -> Result<(), ConnectError> {
        let nonce = nonces().map_err(ConnectError::Random)?;
        let (mut opening, request) =
            Opening::beside(&self.request, nonce, HeadLimits::default()).map_err(ConnectError::Request)?;
        opening.keeps_headers = self.keeps_headers || self.journal.is_watched();
        self.enter(self.limits.upgrade, now);
        let asking = Seen::Asking { address: &self.address, request: &self.request, head: &request };
        self.journal.saw(now, asking);
        (self.sent, self.taken) = (request, 0);
        if self.wire.is_sealed() {
            self.taken = self.sent.len();
            self.wire.send(&self.sent)?;
        }
        self.stage = Stage::Upgrade(Box::new(opening));
        self.hear(held, &[], now);
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Takes plain bytes; true while more are wanted.
    fn take(&mut self, wire: &mut Wire, plain: &[u8], now: Instant) -> Result<bool, ConnectError> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Secure { with, asked, held } => {
                if !wire.is_open() {
                    self.stage = Stage::Secure { with, asked, held };
                    return Ok(true);
                }
                self.secure_done(wire, with, plain, now)?;
                match with {
                    // The request is to be sent first.
                    With::Server => Ok(false),
                    With::Proxy if plain.is_empty() => Ok(true),
                    With::Proxy => self.take(wire, plain, now),
                }
            }
            Stage::Tunnel(mut tunnel) => match tunnel.receive(plain, now)? {
                TunnelProgress::More => {
                    let n = tunnel.output().len();
                    wire.send(tunnel.output())?;
                    tunnel.written(n);
                    self.stage = Stage::Tunnel(tunnel);
                    Ok(true)
                }
                TunnelProgress::Open { leftover } => {
                    self.journal.saw(now, Seen::Tunnelled);
                    self.stage = Stage::Through(leftover);
                    Ok(false)
                }
            },
            Stage::Upgrade(mut opening) => match opening.receive(plain, now)? {
                Progress::More => {
                    self.stage = Stage::Upgrade(opening);
                    Ok(true)
                }
                Progress::Open(opened) => {
                    self.opened(opened, now);
                    Ok(false)
                }
            },
            other => {
                self.stage = other;
                Ok(false)
            }
        }
    }

    fn secure_done(
        &mut self,
        wire: &mut Wire,
        with: With,
        plain: &[u8],
        now: Instant,
    ) -> Result<(), ConnectError> {
        // What was agreed on elsewhere is not what is spoken here (RFC 7301 3.2).
        if let Some(protocol) = wire.alpn()
            && protocol != "http/1.1"
        {
            let error = TlsError::new(TlsFault::Alpn { protocol });
            return Err(if with == With::Proxy { error.with_the_proxy() } else { error }.into());
        }
        if self.journal.is_watched()
            && let Some(info) = &wire.agreed()
        {
            self.journal.saw(now, Seen::Secured { info });
        }
        match with {
            With::Server => self.stage = Stage::Ask(plain.to_vec()),
            With::Proxy => self.tunnel(wire, now)?,
        }
        Ok(())
    }

    fn opened(&mut self, opened: Opened, now: Instant) {
        self.answered(opened.response.status, &opened.response.headers, now);
        self.journal.saw(now, Seen::Open { opened: &opened, request: &self.request });
        self.stage = Stage::Open(Box::new(opened));
        self.stage_deadline = None;
    }

    /// The stage failed: a redirect leads elsewhere, everything else is the end.
    fn refused(&mut self, error: ConnectError, now: Instant) {
        if let ConnectError::Handshake(HandshakeError::Refused(refusal)) = &error {
            self.answered(refusal.status, &refusal.headers, now);
            match self.redirects.follow(refusal, &self.address) {
                Ok(None) => {}
                Ok(Some(to)) => {
                    self.journal.saw(now, Seen::Redirected { status: refusal.status, to: &to });
                    self.request = self.request.redirected(&self.address, &to);
                    if (to.host(), to.port()) != (self.address.host(), self.address.port()) {
                        self.instead = None;
                    }
                    self.address = to;
                    self.stage = Stage::Hangup;
                    return;
                }
                Err(error) => {
                    self.failed = Some(ConnectError::Redirect(error));
                    return;
                }
            }
        }
        self.failed = Some(error);
    }

    fn answered(&mut self, status: StatusCode, headers: &HeaderMap, now: Instant) {
        self.journal.saw(now, Seen::Answered { status, headers });
    }

    /// A new stage with its own limit.
    fn enter(&mut self, limit: Option<Duration>, now: Instant) {
        self.stage_deadline = limit.and_then(|limit| now.checked_add(limit));
    }

    fn whole_deadline(&self) -> Option<Instant> {
        self.limits.whole.and_then(|whole| self.journal.started.checked_add(whole))
    }
}

fn host_of(ip: IpAddr) -> Host {
    match ip {
        IpAddr::V4(ip) => Host::Ipv4(ip),
        IpAddr::V6(ip) => Host::Ipv6(ip),
    }
}
