//! The pump of a connection that opens: looks names up, dials, reads, writes and sleeps as the machine says.
//!
//! One function is polled for all of it, with one alarm and one look at the clock for each thing that happens. As nested futures with a
//! timeout each it was 13 KB more of a program, and a timer of each one's own is set and cleared twice: 1,710 instructions a connect, where this takes 720 (callgrind).

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
#[cfg(feature = "tls")]
use tokio::task::JoinHandle;

use super::connect::Ways;
use super::driver::{Alarm, now};
use super::gate::Pass;
use crate::face::exchange::{Exchange, Turn};
use crate::face::pipe::{Clock, Pipe};
use crate::face::{Error, Means, Open, TimeLimit};
use crate::keys;
use crate::opening::{Attempt, Connecting, Host, Next, OpenStep};

/// What sockets are dialled with.
pub(super) struct Dialler {
    /// Where a socket is bound before it connects.
    pub(super) local: Option<SocketAddr>,
    pub(super) ways: Ways,
}

/// Opens a connection over a socket that is dialled. The pass, if any, is given up when it is open.
pub(super) async fn dial(
    machine: Box<Connecting>,
    means: &Means,
    dialler: &Dialler,
) -> Result<(TcpStream, Open), Error> {
    let way = Dialled { dialler, looking_up: None, attempts: Vec::new(), stream: None };
    let mut pump = Pump::new(machine, means, way);
    // It began now, and not when the future was made.
    pump.machine.start(pump.now);
    let (way, open) = pump.run().await?;
    match way.stream {
        Some((stream, _)) => Ok((stream, open)),
        None => unreachable!("what is open has a stream"),
    }
}

/// Opens a connection over a stream that leads to the server already.
pub(super) async fn over<S: AsyncRead + AsyncWrite + Unpin>(
    machine: Box<Connecting>,
    stream: &mut S,
    means: &Means,
) -> Result<Open, Error> {
    Ok(Pump::new(machine, means, Given(stream)).run().await?.1)
}

/// Where the stream comes from.
trait Way {
    type Stream: Pipe;

    /// The stream, if there is one now.
    fn stream(&mut self) -> Option<&mut Self::Stream>;

    /// Looks up.
    fn look_up(&mut self, host: String, port: u16);

    /// Begins an attempt.
    fn dial(&mut self, attempt: Attempt);

    /// Waits until something is done of what was begun and is still wanted.
    fn poll_wait(&mut self, cx: &mut Context<'_>, machine: &Connecting) -> Poll<Done>;

    /// Tells the machine, and keeps the stream that won.
    fn tell(&mut self, done: Done, machine: &mut Connecting, now: Instant) -> Result<(), Error>;

    /// Lets go of the stream.
    fn hang_up(&mut self);
}

/// What is done.
enum Done {
    LookedUp(io::Result<Vec<SocketAddr>>),
    Dialled(Attempt, io::Result<Socket>),
}

/// A connection, and the right to be connecting.
type Socket = (TcpStream, Option<Pass>);

struct Pump<'a, W> {
    machine: Box<Connecting>,
    means: &'a Means,
    way: W,
    exchange: Exchange,
    alarm: Alarm,
    /// When something happened last.
    now: Instant,
    /// The trust store is being read, for this host; and whether that is the proxy's.
    #[cfg(feature = "tls")]
    preparing: Option<(JoinHandle<()>, Host, bool)>,
    /// The last bytes that open the connection are being written.
    flushes: bool,
}

impl<'a, W: Way> Pump<'a, W> {
    fn new(mut machine: Box<Connecting>, means: &'a Means, way: W) -> Self {
        means.begin(&mut machine);
        Self {
            machine,
            means,
            way,
            exchange: Exchange::new(),
            alarm: Alarm::default(),
            now: now(),
            #[cfg(feature = "tls")]
            preparing: None,
            flushes: false,
        }
    }

    async fn run(mut self) -> Result<(W, Open), Error> {
        let open = poll_fn(|cx| self.poll(cx)).await?;
        Ok((self.way, open))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Open, Error>> {
        loop {
            match self.poll_step(cx) {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(open))) => return Poll::Ready(Ok(open)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let Some(until) = self.machine.next_timeout() else { return Poll::Pending };
                    ready!(self.alarm.poll_alarm(cx, until));
                    if self.flushes {
                        return Poll::Ready(Err(Error::Timeout(TimeLimit::Open(OpenStep::Upgrade))));
                    }
                    #[cfg(feature = "tls")]
                    drop(self.preparing.take());
                    self.now = now();
                    self.machine.handle_timeout(self.now);
                }
            }
        }
    }

    /// Does what the machine says. Pending: what was begun goes on, until the deadline.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Open>, Error>> {
        #[cfg(feature = "tls")]
        if self.preparing.is_some() {
            ready!(self.poll_prepared(cx));
        }
        if self.flushes {
            ready!(self.poll_out(cx)).map_err(Error::Io)?;
            self.flushes = false;
        }
        let next = self.machine.next(self.now, &mut keys::nonce);
        self.means.tell(&mut self.machine);
        match next {
            Ok(Next::Resolve { host, port }) => self.way.look_up(host, port),
            Ok(Next::Dial(attempt)) => self.way.dial(attempt),
            Ok(Next::Wait) => {
                let done = ready!(self.way.poll_wait(cx, &self.machine));
                self.now = now();
                self.way.tell(done, &mut self.machine, self.now)?;
            }
            Ok(Next::Hangup) => {
                self.way.hang_up();
                self.exchange = Exchange::new();
            }
            Ok(Next::Secure { host, is_proxy }) => self.secure(host, is_proxy),
            Ok(Next::Exchange) => ready!(self.poll_turn(cx))?,
            Ok(Next::Flush) => self.flushes = true,
            Ok(Next::Open { opened, layer }) => return Poll::Ready(Ok(Some((opened, layer)))),
            Err(error) => {
                // Tells the other side why, if it takes that at once.
                if self.way.stream().is_some()
                    && self.poll_out(cx).is_ready()
                    && let Some(stream) = self.way.stream()
                {
                    _ = stream.poll_shutdown(cx);
                }
                return Poll::Ready(Err(error.into()));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Writes or reads once. An end of the stream is the machine's to judge.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let stream = self.way.stream().expect("bytes are exchanged over a stream");
        let turn = ready!(self.exchange.poll_turn(cx, stream, self.machine.output()));
        self.now = now();
        match turn {
            Turn::Wrote(n) => self.machine.written(n),
            Turn::Read(0) => self.machine.receive_end(self.now),
            Turn::Read(_) => self.machine.receive(self.exchange.bytes(), self.now),
            Turn::Broken(_) if self.machine.receive_break(self.now) => {}
            Turn::Broken(error) => return Poll::Ready(Err(Error::Io(error))),
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all that there is to write.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.way.stream().expect("bytes are written to a stream");
        while !self.machine.output().is_empty() {
            let n = ready!(stream.poll_write(cx, self.machine.output()))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.machine.written(n);
        }
        stream.poll_flush(cx)
    }

    /// Makes the layer that the machine asks for.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::needless_pass_by_value, reason = "kept for later where there is TLS")
    )]
    fn secure(&mut self, host: Host, is_proxy: bool) {
        // The trust store is read once, and not where others wait for their turn.
        #[cfg(feature = "tls")]
        if !self.means.is_ready() {
            let means = self.means.clone();
            let reads = tokio::task::spawn_blocking(move || means.prepare());
            self.preparing = Some((reads, host, is_proxy));
            return;
        }
        self.machine.secured(self.means.layer(&host, is_proxy), self.now);
    }

    #[cfg(feature = "tls")]
    fn poll_prepared(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((reads, ..)) = &mut self.preparing {
            let read = ready!(Pin::new(reads).poll(cx));
            self.now = now();
            if let Some((_, host, is_proxy)) = self.preparing.take() {
                if let Err(panicked) = read {
                    std::panic::resume_unwind(panicked.into_panic());
                }
                self.machine.secured(self.means.layer(&host, is_proxy), self.now);
            }
        }
        Poll::Ready(())
    }
}

/// A stream that is there.
struct Given<'a, S>(&'a mut S);

impl<S: AsyncRead + AsyncWrite + Unpin> Way for Given<'_, S> {
    type Stream = S;

    fn stream(&mut self) -> Option<&mut S> {
        Some(self.0)
    }

    fn look_up(&mut self, _: String, _: u16) {
        unreachable!("nothing is looked up where a stream is given")
    }

    fn dial(&mut self, _: Attempt) {
        unreachable!("nothing is dialled where a stream is given")
    }

    fn poll_wait(&mut self, _: &mut Context<'_>, _: &Connecting) -> Poll<Done> {
        unreachable!("nothing is begun where a stream is given")
    }

    fn tell(&mut self, _: Done, _: &mut Connecting, _: Instant) -> Result<(), Error> {
        unreachable!("nothing is begun where a stream is given")
    }

    fn hang_up(&mut self) {
        unreachable!("no redirect is followed where a stream is given")
    }
}

/// A stream that is dialled, and what is under way before there is one.
struct Dialled<'a> {
    dialler: &'a Dialler,
    looking_up: Option<LookingUp>,
    attempts: Vec<(Attempt, Dialling)>,
    stream: Option<Socket>,
}

type LookingUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

type Dialling = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

impl Way for Dialled<'_> {
    type Stream = TcpStream;

    fn stream(&mut self) -> Option<&mut TcpStream> {
        self.stream.as_mut().map(|(stream, _)| stream)
    }

    fn look_up(&mut self, host: String, port: u16) {
        self.looking_up =
            Some(Box::pin(async move { Ok(lookup_host((host.as_str(), port)).await?.collect()) }));
    }

    fn dial(&mut self, attempt: Attempt) {
        self.attempts.push((attempt, self.dialler.connect(attempt.address)));
    }

    fn hang_up(&mut self) {
        self.stream = None;
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>, machine: &Connecting) -> Poll<Done> {
        self.attempts.retain(|(attempt, _)| machine.is_wanted(attempt.id));
        if let Some(looking_up) = &mut self.looking_up
            && let Poll::Ready(found) = looking_up.as_mut().poll(cx)
        {
            self.looking_up = None;
            return Poll::Ready(Done::LookedUp(found));
        }
        for i in 0..self.attempts.len() {
            let (attempt, dialling) = &mut self.attempts[i];
            let attempt = *attempt;
            if let Poll::Ready(dialled) = dialling.as_mut().poll(cx) {
                drop(self.attempts.swap_remove(i));
                return Poll::Ready(Done::Dialled(attempt, dialled));
            }
        }
        Poll::Pending
    }

    fn tell(&mut self, done: Done, machine: &mut Connecting, now: Instant) -> Result<(), Error> {
        match done {
            Done::LookedUp(found) => machine.resolved(found, now),
            Done::Dialled(attempt, Err(error)) => machine.failed(attempt, error, now),
            Done::Dialled(attempt, Ok(socket)) if machine.connected(attempt, now) => {
                self.attempts.clear();
                // Messages are written whole, so waiting for more to fill a packet only adds delay.
                socket.0.set_nodelay(true).map_err(Error::Io)?;
                self.stream = Some(socket);
            }
            Done::Dialled(..) => {}
        }
        Ok(())
    }
}

impl Dialler {
    /// An attempt to connect.
    fn connect(&self, address: SocketAddr) -> Dialling {
        let (gate, local, hook) = (self.ways.gate.clone(), self.local, self.ways.socket.clone());
        Box::pin(async move {
            let pass = match gate {
                Some(gate) => Some(gate.enter(address).await),
                None => None,
            };
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if let Some(local) = local {
                socket.bind(local)?;
            }
            if let Some(hook) = hook {
                hook(&socket)?;
            }
            let stream = socket.connect(address).await?;
            // Where nobody listens on a port that the system gives to clients, it may be our own: TCP then connects the
            // socket with itself, and our request would come back as the answer.
            if stream.local_addr()? == address {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Ok((stream, pass))
        })
    }
}
