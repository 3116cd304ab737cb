//! Waiting for a socket, for a deadline, for another thread and for signals, all at once.
#![expect(clippy::disallowed_methods, reason = "the blocking face reads the clock here")]

use std::io;
use std::sync::Arc;
use std::time::Instant;

use mio::{Events, Interest, Poll, Token, Waker};

/// Events of one wait. There are a socket and a waker, and while a connection opens some attempts more; what does not fit comes
/// next time.
const EVENTS: usize = 8;

const WAKER: Token = Token(0);

/// The system's poller. Whoever has it waits; a [`Waker`] ends the wait from elsewhere.
#[derive(Debug)]
pub(super) struct Poller {
    poll: Poll,
    events: Events,
}

/// What becomes of a wait that a signal interrupts: see [`Connect::interrupt`](crate::Connect::interrupt). A closure is one: it is asked
/// in every thread.
pub trait Interrupt: Send + Sync {
    /// Whether this thread is one in which signals are handled. Where several threads wait on one connection, only one waits
    /// for the socket, and only that one is interrupted; a thread of which this is true comes first. Asked while the connection is
    /// locked, so it must not call it.
    fn is_here(&self) -> bool {
        true
    }

    /// A signal interrupted the wait of this thread. May run any code.
    ///
    /// # Errors
    /// Ends the call with [`Error::Io`](crate::Error::Io) and this error. The connection goes on, and no message is lost.
    fn check(&self) -> io::Result<()>;
}

impl<F: Fn() -> io::Result<()> + Send + Sync> Interrupt for F {
    fn check(&self) -> io::Result<()> {
        self()
    }
}

impl Poller {
    /// A poller, and what ends its waits.
    pub(super) fn new() -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        Ok((Self { poll, events: Events::with_capacity(EVENTS) }, Arc::new(waker)))
    }

    /// Watches a socket both ways, until it is closed. It is watched for changes: read and write until that would block before each
    /// wait.
    pub(super) fn watch(&self, stream: &mut mio::net::TcpStream) -> io::Result<()> {
        // Nobody asks which of them it was.
        self.poll.registry().register(stream, Token(1), Interest::READABLE | Interest::WRITABLE)
    }

    /// Waits until something can be done, the waker was called, or this time.
    ///
    /// # Errors
    /// The system's; [`Interrupted`](io::ErrorKind::Interrupted) by a signal.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        let timeout = until.map(|until| until.saturating_duration_since(now()));
        self.poll.poll(&mut self.events, timeout)
    }
}

/// What a wait came to: an interruption is judged by whoever wants to know, and else it is none.
pub(super) fn judge(waited: io::Result<()>, interrupt: Option<&dyn Interrupt>) -> io::Result<()> {
    match waited {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            interrupt.map_or(Ok(()), Interrupt::check)
        }
        waited => waited,
    }
}

/// The time as the machines want it.
pub(super) fn now() -> Instant {
    Instant::now()
}
