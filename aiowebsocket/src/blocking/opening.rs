//! The pump of a connection that opens: looks names up, dials, reads, writes and waits as the machine says.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Instant;

use mio::Waker;
use mio::net::TcpStream;

use super::connect::{Dial, Resolver};
use super::poller::{Poller, judge, now};
use super::socket::{self, Socket};
use crate::face::exchange::{Exchange, Turn};
use crate::face::pipe::Pipe;
use crate::face::{Error, Means, Open, TimeLimit};
use crate::keys;
use crate::opening::{Attempt, Connecting, Next, OpenStep};

/// What was opened.
pub(super) struct Opened {
    pub(super) socket: Socket,
    pub(super) poller: Poller,
    pub(super) waker: Arc<Waker>,
    pub(super) open: Open,
    /// The head of the request that was sent last.
    pub(super) request: Vec<u8>,
}

/// Drives the machine until the connection is open.
pub(super) fn run(mut machine: Box<Connecting>, means: &Means, dial: &Dial) -> Result<Opened, Error> {
    means.begin(&mut machine);
    let mut pump = Pump::new(dial).map_err(Error::Io)?;
    loop {
        let next = machine.next(now(), &mut keys::nonce);
        means.tell(&mut machine);
        match next {
            Ok(Next::Resolve { host, port }) => pump.look_up(&mut machine, host, port),
            Ok(Next::Dial(attempt)) => pump.dial(&mut machine, attempt),
            Ok(Next::Wait) => pump.wait(&mut machine).map_err(Error::Io)?,
            Ok(Next::Hangup) => (pump.socket, pump.exchange) = (None, Exchange::new()),
            Ok(Next::Secure { host, is_proxy }) => machine.secured(means.layer(&host, is_proxy), now()),
            Ok(Next::Exchange) => pump.exchange(&mut machine).map_err(Error::Io)?,
            Ok(Next::Flush) => pump.flush(&mut machine)?,
            Ok(Next::Open { opened, layer }) => {
                let Pump { socket: Some(socket), poller, waker, .. } = pump else {
                    unreachable!("what is open has a socket")
                };
                let request = machine.request().to_vec();
                return Ok(Opened { socket, poller, waker, open: (opened, layer), request });
            }
            Err(error) => {
                pump.say_last(&mut machine);
                return Err(error.into());
            }
        }
    }
}

/// What the resolver says, once it does. A channel of the standard library would be 11 KB of code for this one value.
type Found = Mutex<Option<io::Result<Vec<SocketAddr>>>>;

/// What is under way.
struct Pump<'a> {
    dial: &'a Dial,
    poller: Poller,
    waker: Arc<Waker>,
    looking_up: Option<Arc<Found>>,
    attempts: Vec<(Attempt, TcpStream)>,
    socket: Option<Socket>,
    exchange: Exchange,
}

impl<'a> Pump<'a> {
    fn new(dial: &'a Dial) -> io::Result<Self> {
        let (poller, waker) = Poller::new()?;
        let socket = dial.given_stream()?.map(|stream| given(stream, &poller)).transpose()?;
        let exchange = Exchange::new();
        Ok(Self { dial, poller, waker, looking_up: None, attempts: Vec::new(), socket, exchange })
    }

    /// Has the name looked up on a thread of its own: that can take longer than there is time, and cannot be interrupted. A
    /// thread that nobody waits for any more ends when the resolver does.
    fn look_up(&mut self, machine: &mut Connecting, host: String, port: u16) {
        let found = Arc::new(Found::default());
        let told = Arc::clone(&found);
        let (resolver, waker) = (self.dial.resolver.clone(), Arc::clone(&self.waker));
        let thread = thread::Builder::new().name("aiowebsocket resolver".to_owned());
        let begun = thread.spawn(move || {
            // A resolver of the user's may panic, and its answer is waited for.
            let found = catch_unwind(AssertUnwindSafe(|| addresses(resolver.as_ref(), &host, port)));
            let found = found.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked")));
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            // Should it fail, there is nobody who could be told; the time limit still holds.
            _ = waker.wake();
        });
        match begun {
            Ok(_) => self.looking_up = Some(found),
            Err(error) => machine.resolved(Err(error), now()),
        }
    }

    fn dial(&mut self, machine: &mut Connecting, attempt: Attempt) {
        let begun = socket::begin(attempt.address, self.dial.local(), self.dial.socket.as_ref());
        let watched = begun.and_then(|mut stream| self.poller.watch(&mut stream).map(|()| stream));
        match watched {
            Ok(stream) => self.attempts.push((attempt, stream)),
            Err(error) => machine.failed(attempt, error, now()),
        }
    }

    /// Waits until something is done, or the deadline, and tells the machine.
    fn wait(&mut self, machine: &mut Connecting) -> io::Result<()> {
        self.attempts.retain(|(attempt, _)| machine.is_wanted(attempt.id));
        while !self.look(machine) {
            if !self.await_more(machine)? {
                machine.handle_timeout(now());
                break;
            }
        }
        Ok(())
    }

    /// Whether something is done, of which the machine was told.
    fn look(&mut self, machine: &mut Connecting) -> bool {
        if let Some(told) = &self.looking_up {
            let found = told.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(found) = found {
                self.looking_up = None;
                machine.resolved(found, now());
                return true;
            }
        }
        for i in 0..self.attempts.len() {
            let (attempt, stream) = &self.attempts[i];
            let Poll::Ready(done) = socket::connected(stream, attempt.address) else { continue };
            let (attempt, stream) = self.attempts.swap_remove(i);
            match done {
                Err(error) => machine.failed(attempt, error, now()),
                Ok(()) => {
                    if machine.connected(attempt, now()) {
                        self.socket = Some(Socket::new(stream));
                        self.attempts.clear();
                    }
                }
            }
            return true;
        }
        false
    }

    /// Writes or reads once, or the deadline passes. An end of the stream is the machine's to judge.
    fn exchange(&mut self, machine: &mut Connecting) -> io::Result<()> {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let turn = loop {
            let socket = self.socket.as_mut().expect("bytes are exchanged over a socket that was dialled");
            match self.exchange.poll_turn(cx, socket, machine.output()) {
                Poll::Ready(turn) => break turn,
                Poll::Pending if self.await_more(machine)? => {}
                Poll::Pending => {
                    machine.handle_timeout(now());
                    return Ok(());
                }
            }
        };
        match turn {
            Turn::Wrote(n) => machine.written(n),
            Turn::Read(0) => machine.receive_end(now()),
            Turn::Read(_) => machine.receive(self.exchange.bytes(), now()),
            Turn::Broken(_) if machine.receive_break(now()) => {}
            Turn::Broken(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes the rest of what opens the connection.
    fn flush(&mut self, machine: &mut Connecting) -> Result<(), Error> {
        while !self.write(machine).map_err(Error::Io)? {
            if !self.await_more(machine).map_err(Error::Io)? {
                return Err(Error::Timeout(TimeLimit::Open(OpenStep::Upgrade)));
            }
        }
        Ok(())
    }

    /// Writes what the machine has, as far as the socket takes it at once; whether that was all.
    fn write(&mut self, machine: &mut Connecting) -> io::Result<bool> {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        while !machine.output().is_empty() {
            let Some(socket) = &mut self.socket else { return Ok(true) };
            match socket.poll_write(cx, machine.output()) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => machine.written(n),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Tells the other side why, if it takes that at once.
    fn say_last(&mut self, machine: &mut Connecting) {
        _ = self.write(machine);
        if let Some(socket) = &self.socket {
            _ = socket.stream.shutdown(std::net::Shutdown::Write);
        }
    }

    /// Waits until more can be done; false where the machine's time is up.
    fn await_more(&mut self, machine: &Connecting) -> io::Result<bool> {
        let until = machine.next_timeout();
        if until.is_some_and(is_past) {
            return Ok(false);
        }
        judge(self.poller.wait(until), self.dial.interrupt.as_deref())?;
        Ok(true)
    }
}

fn is_past(time: Instant) -> bool {
    time <= now()
}

/// A socket of the user's.
fn given(stream: std::net::TcpStream, poller: &Poller) -> io::Result<Socket> {
    stream.set_nonblocking(true)?;
    // Refused by what is no TCP, which delays nothing.
    _ = stream.set_nodelay(true);
    let mut stream = TcpStream::from_std(stream);
    poller.watch(&mut stream)?;
    Ok(Socket::new(stream))
}

fn addresses(resolver: Option<&Resolver>, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match resolver {
        Some(look_up) => look_up(host, port),
        None => Ok((host, port).to_socket_addrs()?.collect()),
    }
}
