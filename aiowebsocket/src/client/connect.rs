//! `connect`: from an address to an open connection.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

use self::sealed::Outcome;
use super::driver::now;
use super::gate::{Enter, Gate};
use super::opening::{self, Dialler};
use super::websocket::WebSocket;
use crate::face::{Asked, Connect, Dial, Error, Means, Negotiated, Open, Target, TimeLimit};
use crate::opening::{Address, Connecting, OpenLimits, OpenStep, Opened, Response};
use crate::protocol::{Config, Role};

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
    Connect::new(target, Dial::default())
}

/// What tokio's sockets can be dialled with besides.
#[derive(Clone, Default)]
pub(crate) struct Ways {
    pub(super) gate: Option<Arc<dyn Enter>>,
    pub(super) socket: Option<SocketHook>,
}

/// What the user does to a socket before it connects.
pub(super) type SocketHook = Arc<dyn Fn(&TcpSocket) -> io::Result<()> + Send + Sync>;

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways").field("gate", &self.gate).finish_non_exhaustive()
    }
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

impl Connect {
    /// Waits until no other connection that was given this gate is opening to the same IP address and port (RFC 6455 4.1,
    /// item 2). Default: no gate, see [`Gate`]. The wait counts into [`open_timeout`](Self::open_timeout).
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.transport.ways.gate = Some(Arc::new(gate.clone()));
        self
    }

    /// Sets options of each socket before it connects: buffer sizes, an interface, a mark. TCP_NODELAY is on already.
    pub fn socket_options(
        mut self,
        set: impl Fn(&TcpSocket) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.transport.ways.socket = Some(Arc::new(set));
        self
    }
}

impl<T: Transport> Connect<T> {
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

    /// Opens the connection and hands out the server's response beside it: its headers, cookies for example.
    /// The connection itself does not keep it.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn with_response(self) -> Result<(WebSocket<T::Stream>, Response), Error> {
        let Self { asked, config, limits, means, transport } = self;
        transport.open(asked, limits, means, config).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Outcome<S> for (WebSocket<S>, Response) {
    #[inline]
    fn of(stream: S, (opened, layer): Open, config: Config) -> Self {
        let Opened { response, subprotocol, compression, leftover, .. } = *opened;
        let negotiated = Negotiated { subprotocol, compression, config };
        (WebSocket::from_opened(stream, Role::Client, negotiated, &leftover, layer), response)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Outcome<S> for WebSocket<S> {
    #[inline]
    fn of(stream: S, open: Open, config: Config) -> Self {
        <(Self, Response)>::of(stream, open, config).0
    }
}

impl<T: Transport> IntoFuture for Connect<T> {
    type Output = Result<WebSocket<T::Stream>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { asked, config, limits, mut means, transport } = self;
        means.skips_headers = true;
        Box::pin(transport.open(asked, limits, means, config))
    }
}

impl<T> Connect<T> {
    fn with_transport<U>(self, transport: U) -> Connect<U> {
        let Self { asked, config, limits, means, transport: _ } = self;
        Connect { asked, config, limits, means, transport }
    }

    /// Takes out the first mistake in the options.
    pub(super) fn take_mistake(&mut self) -> Option<Error> {
        match &self.asked {
            Ok(_) => None,
            Err(_) => std::mem::replace(&mut self.asked, Err(Error::NotConnected)).err(),
        }
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

/// Where the stream of a connection comes from: [`Dial`], [`Over`] or [`OverEach`]. Sealed: more ways are options of [`Connect`].
pub trait Transport: sealed::Sealed + Send + 'static {
    /// The stream.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a connection over it, and hands out of it what the caller wants.
    #[doc(hidden)]
    fn open<R: Outcome<Self::Stream>>(
        self,
        asked: Result<Asked, Error>,
        limits: OpenLimits,
        means: Means,
        config: Config,
    ) -> impl Future<Output = Result<R, Error>> + Send;
}

mod sealed {
    use super::{Config, Open};

    /// What an open connection is handed out as.
    pub trait Outcome<S>: Send {
        fn of(stream: S, open: Open, config: Config) -> Self;
    }

    pub trait Sealed {}
    impl Sealed for super::Dial {}
    impl<S> Sealed for super::Over<S> {}
    impl<F> Sealed for super::OverEach<F> {}
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for Over<S> {
    type Stream = S;

    /// The machine is made before the future, as for [`Dial`].
    fn open<R: Outcome<Self::Stream>>(
        self,
        asked: Result<Asked, Error>,
        limits: OpenLimits,
        means: Means,
        config: Config,
    ) -> impl Future<Output = Result<R, Error>> + Send {
        let Self { mut stream, secure } = self;
        let machine = asked.map(|Asked { address, request }| {
            Box::new(Connecting::over(address, request, secure, limits, now()))
        });
        async move {
            let mut machine = machine?;
            // It began now, and not when the future was made.
            machine.start(now());
            let opened = opening::over(machine, &mut stream, &means).await?;
            Ok(R::of(stream, opened, config))
        }
    }
}

impl<F, C, S> Transport for OverEach<F>
where
    F: Fn(Address) -> C + Send + 'static,
    C: Future<Output = io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = S;

    async fn open<R: Outcome<Self::Stream>>(
        self,
        asked: Result<Asked, Error>,
        limits: OpenLimits,
        means: Means,
        config: Config,
    ) -> Result<R, Error> {
        let started = now();
        let Asked { address, request } = asked?;
        let connecting = (self.0)(address.clone());
        let mut stream = match limits.whole {
            None => connecting.await,
            Some(whole) => tokio::time::timeout(whole, connecting)
                .await
                .map_err(|_| Error::Timeout(TimeLimit::Open(OpenStep::Connect)))?,
        }
        .map_err(Error::Connect)?;
        let machine = Box::new(Connecting::over(address, request, false, limits, started));
        let opened = opening::over(machine, &mut stream, &means).await?;
        Ok(R::of(stream, opened, config))
    }
}

impl Transport for Dial {
    type Stream = TcpStream;

    /// The machine is made before the future, which else has room for all that it is made of: glibc is quick with up to 1,032
    /// bytes only.
    fn open<R: Outcome<Self::Stream>>(
        self,
        asked: Result<Asked, Error>,
        limits: OpenLimits,
        means: Means,
        config: Config,
    ) -> impl Future<Output = Result<R, Error>> + Send {
        let Self { route, ways } = self;
        let dialler = Dialler { local: route.local, ways };
        let machine = asked.and_then(|asked| route.connecting(asked, limits, now()));
        async move {
            let (stream, open) = opening::dial(machine?, &means, &dialler).await?;
            Ok(R::of(stream, open, config))
        }
    }
}
