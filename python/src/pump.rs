//! The pump: the one file of the Python face that reads and writes.
//!
//! It holds the machine and the wire together and obeys the machine's contract. It never waits and calls no Python code: what it
//! cannot do now it says, and `driver.rs` has the event loop asked to call again.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use aiowebsocket::keys::next_key;
use aiowebsocket::protocol::{CannotSend, Connection, Ending, Incoming, Kind, NotOpen, Payload, Place, Step};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::clock::now;
use crate::destination::Destination;
use crate::text;
use crate::wire::Wire;

/// Slices of one vectored write. More than a dozen large messages in one batch are rare.
const SLICES: usize = 16;

/// The machine, its wire, and the memory of a large message that is arriving.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) machine: Connection,
    pub(crate) wire: Wire,
    /// A message that the machine has found and nobody has taken.
    found: Option<Incoming>,
    /// A part of a message that the machine has found and nobody has taken: its kind, its place, and whether it is the last.
    part: Option<(Kind, Place, bool)>,
    /// The next message may be taken in parts.
    wants_parts: bool,
    destination: Destination,
    /// What is missing of a message that may be read straight to its destination.
    missing: usize,
    /// What broke the socket, told when the connection has ended without a better reason.
    broken: Option<io::Error>,
    /// The socket takes no more bytes.
    write_broken: bool,
    /// Our side of the socket is shut.
    is_shut: bool,
    /// Bytes of the queue that have left: without what TLS adds to them.
    sent: u64,
    /// Bytes that were written.
    wrote: u64,
    /// Messages that were queued.
    messages_out: u64,
    /// Bytes that were read.
    received: u64,
    /// Messages that were taken.
    messages_in: u64,
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
    /// Without a wire it only takes messages out of the machine: somebody else reads and writes.
    pub(crate) fn new(wire: Wire, machine: Connection) -> Self {
        Self {
            machine,
            wire,
            found: None,
            part: None,
            wants_parts: false,
            destination: Destination::None,
            missing: 0,
            broken: None,
            write_broken: false,
            is_shut: false,
            sent: 0,
            wrote: 0,
            messages_out: 0,
            received: 0,
            messages_in: 0,
            heard: now(),
        }
    }

    /// Goes on until there is a message, the end, or nothing more to go on with.
    #[inline(always)]
    pub(crate) fn advance(&mut self, py: Python<'_>) -> PyResult<Next> {
        if self.found.is_some() {
            return Ok(Next::Message);
        }
        if self.has_nothing() { Ok(Next::Read) } else { self.advance_reading(py) }
    }

    /// Whether nothing was read that was not taken. Of five times that an echo asks for a message there is none three times.
    #[inline(always)]
    pub(crate) fn has_nothing(&self) -> bool {
        self.machine.has_nothing() && self.found.is_none() && self.part.is_none()
    }

    #[inline(never)]
    fn advance_reading(&mut self, py: Python<'_>) -> PyResult<Next> {
        if self.part.is_some() {
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
            let takes_parts = self.wants_parts || self.machine.is_in_parts();
            match if takes_parts { self.machine.step_part() } else { self.machine.step() } {
                Step::Message(incoming) => {
                    self.found = Some(incoming);
                    return Ok(Next::Message);
                }
                Step::Into { kind, len } => {
                    let poured = self.machine.pour();
                    // A header alone takes no memory.
                    if !poured.is_empty() {
                        self.destination.grow(py, kind == Kind::Text, len, poured.len())?;
                        self.destination.append(poured);
                    }
                    if self.machine.reads_direct() {
                        self.missing = len - self.destination.filled();
                        if self.missing > 0 {
                            return Ok(Next::Read);
                        }
                    }
                }
                Step::Read => return Ok(Next::Read),
                Step::End => {
                    if self.machine.tls_error().is_some() {
                        // The peer is told what is wrong, if it takes that at once.
                        self.write_apart();
                    }
                    return Ok(Next::End);
                }
                Step::Part { kind, place, last } => {
                    self.part = Some((kind, place, last));
                    return Ok(Next::Message);
                }
                // Control frames are told to nobody.
                Step::Control { .. } => {}
            }
        }
    }

    /// Takes the message that [`advance`](Self::advance) found: `bytes` or `str`, and its size in bytes. With `raw`, text is `bytes` too.
    #[inline]
    pub(crate) fn take<'py>(
        &mut self,
        py: Python<'py>,
        raw: bool,
    ) -> PyResult<Option<(Bound<'py, PyAny>, usize)>> {
        let Some(Incoming { kind, place }) = self.found.take() else { return Ok(None) };
        self.messages_in += 1;
        if place == Place::Outside {
            let size = self.destination.filled();
            return Ok(Some((self.destination.finish(py, raw)?, size)));
        }
        let payload = self.machine.payload(place);
        let size = payload.len();
        let message = match kind {
            Kind::Text if !raw => text::decode(py, payload)?,
            _ => PyBytes::new(py, payload).into_any(),
        };
        // The read buffer is kept until the connection waits: an answer is written from it.
        if place == Place::Assembled {
            drop(self.machine.take_assembled());
        }
        Ok(Some((message, size)))
    }

    /// The next message may be taken in parts.
    pub(crate) fn want_parts(&mut self) {
        self.wants_parts = true;
    }

    /// Messages are taken whole, but for one that was begun in parts.
    pub(crate) fn want_whole(&mut self) {
        self.wants_parts = false;
    }

    /// Whether a message was begun in parts, and its last one not taken.
    pub(crate) fn is_in_parts(&self) -> bool {
        self.part.is_some() || self.machine.is_in_parts()
    }

    /// Takes the part that [`advance`](Self::advance) found, or a whole message as one part: whether it is text, its bytes, and
    /// whether it is the last one.
    pub(crate) fn take_part<'py>(
        &mut self,
        py: Python<'py>,
    ) -> PyResult<Option<(bool, Bound<'py, PyAny>, bool)>> {
        if let Some((kind, place, last)) = self.part.take() {
            let part = PyBytes::new(py, self.machine.payload(place)).into_any();
            self.machine.settle();
            if last {
                self.messages_in += 1;
                self.wants_parts = false;
            }
            return Ok(Some((kind == Kind::Text, part, last)));
        }
        let is_text = self.found.is_some_and(|found| found.kind == Kind::Text);
        self.wants_parts = false;
        Ok(self.take(py, true)?.map(|(message, _)| (is_text, message, true)))
    }

    /// Drops the message that was found.
    pub(crate) fn discard(&mut self) {
        self.part = None;
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
        // The first bytes come through the read buffer, see above.
        let outside = self.missing > 0 && self.destination.has_begun();
        let result = if outside {
            let len = self.destination.filled() + self.missing;
            self.destination.grow(py, false, len, 1)?;
            self.destination.read(&mut self.wire, self.missing).map(|(room, chunk)| {
                if !chunk.is_empty() {
                    self.machine.placed(chunk, now);
                }
                (room, chunk.len())
            })
        } else {
            let space = self.machine.space();
            let room = space.len();
            self.wire.read(space).map(|n| (room, n))
        };
        Ok(match result {
            Ok((_, 0)) => {
                self.machine.received_end();
                Read::End
            }
            Ok((room, n)) => {
                self.heard = now;
                self.received += n as u64;
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
        if self.found.is_some() || self.part.is_some() {
            // It waits for somebody to take it, in the read buffer, whose memory this message would be written into.
            self.machine.hold();
        }
        let payload = Payload::Borrowed(payload);
        if plain {
            self.machine.send_plain(kind, payload, &mut next_key)?;
        } else {
            self.machine.send(kind, payload, &mut next_key)?;
        }
        self.messages_out += 1;
        Ok(())
    }

    /// Queues a part of a message.
    pub(crate) fn queue_part(
        &mut self,
        kind: Kind,
        payload: &[u8],
        last: bool,
        plain: bool,
    ) -> Result<(), CannotSend> {
        let payload = Payload::Borrowed(payload);
        if plain {
            self.machine.send_plain_part(kind, payload, last, &mut next_key)?;
        } else {
            self.machine.send_part(kind, payload, last, &mut next_key)?;
        }
        self.messages_out += u64::from(last);
        Ok(())
    }

    /// Queues a ping; its number.
    pub(crate) fn ping(&mut self, now: Instant) -> Result<u64, NotOpen> {
        self.machine.ping(now, &mut next_key)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn write_apart(&mut self) -> Written {
        self.write()
    }

    /// Writes until nothing waits, and shuts our side where that is our part. For `Connection::write` alone, of which it is a part.
    #[inline(always)]
    pub(crate) fn write(&mut self) -> Written {
        while self.machine.wants_write() {
            if self.write_broken {
                return Written::Broken;
            }
            let output = self.machine.output(&mut next_key);
            if output.front().is_empty() {
                // TLS failed, as the machine tells.
                self.write_broken = true;
                continue;
            }
            let written = if output.is_contiguous() {
                self.wire.write(output.front())
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = output.slices(&mut slices);
                self.wire.write_slices(&slices[..filled])
            };
            match written {
                Ok(0) => self.break_write(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.wrote += n as u64;
                    self.sent += self.machine.written(n) as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.break_write(error),
            }
        }
        if self.machine.shuts_first() && !self.is_shut {
            self.is_shut = true;
            self.wire.shut();
        }
        Written::All
    }

    /// Whether a write has nothing to do.
    #[inline]
    pub(crate) fn has_written(&self) -> bool {
        matches!(self.wire, Wire::Socket(_)) && !self.machine.wants_write() && !self.machine.shuts_first()
    }

    /// The socket takes no more bytes. What the peer sent before may still be read, its Close frame among it, so
    /// the connection goes on until reading ends too.
    #[cold]
    pub(crate) fn break_write(&mut self, error: io::Error) {
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
        let in_flight = self.wire.in_flight();
        self.sent.saturating_sub(in_flight) >= target + self.machine.jumped()
            || (in_flight == 0 && !self.machine.wants_write())
    }

    /// Bytes that wait to be written or to leave.
    pub(crate) fn waiting(&self) -> usize {
        self.machine.queued() + usize::try_from(self.wire.in_flight()).unwrap_or(usize::MAX)
    }

    /// What was received and sent: messages and bytes in, messages and bytes out.
    pub(crate) fn counts(&self) -> [u64; 4] {
        [self.messages_in, self.received, self.messages_out, self.wrote]
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
        self.machine.park();
        self.wire = Wire::None;
        self.destination = Destination::None;
    }
}
