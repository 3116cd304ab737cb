//! `connect`: from an address to an open connection.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

use super::driver::now;
use super::error::{Error, TimeLimit};
use super::gate::Gate;
use super::opening::{self, Means, Open};
use super::target::{Asked, Target};
use super::websocket::{Negotiated, WebSocket};
#[cfg(feature = "deflate")]
use crate::Deflate;
use crate::opening::{
    Address, Connecting, Milestone, OpenLimits, OpenStep, Opened, Proxy, ProxyChoice, ProxyRules, Redirects,
    RequestHead, Response,
};
use crate::protocol::{Config, KeepAlive, Role};
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// Opens a connection to a `ws://` or `wss://` address, or to what an `http::Request` asks for (feature `http`): `connect(url).await` with all defaults, or with options in between.
///
/// No task is spawned: an open connection moves only while one of its futures is polled, see [`WebSocket`].
///
/// ```no_run
/// # async fn example() -> Result<(), aiowebsocket::Error> {
/// let mut ws = aiowebsocket::connect("ws://127.0.0.1:8765/feed")
///     .header("Origin", "https://example.com")
///     .subprotocols(["json"])
///     .await?;
/// ws.send("hello").await?;
/// while let Some(message) = ws.recv().await? {
///     println!("{message:?}");
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// On await, the step that failed: [`Error::Url`], [`Error::Request`], [`Error::Dns`], [`Error::Connect`],
/// [`Error::Proxy`], [`Error::Tls`], [`Error::Handshake`], [`Error::Redirect`], [`Error::Timeout`], [`Error::Io`]. A mistake in an option is told before anything is dialled.
///
/// # Cancel safety
/// Dropping the future closes the socket and leaves nothing behind.
pub fn connect(target: impl Target) -> Connect {
    let connect = Connect {
        asked: target.ask(),
        config: Config::default(),
        limits: OpenLimits::default(),
        means: Means::default(),
        transport: Dial { proxies: ProxyChoice::Direct, redirects: Redirects::default() },
    };
    #[cfg(feature = "deflate")]
    let connect = connect.compression(Deflate::default());
    connect
}

/// A connection to be opened: await it.
#[must_use = "nothing is dialled before this is awaited"]
pub struct Connect<T = Dial> {
    /// The first mistake in the options is kept until somebody awaits.
    asked: Result<Asked, Error>,
    config: Config,
    limits: OpenLimits,
    means: Means,
    transport: T,
}

/// The transport of a plain [`connect`]: TCP to the host of the address, or to its proxy.
#[derive(Clone, Debug)]
pub struct Dial {
    proxies: ProxyChoice,
    redirects: Redirects,
}

/// A stream that somebody else connected: see [`Connect::over`] and [`Connect::through`].
#[derive(Clone, Copy, Debug)]
pub struct Over<S> {
    stream: S,
    /// Whether TLS is still to be done where the address asks for it.
    secure: bool,
}

/// A stream of somebody else's for each attempt: see [`Connect::over_each`].
#[derive(Clone, Copy, Debug)]
pub struct OverEach<F>(F);

impl<T> Connect<T> {
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

    /// Offers subprotocols, the best first. The server may choose one, see [`WebSocket::subprotocol`].
    pub fn subprotocols<I>(self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ask(|request| Ok(_ = request.subprotocols(names)?))
    }

    /// Offers compression (RFC 7692) with these options, which an [`Outgoing::plain`](crate::Outgoing::plain) message does without.
    /// What the server agreed to is in [`WebSocket::compression`]. Default: offered, with [`Deflate::default`].
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
        self.means.observer = Some(std::sync::Arc::new(observer));
        self
    }

    /// Whom `wss://` trusts, and who this client is: [`Tls`], or a `rustls::ClientConfig`. Default: [`Tls::default`], the
    /// trust store of the operating system.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.means.tls = Some(tls.into());
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

    /// Runs the opening handshake over a stream that is ready for it: over TLS of your own where the address is `wss://`, or in
    /// memory. The address still says what is asked for. No proxy is asked and no redirect followed.
    pub fn over<S>(self, stream: S) -> Connect<Over<S>> {
        self.with_transport(Over { stream, secure: false })
    }

    /// The same over a stream that leads to the server's port: through a tunnel of your own, a Unix socket, a serial line.
    /// TLS, where the address is `wss://`, is done here.
    pub fn through<S>(self, stream: S) -> Connect<Over<S>> {
        self.with_transport(Over { stream, secure: true })
    }

    fn with_transport<U>(self, transport: U) -> Connect<U> {
        let Self { asked, config, limits, means, transport: _ } = self;
        Connect { asked, config, limits, means, transport }
    }

    /// As [`over`](Self::over), over a stream that this function connects: it is given the address, and called once for each
    /// attempt, so that the connection can be opened again ([`reconnecting`](Self::reconnecting)). Its error is
    /// [`Error::Connect`].
    pub fn over_each<F, R, S>(self, stream: F) -> Connect<OverEach<F>>
    where
        F: Fn(Address) -> R + Clone + Send + 'static,
        R: Future<Output = io::Result<S>> + Send,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.with_transport(OverEach(stream))
    }

    /// Takes out the first mistake in the options.
    pub(super) fn take_mistake(&mut self) -> Option<Error> {
        match &self.asked {
            Ok(_) => None,
            Err(_) => std::mem::replace(&mut self.asked, Err(Error::NotConnected)).err(),
        }
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

impl<T: Clone> Connect<T> {
    /// The same once more: for options without a mistake.
    pub(super) fn again(&self) -> Self {
        Self {
            asked: self.asked.as_ref().map_err(|_| Error::NotConnected).cloned(),
            config: self.config.clone(),
            limits: self.limits,
            means: self.means.clone(),
            transport: self.transport.clone(),
        }
    }
}

impl Connect<Dial> {
    /// Waits until no other connection that was given this gate is opening to the same IP address and port (RFC 6455 4.1,
    /// item 2). Default: no gate, see [`Gate`]. The wait counts into [`open_timeout`](Self::open_timeout).
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.means.gate = Some(gate.clone());
        self
    }

    /// Goes through this proxy, to every server that is asked. Default: none.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.transport.proxies = ProxyChoice::Through(Box::new(proxy));
        self
    }

    /// Goes through the proxy that these rules name for the address, if any:
    /// [`proxies_from_env`](Self::proxies_from_env) for those of the environment.
    pub fn proxy_rules(mut self, rules: ProxyRules) -> Self {
        self.transport.proxies = ProxyChoice::ByRules(Box::new(rules));
        self
    }

    /// Goes through the proxy that the environment names for the address: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`, as
    /// [`ProxyRules`] tells. Read now. Default: the environment is not asked, since a library does not know whom it was meant
    /// for.
    pub fn proxies_from_env(self) -> Self {
        self.proxy_rules(ProxyRules::from_variables(|name| std::env::var(name).ok()))
    }

    /// Follows at most so many redirects (301, 302, 303, 307, 308). Default 5; 0 makes each an
    /// [`Error::Handshake`]. Credentials go to the same scheme, host and port only, and `wss://` never becomes `ws://`.
    pub fn redirects(mut self, limit: u8) -> Self {
        self.transport.redirects = Redirects::new(limit);
        self
    }

    /// Connects from this local address; port 0 lets the system choose one. Addresses of the other family then fail.
    pub fn local_address(mut self, address: SocketAddr) -> Self {
        self.means.local = Some(address);
        self
    }

    /// Sets options of each socket before it connects: buffer sizes, an interface, a mark. TCP_NODELAY is on already.
    pub fn socket_options(
        mut self,
        set: impl Fn(&TcpSocket) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.means.socket = Some(std::sync::Arc::new(set));
        self
    }
}

impl<T: Transport> Connect<T> {
    /// Opens the connection and hands out the server's response beside it: its headers, cookies for example.
    /// The connection itself does not keep it.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn with_response(self) -> Result<(WebSocket<T::Stream>, Response), Error> {
        let Self { asked, config, limits, means, transport } = self;
        let (stream, (opened, layer)) = transport.open(asked?, limits, &means).await?;
        let Opened { response, subprotocol, compression, leftover, .. } = opened;
        let negotiated = Negotiated { subprotocol, compression, config };
        Ok((WebSocket::from_opened(stream, Role::Client, negotiated, &leftover, layer), response))
    }
}

impl<T: Transport> IntoFuture for Connect<T> {
    type Output = Result<WebSocket<T::Stream>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { Ok(self.with_response().await?.0) })
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

/// Where the stream of a connection comes from: [`Dial`], [`Over`] or [`OverEach`]. Sealed: more ways are options of [`Connect`].
pub trait Transport: sealed::Sealed + Send + 'static {
    /// The stream.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a connection over it.
    #[doc(hidden)]
    fn open(
        self,
        asked: Asked,
        limits: OpenLimits,
        means: &Means,
    ) -> impl Future<Output = Result<(Self::Stream, Open), Error>> + Send;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Dial {}
    impl<S> Sealed for super::Over<S> {}
    impl<F> Sealed for super::OverEach<F> {}
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for Over<S> {
    type Stream = S;

    async fn open(
        mut self,
        Asked { address, request }: Asked,
        limits: OpenLimits,
        means: &Means,
    ) -> Result<(S, Open), Error> {
        let machine = Connecting::over(address, request, self.secure, limits, now());
        let opened = opening::over(machine, &mut self.stream, means).await?;
        Ok((self.stream, opened))
    }
}

impl<F, R, S> Transport for OverEach<F>
where
    F: Fn(Address) -> R + Send + 'static,
    R: Future<Output = io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = S;

    async fn open(
        self,
        Asked { address, request }: Asked,
        limits: OpenLimits,
        means: &Means,
    ) -> Result<(S, Open), Error> {
        let started = now();
        let connecting = (self.0)(address.clone());
        let mut stream = match limits.whole {
            None => connecting.await,
            Some(whole) => tokio::time::timeout(whole, connecting)
                .await
                .map_err(|_| Error::Timeout(TimeLimit::Open(OpenStep::Connect)))?,
        }
        .map_err(Error::Connect)?;
        let machine = Connecting::over(address, request, false, limits, started);
        let opened = opening::over(machine, &mut stream, means).await?;
        Ok((stream, opened))
    }
}

impl Transport for Dial {
    type Stream = TcpStream;

    async fn open(
        self,
        Asked { address, request }: Asked,
        limits: OpenLimits,
        means: &Means,
    ) -> Result<(TcpStream, Open), Error> {
        let machine = Connecting::new(address, request, self.proxies, self.redirects, limits, now());
        opening::dial(machine, means).await
    }
}
