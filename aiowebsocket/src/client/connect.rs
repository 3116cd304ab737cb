//! `connect`: from an address to an open connection.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use super::error::{Error, TimeLimit};
use super::gate::{Gate, Pass};
use super::handshake;
use super::target::{Asked, Target};
use super::websocket::{Negotiated, WebSocket};
#[cfg(feature = "deflate")]
use crate::Deflate;
use crate::keys;
use crate::opening::{Address, HeadLimits, Opening, RequestHead, Response};
use crate::protocol::{Config, KeepAlive, Role};

/// How long opening may take as a whole. Ten seconds, as the widespread clients allow.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a connection to a `ws://` address, or to what an `http::Request` asks for (feature `http`): `connect(url).await` with all defaults, or with options in between.
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
/// [`Error::Handshake`], [`Error::Timeout`], [`Error::Io`]. A mistake in an option is told before anything is dialled.
///
/// # Cancel safety
/// Dropping the future closes the socket and leaves nothing behind.
pub fn connect(target: impl Target) -> Connect {
    let connect = Connect {
        asked: target.ask(),
        config: Config::default(),
        open_timeout: OPEN_TIMEOUT,
        transport: Dial { gate: None },
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
    open_timeout: Duration,
    transport: T,
}

/// The transport of a plain [`connect`]: TCP to the host of the address.
#[derive(Clone, Debug)]
pub struct Dial {
    gate: Option<Gate>,
}

/// A stream that somebody else connected: see [`Connect::over`].
#[derive(Clone, Copy, Debug)]
pub struct Over<S>(S);

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

    /// Does not offer compression. It costs a message of 170 bytes half a microsecond at either end and saves two thirds of its
    /// bytes; what matters more depends on the line.
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

    /// How long opening may take as a whole: resolving, dialling and the handshake. Default 10 s.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
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

    /// Runs the handshake over a stream that is connected already: through a tunnel, over TLS of your own, in memory.
    /// The address still says what is asked for.
    pub fn over<S>(self, stream: S) -> Connect<Over<S>> {
        let Self { asked, config, open_timeout, transport: _ } = self;
        Connect { asked, config, open_timeout, transport: Over(stream) }
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

impl Connect<Dial> {
    /// Waits until no other connection that was given this gate is opening to the same IP address and port (RFC 6455 4.1,
    /// item 2). Default: no gate, see [`Gate`]. The wait counts into [`open_timeout`](Self::open_timeout).
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.transport.gate = Some(gate.clone());
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
        let Self { asked, config, open_timeout, transport } = self;
        let Asked { address, request } = asked?;
        let open = async {
            let nonce = keys::nonce().map_err(Error::Io)?;
            let mut opening = Opening::new(request, nonce, HeadLimits::default())?;
            let (mut stream, _pass) = transport.connect(&address).await?;
            let opened = handshake::run(&mut stream, &mut opening).await?;
            let negotiated =
                Negotiated { subprotocol: opened.subprotocol, compression: opened.compression, config };
            let ws = WebSocket::from_upgraded(stream, Role::Client, negotiated, &opened.leftover);
            Ok((ws, opened.response))
        };
        match tokio::time::timeout(open_timeout, open).await {
            Ok(opened) => opened,
            Err(_) => Err(Error::Timeout(TimeLimit::Open)),
        }
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

/// Where the stream of a connection comes from: [`Dial`] or [`Over`]. Sealed: more ways are options of [`Connect`].
pub trait Transport: sealed::Sealed + Send + 'static {
    /// The stream.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The stream, connected, and the right to go on with the handshake.
    #[doc(hidden)]
    fn connect(
        self,
        address: &Address,
    ) -> impl Future<Output = Result<(Self::Stream, Option<Pass>), Error>> + Send;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Dial {}
    impl<S> Sealed for super::Over<S> {}
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for Over<S> {
    type Stream = S;

    async fn connect(self, _: &Address) -> Result<(S, Option<Pass>), Error> {
        Ok((self.0, None))
    }
}

impl Transport for Dial {
    type Stream = TcpStream;

    async fn connect(self, address: &Address) -> Result<(TcpStream, Option<Pass>), Error> {
        if address.is_secure() {
            return Err(Error::Connect(io::Error::new(
                io::ErrorKind::Unsupported,
                "wss:// needs TLS, which this version cannot do by itself: use ws://, or .over(a TLS stream)",
            )));
        }
        let addresses = resolve(address).await?;
        let (stream, pass) = dial(&addresses, self.gate.as_ref()).await.map_err(Error::Connect)?;
        // Messages are written whole, so waiting for more to fill a packet only adds delay.
        stream.set_nodelay(true).map_err(Error::Connect)?;
        Ok((stream, pass))
    }
}

/// The addresses of the host; a literal address asks nobody.
async fn resolve(address: &Address) -> Result<Vec<SocketAddr>, Error> {
    let host = address.dial_host();
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, address.port())]);
    }
    let found: Vec<_> = lookup_host((host.as_str(), address.port())).await.map_err(Error::Dns)?.collect();
    if found.is_empty() {
        let none = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        return Err(Error::Dns(none));
    }
    Ok(found)
}

/// The first address that answers, in the resolver's order; the error names each with its cause.
async fn dial(addresses: &[SocketAddr], gate: Option<&Gate>) -> io::Result<(TcpStream, Option<Pass>)> {
    let mut kind = io::ErrorKind::NotFound;
    let mut causes = Vec::new();
    for address in addresses {
        let pass = match gate {
            Some(gate) => Some(gate.enter(*address).await),
            None => None,
        };
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, pass)),
            Err(error) => {
                kind = error.kind();
                causes.push(format!("{address}: {error}"));
            }
        }
    }
    Err(io::Error::new(kind, causes.join("; ")))
}
