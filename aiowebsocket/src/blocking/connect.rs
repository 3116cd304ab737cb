//! `connect`: from an address to an open connection, in the thread that asks for it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use super::opening;
use super::poller::{Interrupt, now};
use super::websocket::WebSocket;
use crate::face::{Asked, Connect, Dials, Error, Route, Target};
use crate::opening::{Connecting, OpenLimits};

/// A connection to a `ws://` or `wss://` address: `connect(url).open()` with all defaults, or with options in between, which are
/// those of the crate's [`connect`](crate::connect).
///
/// ```no_run
/// # fn example() -> Result<(), aiowebsocket::Error> {
/// let ws = aiowebsocket::blocking::connect("ws://127.0.0.1:8765/feed").subprotocols(["json"]).open()?;
/// ws.send("hello")?;
/// while let Some(message) = ws.recv()? {
///     println!("{message:?}");
/// }
/// # Ok(()) }
/// ```
pub fn connect(target: impl Target) -> Connect<Dial> {
    Connect::new(target, Dial::default())
}

/// The transport of the blocking face: TCP to the host of the address, or to its proxy, or a socket that is connected already.
#[derive(Clone, Default)]
pub struct Dial {
    route: Route,
    pub(super) socket: Option<SocketHook>,
    pub(super) resolver: Option<Resolver>,
    pub(super) interrupt: Option<Arc<dyn Interrupt>>,
    given: Option<Given>,
}

/// What the user does to a socket before it connects.
pub(super) type SocketHook = Arc<dyn Fn(&socket2::Socket) -> io::Result<()> + Send + Sync>;

/// Who knows the addresses of a name.
pub(super) type Resolver = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// A socket that leads to the server already.
#[derive(Clone)]
struct Given {
    stream: Arc<TcpStream>,
    /// Whether TLS is still to be done where the address asks for it.
    secure: bool,
}

impl Dials for Dial {
    fn route(&mut self) -> &mut Route {
        &mut self.route
    }
}

impl Connect<Dial> {
    /// Opens the connection.
    ///
    /// # Errors
    /// The step that failed: [`Error::Url`], [`Error::Request`], [`Error::Dns`], [`Error::Connect`], [`Error::Proxy`],
    /// [`Error::Tls`], [`Error::Handshake`], [`Error::Redirect`], [`Error::Timeout`], [`Error::Io`]. A mistake in an option is told
    /// before anything is dialled.
    pub fn open(self) -> Result<WebSocket, Error> {
        let Self { asked, config, limits, means, transport } = self;
        let machine = transport.machine(asked?, limits)?;
        let opened = opening::run(machine, &means, &transport)?;
        Ok(WebSocket::new(opened, config, transport.interrupt))
    }

    /// Runs the opening handshake over a socket that is ready for it: it leads to the server, and TLS, where the address is
    /// `wss://`, is done by whoever is on its way. No proxy is asked and no redirect followed.
    ///
    /// Any stream socket of the system can be one: on Unix a `UnixStream` is by way of `OwnedFd`.
    pub fn over(self, stream: TcpStream) -> Self {
        self.given(stream, false)
    }

    /// The same over a socket that leads to the server's port, through a tunnel of your own for example. TLS, where the address
    /// is `wss://`, is done here.
    pub fn through(self, stream: TcpStream) -> Self {
        self.given(stream, true)
    }

    fn given(mut self, stream: TcpStream, secure: bool) -> Self {
        self.transport.given = Some(Given { stream: Arc::new(stream), secure });
        self
    }

    /// Sets options of each socket before it connects: buffer sizes, an interface, a mark. TCP_NODELAY is on already.
    pub fn socket_options(
        mut self,
        set: impl Fn(&socket2::Socket) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.transport.socket = Some(Arc::new(set));
        self
    }

    /// Looks names up by this function, which is given the port too and is called on a thread of its own. What it raises is in
    /// [`Error::Dns`]. Default: the system's resolver.
    pub fn resolver(
        mut self,
        look_up: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.transport.resolver = Some(Arc::new(look_up));
        self
    }

    /// Asks this whenever a signal interrupts a wait, of opening or of the open connection. By default a wait goes on. Where a
    /// call ended so, nothing is lost: messages are there for the next `recv`, and one to be sent was queued whole, or not at
    /// all where the queue had no room for it.
    ///
    /// ```no_run
    /// # static STOP: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    /// use std::io;
    /// use std::sync::atomic::Ordering;
    ///
    /// let ws = aiowebsocket::blocking::connect("ws://127.0.0.1:8765/feed")
    ///     // A handler of SIGINT sets STOP.
    ///     .interrupt(|| if STOP.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) })
    ///     .open();
    /// ```
    pub fn interrupt(mut self, interrupt: impl Interrupt + 'static) -> Self {
        self.transport.interrupt = Some(Arc::new(interrupt));
        self
    }
}

impl Dial {
    fn machine(&self, asked: Asked, limits: OpenLimits) -> Result<Box<Connecting>, Error> {
        match &self.given {
            Some(given) => {
                let machine = Connecting::over(asked.address, asked.request, given.secure, limits, now());
                Ok(Box::new(machine))
            }
            None => self.route.clone().connecting(asked, limits, now()),
        }
    }

    /// Where a socket is bound before it connects.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.route.local
    }

    /// The socket that is connected already, where there is one.
    pub(super) fn given_stream(&self) -> io::Result<Option<TcpStream>> {
        self.given.as_ref().map(|given| given.stream.try_clone()).transpose()
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").field("route", &self.route).finish_non_exhaustive()
    }
}
