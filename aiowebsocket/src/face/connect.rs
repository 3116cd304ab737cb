//! The options of a connection to be opened, which every face has.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::Error;
use super::means::Means;
use super::target::{Asked, Target};
#[cfg(feature = "deflate")]
use crate::Deflate;
use crate::layer::{Layer, TlsError};
use crate::opening::{Connecting, Host, Milestone, OpenLimits, ProxyChoice, Redirects, RequestHead};
#[cfg(feature = "proxies")]
use crate::opening::{Proxy, ProxyRules};
use crate::protocol::{Config, KeepAlive};
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// A connection to be opened: [`connect`](crate::connect) makes one that is awaited, [`blocking::connect`](crate::blocking::connect)
/// one that is opened by a call.
#[must_use = "nothing is dialled before this is awaited or opened"]
pub struct Connect<T = Dial> {
    /// The first mistake in the options is kept until it is opened.
    pub(crate) asked: Result<Asked, Error>,
    pub(crate) config: Config,
    pub(crate) limits: OpenLimits,
    pub(crate) means: Means,
    pub(crate) transport: T,
}

/// The transport of a plain [`connect`](crate::connect): TCP to the host of the address, or to its proxy.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    pub(crate) route: Route,
    #[cfg(feature = "tokio")]
    pub(crate) ways: crate::client::Ways,
}

/// A transport that dials, and so goes through proxies and after redirects: [`Dial`], or that of the blocking face. Sealed.
pub trait Dials: sealed::Sealed {
    #[doc(hidden)]
    fn route(&mut self) -> &mut Route;
}

/// Where a connection leads, and from where.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Route {
    proxies: ProxyChoice,
    redirects: Redirects,
    /// Dialled instead of what the address names.
    instead: Option<(String, u16)>,
    /// Where a socket is bound before it connects.
    pub(crate) local: Option<SocketAddr>,
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Dial {}
    #[cfg(feature = "blocking")]
    impl Sealed for crate::blocking::Dial {}
}

impl Dials for Dial {
    fn route(&mut self) -> &mut Route {
        &mut self.route
    }
}

impl Route {
    /// The machine of a connection on this way.
    ///
    /// # Errors
    /// [`Error::Url`] where the host to be dialled instead is none.
    pub(crate) fn connecting(
        self,
        Asked { address, request }: Asked,
        limits: OpenLimits,
        now: Instant,
    ) -> Result<Box<Connecting>, Error> {
        let (proxies, redirects) = (self.proxies, self.redirects);
        // Boxed, so that whoever drives it moves a word.
        let mut machine = Box::new(Connecting::new(address, request, proxies, redirects, limits, now));
        if let Some((host, port)) = self.instead {
            machine.reach_at(Host::parse(&host)?, port);
        }
        Ok(machine)
    }
}

impl<T> Connect<T> {
    /// With all defaults, over this transport.
    pub(crate) fn new(target: impl Target, transport: T) -> Self {
        Self {
            asked: target.ask(),
            config: Config::default(),
            limits: OpenLimits::default(),
            means: Means::default(),
            transport,
        }
    }

    /// Adds a header line, or replaces one of the defaults (`Host`, `User-Agent`) in its place. Spelling and order are
    /// kept. Header lines of the handshake itself are refused.
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.ask(|request| Ok(_ = request.header(name.as_ref(), value)?))
    }

    /// Leaves out a default header line, `User-Agent` for example.
    pub fn without_header(self, name: impl AsRef<str>) -> Self {
        self.ask(|request| Ok(_ = request.remove(name.as_ref())?))
    }

    /// Adds a header line whose value goes to no other scheme, host or port, whatever redirects say, and is shown nowhere: a key, for
    /// example. `Authorization` and `Cookie` are so by their names.
    pub fn secret_header(self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.ask(|request| Ok(_ = request.secret_header(name.as_ref(), value)?))
    }

    /// Sends `Authorization: Bearer` with this token (RFC 6750).
    pub fn bearer(self, token: impl AsRef<str>) -> Self {
        self.ask(|request| Ok(_ = request.bearer(token.as_ref())?))
    }

    /// Sends `Authorization: Basic` (RFC 7617), as `user:password@` in the address does.
    pub fn basic(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.ask(|request| Ok(_ = request.basic(user.as_ref(), password.as_ref())?))
    }

    /// Sends a cookie (RFC 6265); several make one `Cookie` line.
    pub fn cookie(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.ask(|request| Ok(_ = request.cookie(name.as_ref(), value.as_ref())?))
    }

    /// Offers subprotocols that carry a secret, a token as Kubernetes wants it for example: they go to no other scheme, host or port
    /// and are shown nowhere.
    pub fn secret_subprotocols<I>(self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ask(|request| Ok(_ = request.secret_subprotocols(names)?))
    }

    /// Offers subprotocols, the best first. The server may choose one, see [`WebSocket::subprotocol`](crate::WebSocket::subprotocol).
    pub fn subprotocols<I>(self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ask(|request| Ok(_ = request.subprotocols(names)?))
    }

    /// Offers compression (RFC 7692) with these options, which an [`Outgoing::plain`](crate::Outgoing::plain) message does without.
    /// What the server agreed to is in [`WebSocket::compression`](crate::WebSocket::compression). Default: offered, with [`Deflate::default`].
    #[cfg(feature = "deflate")]
    pub fn compression(self, options: Deflate) -> Self {
        self.ask(|request| Ok(_ = request.compression(Some(options))?))
    }

    /// Does not offer compression. It costs a JSON message of 169 bytes 0.55 µs on its way out and 0.28 µs on its way in, and saves 64 % of
    /// its bytes (`make bench-deflate`); what matters more depends on the line.
    #[cfg(feature = "deflate")]
    pub fn no_compression(self) -> Self {
        self.ask(|request| Ok(_ = request.compression(None)?))
    }

    /// Sets all limits and times of the open connection at once.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The largest message that is received, in bytes: [`Config::max_message`]. Frames are bounded by it too.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.config.max_message = bytes;
        self.config.max_frame = bytes;
        self
    }

    /// Bytes that may wait to be written: [`Config::max_queue`].
    pub fn max_queue(mut self, bytes: usize) -> Self {
        self.config.max_queue = bytes;
        self
    }

    /// Bytes of messages that are kept while their receiver does something else: [`Config::max_backlog`].
    pub fn max_backlog(mut self, bytes: usize) -> Self {
        self.config.max_backlog = bytes;
        self
    }

    /// How long opening may take as a whole, from looking up the name to the last redirect's handshake. Default 10 s.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.limits.whole = Some(timeout);
        self
    }

    /// How long each step of opening may take, and the whole. By default only the whole is limited.
    pub fn open_limits(mut self, limits: OpenLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Calls `observer` at each step of opening with the time since the beginning. It is called while the connection opens, so it
    /// should be quick. Neither credentials nor queries are shown to it.
    pub fn observe(mut self, observer: impl Fn(Duration, &Milestone) + Send + Sync + 'static) -> Self {
        self.means.observer = Some(Arc::new(observer));
        self
    }

    /// Whom `wss://` trusts, and who this client is: [`Tls`], or a `rustls::ClientConfig`. Default: [`Tls::default`], the
    /// trust store of the operating system.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.means.tls = Some(tls.into());
        self
    }

    /// TLS by an engine of your own: a [`Layer`](crate::layer::Layer) with this host, in place of the library's. The second argument tells whether the host is
    /// the proxy's, and not the server's.
    pub fn tls_layer(
        mut self,
        make: impl Fn(&Host, bool) -> Result<Box<dyn Layer>, TlsError> + Send + Sync + 'static,
    ) -> Self {
        self.means.layers = Some(Arc::new(make));
        self
    }

    /// How long the closing handshake may take: [`Config::close_timeout`]. Default 10 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// Time between pings, and time after a ping within which some byte must come: [`Config::keepalive`].
    /// Default 20 s and 20 s.
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.config.keepalive = Some(KeepAlive { interval, timeout });
        self
    }

    /// No pings of our own: a peer that vanished is noticed when writing fails, if ever.
    pub fn no_keepalive(mut self) -> Self {
        self.config.keepalive = None;
        self
    }

    /// Shows so many bytes of each payload, from its first on, to whoever collects events of the crate `tracing`:
    /// [`Config::trace_payloads`]. Default 0, none: payloads may be secret, and logs are kept.
    pub fn trace_payloads(mut self, bytes: u16) -> Self {
        self.config.trace_payloads = bytes;
        self
    }

    fn ask(mut self, edit: impl FnOnce(&mut RequestHead) -> Result<(), Error>) -> Self {
        if let Ok(asked) = &mut self.asked
            && let Err(error) = edit(&mut asked.request)
        {
            self.asked = Err(error);
        }
        self
    }
}

impl<T: Dials> Connect<T> {
    /// Goes through this proxy, to every server that is asked. Default: none.
    #[cfg(feature = "proxies")]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.transport.route().proxies = ProxyChoice::Through(Box::new(proxy));
        self
    }

    /// Goes through the proxy that these rules name for the address, if any:
    /// [`proxies_from_env`](Self::proxies_from_env) for those of the environment.
    #[cfg(feature = "proxies")]
    pub fn proxy_rules(mut self, rules: ProxyRules) -> Self {
        self.transport.route().proxies = ProxyChoice::ByRules(Box::new(rules));
        self
    }

    /// Goes through the proxy that the environment names for the address: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`, as
    /// [`ProxyRules`] tells. Read now. Default: the environment is not asked, since a library does not know whom it was meant
    /// for.
    #[cfg(feature = "proxies")]
    pub fn proxies_from_env(self) -> Self {
        self.proxy_rules(ProxyRules::from_variables(|name| std::env::var(name).ok()))
    }

    /// Follows at most so many redirects (301, 302, 303, 307, 308). Default 5; 0 makes each an
    /// [`Error::Handshake`]. Credentials go to the same scheme, host and port only, and `wss://` never becomes `ws://`.
    #[cfg(feature = "redirects")]
    pub fn redirects(mut self, limit: u8) -> Self {
        self.transport.route().redirects = Redirects::new(limit);
        self
    }

    /// Connects from this local address; port 0 lets the system choose one. Addresses of the other family then fail.
    pub fn local_address(mut self, address: SocketAddr) -> Self {
        self.transport.route().local = Some(address);
        self
    }

    /// Dials this host and port in place of those that the address names, until a redirect leads elsewhere. What is asked for, and whose
    /// certificate is wanted, stays the same.
    pub fn reach_at(mut self, host: impl Into<String>, port: u16) -> Self {
        self.transport.route().instead = Some((host.into(), port));
        self
    }
}

impl<T> fmt::Debug for Connect<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.asked.as_ref().map(|asked| &asked.address);
        f.debug_struct("Connect")
            .field("address", &address)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
