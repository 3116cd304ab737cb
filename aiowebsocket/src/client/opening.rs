//! The pump of a connection that opens: looks names up, dials, reads, writes and sleeps as the machine says.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout_at;

use super::connect::Ways;
use super::driver::{Alarm, now};
use super::exchange::{wait_until, write_out};
use super::gate::Pass;
use crate::face::exchange::{Exchange, Turn};
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
    mut machine: Box<Connecting>,
    means: &Means,
    dialler: &Dialler,
) -> Result<(TcpStream, Open), Error> {
    means.begin(&mut machine);
    let mut stream: Option<Dialled> = None;
    let mut pending = Pending::default();
    let (mut exchange, mut clock) = (Exchange::new(), Clock::new());
    loop {
        let next = machine.next(clock.now, &mut keys::nonce);
        means.tell(&mut machine);
        match next {
            Ok(Next::Resolve { host, port }) => pending.look_up(host, port),
            Ok(Next::Dial(attempt)) => pending.attempts.push((attempt, dialler.connect(attempt.address))),
            Ok(Next::Wait) => {
                if let Some(dialled) = pending.wait(&mut machine, &mut clock).await {
                    // Messages are written whole, so waiting for more to fill a packet only adds delay.
                    dialled.0.set_nodelay(true).map_err(Error::Io)?;
                    stream = Some(dialled);
                }
            }
            Ok(Next::Hangup) => (stream, exchange) = (None, Exchange::new()),
            Ok(Next::Secure { host, is_proxy }) => {
                secure(&mut machine, means, &mut clock, &host, is_proxy).await
            }
            Ok(Next::Exchange) => match &mut stream {
                Some((stream, _)) => turn(&mut machine, stream, &mut exchange, &mut clock).await?,
                None => unreachable!("bytes are exchanged over a stream that was dialled"),
            },
            Ok(Next::Flush) => match &mut stream {
                Some((stream, _)) => flush(&mut machine, stream).await?,
                None => unreachable!("bytes are written to a stream that was dialled"),
            },
            Ok(Next::Open { opened, layer }) => match stream {
                Some((stream, _)) => return Ok((stream, (opened, layer))),
                None => unreachable!("what is open has a stream"),
            },
            Err(error) => {
                if let Some((stream, _)) = &mut stream {
                    say_last(&mut machine, stream).await;
                }
                return Err(error.into());
            }
        }
    }
}

/// Opens a connection over a stream that leads to the server already.
pub(super) async fn over<S: AsyncRead + AsyncWrite + Unpin>(
    mut machine: Box<Connecting>,
    stream: &mut S,
    means: &Means,
) -> Result<Open, Error> {
    means.begin(&mut machine);
    let (mut exchange, mut clock) = (Exchange::new(), Clock::new());
    loop {
        let next = machine.next(clock.now, &mut keys::nonce);
        means.tell(&mut machine);
        match next {
            Ok(Next::Secure { host, is_proxy }) => {
                secure(&mut machine, means, &mut clock, &host, is_proxy).await
            }
            Ok(Next::Exchange) => turn(&mut machine, stream, &mut exchange, &mut clock).await?,
            Ok(Next::Flush) => flush(&mut machine, stream).await?,
            Ok(Next::Open { opened, layer }) => return Ok((opened, layer)),
            Ok(Next::Resolve { .. } | Next::Dial(_) | Next::Wait | Next::Hangup) => {
                unreachable!("nothing is dialled where a stream is given")
            }
            Err(error) => {
                say_last(&mut machine, stream).await;
                return Err(error.into());
            }
        }
    }
}

/// The time when something happened last, and the alarm of all waits.
struct Clock {
    now: Instant,
    alarm: Alarm,
}

impl Clock {
    fn new() -> Self {
        Self { now: now(), alarm: Alarm::default() }
    }

    /// Waits for what `poll` waits for, or the deadline, which is `None`.
    async fn wait<T>(
        &mut self,
        until: Option<Instant>,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        let done = wait_until(&mut self.alarm, until, poll).await;
        self.now = now();
        done
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

/// The layer that the machine asks for.
async fn secure(machine: &mut Connecting, means: &Means, clock: &mut Clock, host: &Host, is_proxy: bool) {
    // The trust store is read once, and not where others wait for their turn.
    if !means.is_ready() {
        let means = means.clone();
        let mut reading = tokio::task::spawn_blocking(move || means.prepare());
        match clock.wait(machine.next_timeout(), |cx| Pin::new(&mut reading).poll(cx)).await {
            Some(Ok(())) => {}
            Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
            None => return machine.handle_timeout(clock.now),
        }
    }
    machine.secured(means.layer(host, is_proxy), clock.now);
}

/// A stream, and the right to be connecting.
type Dialled = (TcpStream, Option<Pass>);

type Dialling = Pin<Box<dyn Future<Output = io::Result<Dialled>> + Send>>;

type LookingUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// What is under way before there is a stream.
#[derive(Default)]
struct Pending {
    looking_up: Option<LookingUp>,
    attempts: Vec<(Attempt, Dialling)>,
}

impl Pending {
    fn look_up(&mut self, host: String, port: u16) {
        self.looking_up =
            Some(Box::pin(async move { Ok(lookup_host((host.as_str(), port)).await?.collect()) }));
    }

    /// Waits until something is done, or the deadline, and tells the machine. Returns the stream that won.
    async fn wait(&mut self, machine: &mut Connecting, clock: &mut Clock) -> Option<Dialled> {
        self.attempts.retain(|(attempt, _)| machine.is_wanted(attempt.id));
        match clock.wait(machine.next_timeout(), |cx| self.poll(cx)).await {
            None => machine.handle_timeout(clock.now),
            Some(Done::LookedUp(found)) => machine.resolved(found, clock.now),
            Some(Done::Dialled(attempt, Err(error))) => machine.failed(attempt, error, clock.now),
            Some(Done::Dialled(attempt, Ok(dialled))) => {
                if machine.connected(attempt, clock.now) {
                    self.attempts.clear();
                    return Some(dialled);
                }
            }
        }
        None
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
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
}

/// What was waited for.
enum Done {
    LookedUp(io::Result<Vec<SocketAddr>>),
    Dialled(Attempt, io::Result<Dialled>),
}

/// Writes or reads once, or the deadline passes. An end of the stream is the machine's to judge.
async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
    machine: &mut Connecting,
    stream: &mut S,
    exchange: &mut Exchange,
    clock: &mut Clock,
) -> Result<(), Error> {
    let (output, until) = (machine.output(), machine.next_timeout());
    let turn = clock.wait(until, |cx| exchange.poll_turn(cx, stream, output)).await;
    match turn.unwrap_or(Turn::TimeIsUp) {
        Turn::Wrote(n) => machine.written(n),
        Turn::Read(0) => machine.receive_end(clock.now),
        Turn::Read(_) => machine.receive(exchange.bytes(), clock.now),
        Turn::TimeIsUp => machine.handle_timeout(clock.now),
        Turn::Broken(error) => return Err(Error::Io(error)),
    }
    Ok(())
}

/// Writes the rest of what opens the connection.
async fn flush<S: AsyncWrite + Unpin>(machine: &mut Connecting, stream: &mut S) -> Result<(), Error> {
    let until = machine.next_timeout();
    let writing = write_out(stream, machine, |machine| machine.output(), Connecting::written);
    match until {
        None => writing.await.map_err(Error::Io),
        Some(until) => match timeout_at(until.into(), writing).await {
            Ok(written) => written.map_err(Error::Io),
            Err(_) => Err(Error::Timeout(TimeLimit::Open(OpenStep::Upgrade))),
        },
    }
}

/// Tells the other side why, if it takes that at once.
async fn say_last<S: AsyncWrite + Unpin>(machine: &mut Connecting, stream: &mut S) {
    let say = async {
        _ = write_out(stream, machine, |machine| machine.output(), Connecting::written).await;
        _ = stream.shutdown().await;
    };
    _ = tokio::time::timeout(Duration::ZERO, say).await;
}
