//! The pump of a connection that opens: looks names up, dials, reads, writes and sleeps as the machine says.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::connect::Ways;
use super::driver::now;
use super::exchange::{self, write_out};
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
    mut machine: Connecting,
    means: &Means,
    dialler: &Dialler,
) -> Result<(TcpStream, Open), Error> {
    means.begin(&mut machine);
    let mut stream: Option<Dialled> = None;
    let mut pending = Pending::default();
    let mut exchange = Exchange::new();
    loop {
        let next = machine.next(now(), &mut keys::nonce);
        means.tell(&mut machine);
        match next {
            Ok(Next::Resolve { host, port }) => pending.look_up(host, port),
            Ok(Next::Dial(attempt)) => pending.attempts.push((attempt, dialler.connect(attempt.address))),
            Ok(Next::Wait) => {
                if let Some(dialled) = pending.wait(&mut machine).await {
                    // Messages are written whole, so waiting for more to fill a packet only adds delay.
                    dialled.0.set_nodelay(true).map_err(Error::Io)?;
                    stream = Some(dialled);
                }
            }
            Ok(Next::Hangup) => (stream, exchange) = (None, Exchange::new()),
            Ok(Next::Secure { host, is_proxy }) => secure(&mut machine, means, &host, is_proxy).await,
            Ok(Next::Exchange) => match &mut stream {
                Some((stream, _)) => turn(&mut machine, stream, &mut exchange).await?,
                None => unreachable!("bytes are exchanged over a stream that was dialled"),
            },
            Ok(Next::Flush) => match &mut stream {
                Some((stream, _)) => flush(&mut machine, stream).await?,
                None => unreachable!("bytes are written to a stream that was dialled"),
            },
            Ok(Next::Open { opened, layer }) => match stream {
                Some((stream, _)) => return Ok((stream, (*opened, layer))),
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
    mut machine: Connecting,
    stream: &mut S,
    means: &Means,
) -> Result<Open, Error> {
    means.begin(&mut machine);
    let mut exchange = Exchange::new();
    loop {
        let next = machine.next(now(), &mut keys::nonce);
        means.tell(&mut machine);
        match next {
            Ok(Next::Secure { host, is_proxy }) => secure(&mut machine, means, &host, is_proxy).await,
            Ok(Next::Exchange) => turn(&mut machine, stream, &mut exchange).await?,
            Ok(Next::Flush) => flush(&mut machine, stream).await?,
            Ok(Next::Open { opened, layer }) => return Ok((*opened, layer)),
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
async fn secure(machine: &mut Connecting, means: &Means, host: &Host, is_proxy: bool) {
    let layer = async {
        // The trust store is read once, and not where others wait for their turn.
        if !means.is_ready() {
            let means = means.clone();
            if let Err(panicked) = tokio::task::spawn_blocking(move || means.prepare()).await {
                std::panic::resume_unwind(panicked.into_panic());
            }
        }
        means.layer(host, is_proxy)
    };
    let layer = match machine.next_timeout() {
        None => Ok(layer.await),
        Some(until) => timeout_at(Instant::from_std(until), layer).await,
    };
    match layer {
        Ok(layer) => machine.secured(layer, now()),
        Err(_) => machine.handle_timeout(now()),
    }
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
    async fn wait(&mut self, machine: &mut Connecting) -> Option<Dialled> {
        self.attempts.retain(|(attempt, _)| machine.is_wanted(attempt.id));
        let until = machine_deadline(machine);
        let wait = poll_fn(|cx| self.poll(cx, machine));
        let done = match until {
            None => Ok(wait.await),
            Some(until) => timeout_at(until, wait).await,
        };
        match done {
            Ok(dialled) => {
                if dialled.is_some() {
                    self.attempts.clear();
                }
                dialled
            }
            Err(_) => {
                machine.handle_timeout(now());
                None
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, machine: &mut Connecting) -> Poll<Option<Dialled>> {
        if let Some(looking_up) = &mut self.looking_up
            && let Poll::Ready(found) = looking_up.as_mut().poll(cx)
        {
            self.looking_up = None;
            machine.resolved(found, now());
            return Poll::Ready(None);
        }
        for i in 0..self.attempts.len() {
            let (attempt, dialling) = &mut self.attempts[i];
            let attempt = *attempt;
            if let Poll::Ready(done) = dialling.as_mut().poll(cx) {
                drop(self.attempts.swap_remove(i));
                return Poll::Ready(match done {
                    Ok(dialled) => machine.connected(attempt, now()).then_some(dialled),
                    Err(error) => {
                        machine.failed(attempt, error, now());
                        None
                    }
                });
            }
        }
        Poll::Pending
    }
}

fn machine_deadline(machine: &Connecting) -> Option<Instant> {
    machine.next_timeout().map(Instant::from_std)
}

/// Writes or reads once, or the deadline passes. An end of the stream is the machine's to judge.
async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
    machine: &mut Connecting,
    stream: &mut S,
    exchange: &mut Exchange,
) -> Result<(), Error> {
    match exchange::turn(exchange, stream, machine.output(), machine.next_timeout()).await {
        Turn::Wrote(n) => machine.written(n),
        Turn::Read(0) => machine.receive_end(now()),
        Turn::Read(_) => machine.receive(exchange.bytes(), now()),
        Turn::TimeIsUp => machine.handle_timeout(now()),
        Turn::Broken(error) => return Err(Error::Io(error)),
    }
    Ok(())
}

/// Writes the rest of what opens the connection.
async fn flush<S: AsyncWrite + Unpin>(machine: &mut Connecting, stream: &mut S) -> Result<(), Error> {
    let until = machine_deadline(machine);
    let writing = write_out(stream, machine, |machine| machine.output(), Connecting::written);
    match until {
        None => writing.await.map_err(Error::Io),
        Some(until) => match timeout_at(until, writing).await {
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
