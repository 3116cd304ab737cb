//! The pump: the one file of the Python face that reads and writes the socket.
//!
//! It holds the machine and the socket together and obeys the machine's contract. It never waits and calls no Python code: what it
//! cannot do now it says, and `connection.rs` asks the event loop to call again.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use aiowebsocket::keys::next_key;
use aiowebsocket::protocol::{CannotSend, Connection, Ending, Incoming, Kind, NotOpen, Payload, Place, Step};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use socket2::Socket;

use crate::clock::now;
use crate::destination::Destination;
use crate::text;

/// Slices of one vectored write. More than a dozen large messages in one batch are rare.
const SLICES: usize = 16;

/// The machine, its socket, and the memory of a large message that is arriving.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) machine: Connection,
    socket: Option<Socket>,
    /// A message that the machine has found and nobody has taken.
    found: Option<Incoming>,
    destination: Destination,
    /// What is missing of a message that may be read straight to its destination.
    missing: usize,
    /// What broke the socket, told when the connection has ended without a better reason.
    broken: Option<io::Error>,
    /// The socket takes no more bytes.
    write_broken: bool,
    /// Our side of the socket is shut.
    is_shut: bool,
    /// Bytes that have left.
    sent: u64,
    /// When the last byte came.
    heard: Instant,
}

/// What the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A message, to be taken.
    Message,
    /// Nothing more before something is read.
    Read,
    /// The end.
    End,
}

/// What one read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// As many bytes as there was room for: more may wait.
    Filled(usize),
    /// Bytes, and no more wait.
    Some(usize),
    /// No bytes now.
    Nothing,
    /// The peer ended its stream, or it broke.
    End,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Nothing waits.
    All,
    /// The socket takes no more now.
    Blocked,
    /// The socket takes no more for ever.
    Broken,
}

impl Pump {
    pub(crate) fn new(socket: Socket, machine: Connection) -> Self {
        Self { socket: Some(socket), ..Self::without_socket(machine) }
    }

    /// A pump that only takes messages out of the machine: somebody else reads and writes.
    pub(crate) fn without_socket(machine: Connection) -> Self {
        Self {
            machine,
            socket: None,
            found: None,
            destination: Destination::None,
            missing: 0,
            broken: None,
            write_broken: false,
            is_shut: false,
            sent: 0,
            heard: now(),
        }
    }

    /// Goes on until there is a message, the end, or nothing more to go on with.
    #[inline]
    pub(crate) fn advance(&mut self, py: Python<'_>) -> PyResult<Next> {
        if self.found.is_some() {
            return Ok(Next::Message);
        }
        match self.machine.plain_message() {
            Some(incoming) => {
                self.found = Some(incoming);
                Ok(Next::Message)
            }
            None => self.advance_judging(py),
        }
    }

    #[cold]
    fn advance_judging(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.missing = 0;
        loop {
            match self.machine.step() {
                Step::Message(incoming) => {
                    self.found = Some(incoming);
                    return Ok(Next::Message);
                }
                Step::Into { kind, len } => {
                    let poured = self.machine.pour();
                    self.destination.grow(py, kind == Kind::Text, len, poured.len())?;
                    self.destination.append(poured);
                    self.missing = len - self.destination.filled();
                    if self.missing > 0 {
                        return Ok(Next::Read);
                    }
                }
                Step::Read => return Ok(Next::Read),
                Step::End => return Ok(Next::End),
                // Control frames are told to nobody, and no message is taken in parts.
                Step::Control { .. } | Step::Part { .. } => {}
            }
        }
    }

    /// Takes the message that [`advance`](Self::advance) found: `bytes` or `str`, and its size in bytes.
    #[inline]
    pub(crate) fn take<'py>(&mut self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyAny>, usize)>> {
        let Some(Incoming { kind, place }) = self.found.take() else { return Ok(None) };
        if place == Place::Outside {
            let size = self.destination.filled();
            return Ok(Some((self.destination.finish(py)?, size)));
        }
        let payload = self.machine.payload(place);
        let size = payload.len();
        let message = match kind {
            Kind::Binary => PyBytes::new(py, payload).into_any(),
            Kind::Text => text::decode(py, payload)?,
        };
        if place == Place::Assembled {
            drop(self.machine.take_assembled());
        } else {
            self.machine.settle();
        }
        Ok(Some((message, size)))
    }

    /// Drops the message that was found.
    pub(crate) fn discard(&mut self) {
        if let Some(Incoming { place, .. }) = self.found.take() {
            match place {
                Place::Outside => self.destination = Destination::None,
                Place::Assembled => drop(self.machine.take_assembled()),
                Place::Input { .. } => {}
            }
        }
    }

    /// Reads once. What was read before is stepped through before.
    pub(crate) fn read(&mut self, py: Python<'_>, now: Instant) -> PyResult<Read> {
        let Some(socket) = &self.socket else { return Ok(Read::End) };
        // The first bytes come through the read buffer: a header alone takes no memory.
        let outside = self.missing > 0 && self.destination.has_begun();
        let result = if outside {
            let len = self.destination.filled() + self.missing;
            self.destination.grow(py, false, len, 1)?;
            self.destination.read(socket, self.missing).map(|(room, chunk)| {
                if !chunk.is_empty() {
                    self.machine.placed(chunk, now);
                }
                (room, chunk.len())
            })
        } else {
            let space = self.machine.space();
            let room = space.len();
            (&*socket).read(space).map(|n| (room, n))
        };
        Ok(match result {
            Ok((_, 0)) => {
                self.machine.received_end();
                Read::End
            }
            Ok((room, n)) => {
                self.heard = now;
                if outside {
                    self.missing -= n;
                } else {
                    self.machine.received(n, now);
                }
                if n < room { Read::Some(n) } else { Read::Filled(n) }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Read::Filled(0),
            Err(error) => {
                self.broken.get_or_insert(error);
                self.machine.received_end();
                Read::End
            }
        })
    }

    /// Queues one message.
    #[inline]
    pub(crate) fn queue(&mut self, kind: Kind, payload: &[u8], plain: bool) -> Result<(), CannotSend> {
        let payload = Payload::Borrowed(payload);
        if plain {
            return self.machine.send_plain(kind, payload, &mut next_key);
        }
        self.machine.send(kind, payload, &mut next_key)
    }

    /// Queues a ping; its number.
    pub(crate) fn ping(&mut self, now: Instant) -> Result<u64, NotOpen> {
        self.machine.ping(now, &mut next_key)
    }

    /// Writes until nothing waits, and shuts our side where that is our part.
    #[inline]
    pub(crate) fn write(&mut self) -> Written {
        while self.machine.wants_write() {
            if self.write_broken {
                return Written::Broken;
            }
            let Some(socket) = &self.socket else { return Written::Broken };
            let output = self.machine.output(&mut next_key);
            let written = if output.is_contiguous() {
                socket.send(output.front())
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = output.slices(&mut slices);
                (&*socket).write_vectored(&slices[..filled])
            };
            match written {
                Ok(0) => self.break_write(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.sent += n as u64;
                    self.machine.written(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.break_write(error),
            }
        }
        if self.machine.shuts_first() && !self.is_shut {
            self.is_shut = true;
            if let Some(socket) = &self.socket {
                // What fails here has ended already.
                _ = socket.shutdown(Shutdown::Write);
            }
        }
        Written::All
    }

    /// The socket takes no more bytes. What the peer sent before may still be read, its Close frame among it, so
    /// the connection goes on until reading ends too.
    #[cold]
    fn break_write(&mut self, error: io::Error) {
        self.broken.get_or_insert(error);
        self.write_broken = true;
    }

    /// A deadline may have passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now, &mut next_key);
    }

    /// The count of sent bytes at which everything queued now has left.
    pub(crate) fn sent_when_empty(&self) -> u64 {
        self.sent + self.machine.queued() as u64 - self.machine.jumped()
    }

    /// Whether everything up to this count has left.
    pub(crate) fn has_sent(&self, target: u64) -> bool {
        self.sent >= target + self.machine.jumped() || !self.machine.wants_write()
    }

    /// How long no byte has come.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// How the connection ended or is going to end, where that is known.
    pub(crate) fn outcome(&self) -> Option<Ending> {
        self.machine.outcome()
    }

    /// What broke the socket.
    pub(crate) fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    /// Whether nothing can be written any more.
    pub(crate) fn is_write_broken(&self) -> bool {
        self.write_broken
    }

    /// Closes the socket, which the event loop no longer watches.
    pub(crate) fn release(&mut self) {
        self.socket = None;
        self.destination = Destination::None;
    }
}
