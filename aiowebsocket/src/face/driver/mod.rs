//! The pump of an open connection, for every face that polls: it reads, writes and watches the time by the pipe and the clock of the face.
//!
//! It holds the machine and the pipe together and obeys the machine's contract: take steps until there are no more
//! messages, write output until it is empty, then wait for the stream or the next deadline. Every `poll_*` here leaves
//! all state in `self`, so a future above it can be dropped between any two polls and nothing is lost:
//! bytes that were read are in the machine, bytes that were not written are in its queue.
//!
//! Order on every poll: write what waits, read, and only when the stream has nothing more judge the deadline. A pong
//! that lies in the kernel is therefore never mistaken for a dead peer.
//!
//! Nothing is awaited that a peer could hold for ever: reads and writes end with the stream, and the machine has a
//! deadline for everything else.

mod sending;
mod transfer;

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::backlog::Backlog;
use super::counters::Counters;
use super::data::{Data, INLINE, Short};
use super::destination::Destination;
use super::error::Error;
#[cfg(feature = "tokio")]
use super::message::MessageRef;
use super::message::{Event, Message};
use super::pipe::{Clock, Pipe};
use crate::keys::next_key;
use crate::protocol::{
    CloseCode, Connection, Ending, Incoming, OpCode, Place, Plain, Step, UsageError, copy,
};
#[cfg(feature = "tokio")]
use crate::protocol::{Kind, utf8};

/// Queued bytes from which `feed` begins to write: what one write can usually put into a socket.
const WRITE_AHEAD: usize = 128 << 10;

/// The machine, its stream, and what the machine leaves to a face: the destination of large messages, and the time.
pub(crate) struct Driver<S, C> {
    pub(crate) stream: S,
    pub(crate) machine: Connection,
    /// The destination of a large message that is arriving.
    large: Destination,
    /// Messages that arrived while the caller waited for something else.
    backlog: Backlog,
    clock: C,
    /// The stream was given bytes since its last flush.
    unflushed: bool,
    /// Our side of the stream is shut.
    shut: bool,
    /// What broke the stream, told when the connection has ended without a better reason.
    broken: Option<io::Error>,
    /// The stream takes no more bytes.
    write_broken: bool,
    /// Nobody goes on with a message that was begun in parts: what is left of it is dropped.
    parts_unwanted: bool,
    /// Queued bytes from which writing begins without being asked: [`WRITE_AHEAD`], or a smaller limit of the queue.
    write_ahead: usize,
    /// The error at the end was told as the item of a stream.
    #[cfg(feature = "futures")]
    told: bool,
    /// Bytes that have left for the stream.
    sent: u64,
    /// Changes whenever something happened that somebody else may wait for.
    moves: u64,
    /// What passes through, once somebody asked.
    counters: Option<Counters>,
}

/// How messages are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Whole.
    Messages,
    /// Whole, where [`Driver::take_plain`] has just had nothing.
    Judged,
    /// In the parts that are there.
    Parts,
}

impl<S: Pipe, C: Clock> Driver<S, C> {
    pub(crate) fn new(stream: S, machine: Connection) -> Self {
        let write_ahead = WRITE_AHEAD.min(machine.config().max_queue);
        let backlog = Backlog::new(machine.config().max_backlog);
        Self {
            stream,
            machine,
            write_ahead,
            large: Destination::default(),
            backlog,
            clock: C::default(),
            unflushed: false,
            shut: false,
            broken: None,
            write_broken: false,
            parts_unwanted: false,
            #[cfg(feature = "futures")]
            told: false,
            sent: 0,
            moves: 0,
            counters: None,
        }
    }

    /// The next message where it is plainly there, in the read buffer and next in order.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    pub(crate) fn plain(&mut self) -> Option<Incoming> {
        if self.backlog.is_empty() { self.machine.plain_message() } else { None }
    }

    /// The next message, owned, where it is plainly there, in the read buffer and next in order.
    #[inline(always)]
    pub(crate) fn take_plain(&mut self) -> Option<Message> {
        if !self.backlog.is_empty() {
            return None;
        }
        let Plain { kind, payload, frame } = self.machine.peek_plain()?;
        self.count(Counters::message_received);
        // It becomes a message after the last call that could unwind: what has to be dropped then must lie in memory, see `Recv`.
        let data = if payload.len() <= INLINE {
            let short = Short::new(payload);
            self.machine.pass_plain(frame);
            Data::from(short)
        } else {
            let copy = copy::boxed(payload);
            self.machine.pass_plain(frame);
            Data::boxed(copy)
        };
        Some(Message::from_checked(kind, data))
    }

    /// The next message that the machine has, where [`take_plain`](Self::take_plain) had none; `None` once the connection has ended.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        loop {
            match ready!(self.poll_step(cx, Take::Judged)) {
                Step::Message(incoming) => return Poll::Ready(Some(incoming)),
                Step::End => return Poll::Ready(None),
                // Pings and pongs are told to those who ask for events.
                _ => {}
            }
        }
    }

    /// The next step that is more than reading on: a message, a part, a control frame, the end.
    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>, take: Take) -> Poll<Step> {
        let mut step = match take {
            Take::Messages => self.machine.step(),
            Take::Judged => self.machine.step_rest(),
            Take::Parts => self.machine.step_part(),
        };
        loop {
            match step {
                Step::Read => ready!(self.poll_more(cx, None)),
                Step::Into { len, .. } => {
                    self.large.append(self.machine.pour(), len);
                    // The first bytes come through the read buffer: a header alone takes no memory.
                    match len - self.large.len() {
                        0 => {}
                        _ if !self.machine.reads_direct() => {}
                        missing if missing == len => ready!(self.poll_more(cx, None)),
                        missing => ready!(self.poll_more(cx, Some(missing))),
                    }
                }
                Step::End if self.machine.tls_error().is_some() => {
                    // The peer is told what is wrong, if it takes that at once.
                    self.poll_output(cx);
                    return Poll::Ready(Step::End);
                }
                step => return Poll::Ready(step),
            }
            step = if take == Take::Parts { self.machine.step_part() } else { self.machine.step() };
        }
    }

    /// One message from the backlog, which is older than what the machine has.
    #[inline]
    pub(crate) fn next_kept(&mut self) -> Option<Message> {
        if self.backlog.is_empty() { None } else { self.pop_kept() }
    }

    #[cold]
    fn pop_kept(&mut self) -> Option<Message> {
        let message = self.backlog.pop_message()?;
        self.moves += 1;
        Some(message)
    }

    /// The next message, owned, as `recv` says it.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        match self.take_plain() {
            Some(message) => Poll::Ready(Ok(Some(message))),
            None => self.poll_recv_judged(cx),
        }
    }

    fn poll_recv_judged(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        if let Some(message) = self.next_kept() {
            return Poll::Ready(Ok(Some(message)));
        }
        Poll::Ready(match ready!(self.poll_next(cx)) {
            Some(incoming) => Ok(Some(self.own(incoming))),
            None => self.finish().map(|()| None),
        })
    }

    /// What was received as the item of a stream: the error that the connection ended with is told once. One that a call has to itself, in the middle
    /// of a message that is taken in parts, ends nothing.
    #[cfg(feature = "futures")]
    pub(crate) fn once(
        &mut self,
        received: Result<Option<Message>, Error>,
    ) -> Option<Result<Message, Error>> {
        let is_end = received.is_err() && self.machine.ending().is_some();
        if is_end && std::mem::replace(&mut self.told, true) { None } else { received.transpose() }
    }

    /// The same where [`take_plain`](Self::take_plain) had nothing, of a connection that may be in the middle of a message that is taken in
    /// parts.
    #[cold]
    #[inline(never)]
    pub(crate) fn poll_recv_whole(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.check_whole()?;
        self.poll_recv_judged(cx)
    }

    /// A count that changes whenever something happened that somebody else may wait for.
    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    /// Something happened.
    #[cfg(feature = "tokio")]
    pub(crate) fn moved(&mut self) {
        self.moves += 1;
    }

    /// The stream takes no more bytes.
    #[cfg(feature = "blocking")]
    pub(crate) fn is_write_broken(&self) -> bool {
        self.write_broken
    }

    /// The reason in the peer's Close frame.
    pub(crate) fn close_reason(&self) -> Option<Box<str>> {
        match self.machine.outcome()? {
            Ending::Closed(frame) => Some(frame.reason.into()),
            _ => None,
        }
    }

    /// The next message or control frame; `None` once the connection has ended.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.backlog.pop() {
            self.moves += 1;
            return Poll::Ready(Some(event));
        }
        let step = ready!(self.poll_step(cx, Take::Messages));
        Poll::Ready(self.event(step))
    }

    /// The next part of a message, as a step; `None` once the connection has ended.
    pub(crate) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        loop {
            match ready!(self.poll_step(cx, Take::Parts)) {
                Step::End => return Poll::Ready(None),
                Step::Control { .. } => {}
                step => {
                    if matches!(step, Step::Part { last: true, .. }) {
                        self.count(Counters::message_received);
                    }
                    return Poll::Ready(Some(step));
                }
            }
        }
    }

    /// Whole messages are received only where none has begun in parts.
    #[inline]
    pub(crate) fn check_whole(&self) -> Result<(), Error> {
        if self.machine.is_in_parts() { Err(UsageError::MessageInParts.into()) } else { Ok(()) }
    }

    /// A step as an event; `None` for the end.
    fn event(&mut self, step: Step) -> Option<Event> {
        match step {
            Step::Message(incoming) => Some(Event::Message(self.own(incoming))),
            Step::Control { opcode, place } => {
                let data = Data::copied(self.machine.payload(place));
                Some(if opcode == OpCode::Ping { Event::Ping(data) } else { Event::Pong(data) })
            }
            _ => None,
        }
    }

    /// A message that lies in the machine's memory, until the next poll.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn lend(&mut self, incoming: Incoming) -> MessageRef<'_> {
        self.count(Counters::message_received);
        let bytes = self.machine.payload(incoming.place);
        match incoming.kind {
            Kind::Text => MessageRef::Text(utf8::checked(bytes)),
            Kind::Binary => MessageRef::Binary(bytes),
        }
    }

    /// A message of its own: small ones copied, large ones cut out of the memory that they arrived in.
    #[inline(always)]
    pub(crate) fn own(&mut self, incoming: Incoming) -> Message {
        self.count(Counters::message_received);
        if !matches!(incoming.place, Place::Input { .. }) {
            return self.cut(incoming);
        }
        let data = Data::copied(self.machine.payload(incoming.place));
        self.machine.settle();
        Message::from_checked(incoming.kind, data)
    }

    #[cold]
    fn cut(&mut self, incoming: Incoming) -> Message {
        let data = match incoming.place {
            Place::Outside => Data::from(self.large.take()),
            _ => Data::fitted(self.machine.take_assembled()),
        };
        Message::from_checked(incoming.kind, data)
    }

    /// What passes through the connection, counted from now on.
    pub(crate) fn counters(&mut self) -> Counters {
        self.counters.get_or_insert_default().clone()
    }

    /// Counts what passes from now on in these, which may hold what passed through another connection.
    #[cfg(feature = "tokio")]
    pub(crate) fn count_in(&mut self, counters: Counters) {
        self.counters = Some(counters);
    }

    /// Counts, where somebody asked for it.
    #[inline(always)]
    fn count(&self, count: impl FnOnce(&Counters)) {
        if let Some(counters) = &self.counters {
            count(counters);
        }
    }

    /// Tells the newest round trip, where somebody asked for it.
    fn count_latency(&self) {
        if let Some((_, latency)) = self.machine.round_trip() {
            self.count(|counters| counters.answered(latency));
        }
    }

    /// Receives into the backlog while it has room. True once the connection has ended. Without room reading is paused:
    /// silence is not judged, but our pings go on.
    pub(crate) fn poll_keep(&mut self, cx: &mut Context<'_>) -> bool {
        while self.has_room() {
            match self.poll_step(cx, Take::Messages) {
                Poll::Ready(Step::End) => return true,
                Poll::Ready(step) => self.keep(step),
                Poll::Pending => return false,
            }
        }
        self.machine.pause_reading(true);
        while self.poll_deadline(cx).is_ready() {
            self.poll_output(cx);
        }
        self.machine.ending().is_some()
    }

    fn keep(&mut self, step: Step) {
        self.moves += 1;
        if let Some(event) = self.event(step) {
            self.backlog.push(event);
        }
    }

    /// Whether the backlog takes more. Not in the middle of a message that the caller takes in parts: what follows belongs
    /// to it.
    fn has_room(&self) -> bool {
        self.backlog.has_room() && !self.is_in_parts()
    }

    /// In the middle of a message that its caller takes in parts.
    fn is_in_parts(&self) -> bool {
        self.machine.is_in_parts() && !self.parts_unwanted
    }

    /// Messages are received whole from now on; what is left of one that was begun in parts is dropped.
    #[cfg(feature = "tokio")]
    pub(crate) fn receive_whole(&mut self) {
        self.parts_unwanted = true;
    }

    /// Nobody receives any more: what arrives is dropped from now on.
    #[cfg(feature = "tokio")]
    pub(crate) fn receive_no_more(&mut self) {
        self.backlog.refuse();
    }

    /// Sends a ping once, then waits for its pong; other messages go to the backlog meanwhile.
    pub(crate) fn poll_ping(
        &mut self,
        cx: &mut Context<'_>,
        sent: &mut Option<u64>,
    ) -> Poll<Result<Duration, Error>> {
        let id = match *sent {
            Some(id) => id,
            None => match self.machine.ping(C::now(), &mut next_key) {
                Ok(id) => *sent.insert(id),
                Err(_) => return Poll::Ready(Err(self.not_open())),
            },
        };
        let ended = self.poll_keep(cx);
        match self.machine.round_trip() {
            Some((answered, round_trip)) if answered >= id => {
                self.count_latency();
                Poll::Ready(Ok(round_trip))
            }
            _ if ended => Poll::Ready(Err(self.error())),
            _ if self.is_in_parts() => Poll::Ready(Err(UsageError::MessageInParts.into())),
            _ if !self.has_room() => Poll::Ready(Err(UsageError::BacklogFull.into())),
            _ => Poll::Pending,
        }
    }

    /// Runs the closing handshake to the end of the stream; messages that still arrive are dropped.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.backlog.clear();
        loop {
            match ready!(self.poll_step(cx, Take::Messages)) {
                Step::End => return Poll::Ready(self.closed()),
                Step::Message(incoming) if incoming.place == Place::Outside => drop(self.large.take()),
                _ => {}
            }
        }
    }

    /// The same while somebody else may receive: what still arrives is kept as far as there is room, then dropped.
    pub(crate) fn poll_close_shared(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let step = ready!(self.poll_step(cx, Take::Messages));
            if step == Step::End {
                return Poll::Ready(self.closed());
            }
            if !self.has_room() {
                self.backlog.clear();
            }
            self.keep(step);
        }
    }

    /// What `close` says at the end.
    fn closed(&self) -> Result<(), Error> {
        match self.machine.ending() {
            Some(Ending::Closed(_)) => Ok(()),
            _ => Err(self.error()),
        }
    }

    /// What became of the connection, as an error.
    #[cold]
    pub(crate) fn error(&self) -> Error {
        let ending = self.machine.outcome().unwrap_or(Ending::Abnormal);
        Error::from_ending(ending, self.broken.as_ref(), self.machine.tls_error())
    }

    /// What `recv` says at the end: nothing where the peer closed without complaint, else the error.
    #[cold]
    pub(crate) fn finish(&self) -> Result<(), Error> {
        match self.machine.ending() {
            Some(Ending::Closed(frame)) if frame.code.is_clean() => Ok(()),
            _ => Err(self.error()),
        }
    }

    /// Begins the closing handshake.
    pub(crate) fn begin_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.moves += 1;
        Ok(self.machine.close(code, reason, C::now())?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crate::protocol::{Config, Connection, Kind, Payload, Role, Step, pooled};

    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to make an instant; no test here waits"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    fn client() -> Connection {
        Connection::new(Role::Client, Config::default(), &[], now())
    }

    fn receive(connection: &mut Connection, bytes: &[u8]) {
        connection.space()[..bytes.len()].copy_from_slice(bytes);
        connection.received(bytes.len(), now());
    }

    fn send(connection: &mut Connection, payload: &[u8]) {
        connection.send(Kind::Binary, Payload::Borrowed(payload), &mut || [0; 4]).expect("it is open");
    }

    fn write(connection: &mut Connection, n: usize) -> Vec<u8> {
        let written = connection.output(&mut || [0; 4]).front()[..n].to_vec();
        connection.written(n);
        written
    }

    #[test]
    fn a_message_and_its_answer_pass_through_one_buffer() {
        let mut connection = client();
        for _ in 0..3 {
            receive(&mut connection, b"\x82\x01a");
            assert!(matches!(connection.step(), Step::Message(_)));
            send(&mut connection, b"b");
            // A write that takes a part leaves the rest where it is.
            assert_eq!(write(&mut connection, 3), b"\x82\x81\0");
            assert_eq!(write(&mut connection, 4), b"\0\0\0b");
            connection.park();
            assert_eq!(pooled(), 1);
        }
    }

    #[test]
    fn what_waits_to_be_read_keeps_its_memory() {
        let mut connection = client();
        receive(&mut connection, b"\x82\x01a\x82\x01c");
        assert!(matches!(connection.step(), Step::Message(_)));
        send(&mut connection, b"b");
        let Step::Message(second) = connection.step() else { panic!("a second message") };
        assert_eq!(connection.payload(second.place), b"c");
        assert_eq!(write(&mut connection, 7), b"\x82\x81\0\0\0\0b");
        assert_eq!(connection.payload(second.place), b"c");
        connection.park();
        assert_eq!(pooled(), 2);
    }

    #[test]
    fn what_is_held_outlasts_what_is_sent() {
        let mut connection = client();
        for _ in 0..2 {
            receive(&mut connection, b"\x82\x01a");
            let Step::Message(held) = connection.step() else { panic!("a message") };
            for _ in 0..2 {
                connection.hold();
                send(&mut connection, &[b'b'; 100]);
                assert_eq!(connection.payload(held.place), b"a");
            }
            write(&mut connection, 2 * 106);
            assert_eq!(connection.payload(held.place), b"a");
        }
    }

    #[test]
    fn who_only_sends_keeps_no_memory() {
        let mut connection = client();
        send(&mut connection, b"b");
        write(&mut connection, 7);
        assert_eq!(pooled(), 1);
    }
}
