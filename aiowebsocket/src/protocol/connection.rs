//! One connection after the opening handshake: the contract by which a face drives it.

use std::mem;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Role;
use super::buffer::Buffer;
use super::close::{CloseCode, CloseFrame};
use super::config::Config;
use super::deadline::{Deadlines, Due};
use super::deflate::PerMessageDeflate;
use super::error::{Ending, PeerError, UsageError};
use super::frame::{Header, MAX_CONTROL, MAX_HEADER, OpCode};
use super::mask::{self, MaskKeys};
use super::message::{Assembler, Kind};
use super::output::{Output, Payload};
use super::reading::Reading;
use super::secure::Secure;
use super::state::State;
use super::utf8;
use crate::deflate::Agreed;
use crate::layer::{Layer, TlsError, TlsInfo};
use crate::trace;

/// A payload above this size that is not yet whole is read straight to where it will stay ([`Step::Into`]); up to it
/// a copy out of the read buffer is cheaper than memory of its own, and a lent message needs no copy at all. In a burst of
/// 40,000 bytes a message 64 KiB here took 0.89 of the processor time that 32 KiB took, and at 65,536 bytes no more.
pub const DESTINATION_ABOVE: usize = 64 << 10;

/// Pongs that wait to be encoded. Autobahn's cases send ten pings in one go and count the pongs; sixteen take 2 KiB at the most.
const MAX_PONGS: usize = 16;

/// What to do next, answered by [`Connection::step`]. A copy, so that no borrow lasts from one step to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing more can be made of what arrived: write what waits, then read.
    Read,
    /// A message is whole.
    Message(Incoming),
    /// A large message is arriving: give it a destination, see [`Connection::pour`].
    Into {
        /// Its kind.
        kind: Kind,
        /// Its length in bytes; within the limits, but not yet memory.
        len: usize,
    },
    /// Some bytes of a message that is taken in parts, see [`Connection::step_part`].
    Part {
        /// Its kind. The bytes of a part of a text may begin and end inside a character.
        kind: Kind,
        /// Where the bytes are.
        place: Place,
        /// Whether the message ends with them.
        last: bool,
    },
    /// A ping or a pong arrived, where [`Config::control_events`] asks to be told. It is answered already.
    Control {
        /// Ping or pong.
        opcode: OpCode,
        /// Where its payload is.
        place: Place,
    },
    /// The connection is over; [`Connection::ending`] tells how.
    End,
}

/// A whole message: what it is and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Text or binary.
    pub kind: Kind,
    /// Where its bytes are until the next step, or the next message that is sent.
    pub place: Place,
}

impl Incoming {
    /// A message in the read buffer.
    #[inline]
    pub(super) fn in_input(kind: Kind, start: usize, end: usize) -> Self {
        Self { kind, place: Place::in_input(start, end) }
    }
}

impl Place {
    /// In the read buffer.
    #[inline]
    pub(super) fn in_input(start: usize, end: usize) -> Self {
        debug_assert!(end <= u32::MAX as usize, "a read buffer is small");
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a read buffer is at most 128 KiB, or a handshake's leftover"
        )]
        return Self::Input { start: start as u32, end: end as u32 };
    }
}

/// Where the bytes of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the read buffer, from here…
    Input {
        /// …the first byte…
        start: u32,
        /// …to before this one.
        end: u32,
    },
    /// In memory of its own, put together from fragments or inflated: lent by [`Connection::payload`], given away by
    /// [`Connection::take_assembled`].
    Assembled,
    /// In the destination that the face supplied for [`Step::Into`].
    Outside,
}

/// Nothing can be sent any more: a Close frame went out or came in, or the connection failed or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpen;

/// Why a message or a part of one was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotSend {
    /// Nothing can be sent any more.
    NotOpen,
    /// A message that is sent in parts has not got its last one.
    MessageUnfinished,
    /// A part of the other kind than those before it.
    OtherKind,
}

/// The machine: RFC 6455 from the first frame to the end of TCP, without a socket, a clock or randomness.
///
/// Four kinds of methods:
///
/// * *in, from the network and the clock*: [`space`](Self::space) and [`received`](Self::received),
///   [`placed`](Self::placed), [`received_end`](Self::received_end), [`handle_timeout`](Self::handle_timeout)
/// * *in, from the application*: [`send`](Self::send), [`ping`](Self::ping), [`close`](Self::close)
/// * *out*: [`step`](Self::step) for messages, [`output`](Self::output) and [`written`](Self::written) for bytes,
///   [`next_timeout`](Self::next_timeout) for the clock
/// * *getters*: [`ending`](Self::ending), [`round_trip`](Self::round_trip), [`queued`](Self::queued), …
///
/// The contract in one sentence: after anything that takes `&mut`, take steps until there are no more messages, write
/// output until it is empty, then wait for the socket or for [`next_timeout`](Self::next_timeout).
///
/// Time must not go backwards from call to call. A peer can make any of these calls return an error or end the connection,
/// never panic, and never take more memory than [`Config`] allows.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) reading: Reading,
    pub(super) input: Buffer,
    /// Bytes that must wait in a row before the next step can get further.
    pub(super) want: usize,
    pub(super) assembler: Assembler,
    /// Where the connection is secure. Boxed: one without pays for one word.
    pub(super) secure: Option<Box<Secure>>,
    /// Where compression was agreed on. Boxed: a connection without it pays for one word.
    pub(super) deflate: Option<Box<PerMessageDeflate>>,
    /// Whether the message that is arriving is compressed.
    pub(super) inflating: bool,
    /// The check of the text message that is arriving.
    pub(super) text: utf8::Incremental,
    pub(super) output: Output,
    /// The pings that were not answered yet, in order; see [`answer`](Self::answer).
    #[expect(
        clippy::box_collection,
        reason = "an idle connection has none, and pays one word for that instead of three"
    )]
    pongs: Option<Box<Vec<Control>>>,
    /// Bytes of the output up to the end of the last pong in it. The next pongs wait until this one has left, so
    /// that a peer which pings and never reads cannot grow the queue.
    pong_ahead: usize,
    /// The kind of the message that is being sent in parts.
    pub(super) sending: Option<Kind>,
    /// Whether a message is simply one frame now and nothing goes before it: no fragment size is set, no message is unfinished, nothing
    /// is compressed, no pong waits. One look on the hot way; false for longer than it is so costs one send the other way.
    sends_whole: bool,
    /// Whether the output has the memory of the input: a message and its answer pass through the same.
    output_borrows: bool,
    /// Whether the message that is arriving is taken in parts.
    pub(super) in_parts: bool,
    /// Whether the next message may be taken in parts.
    pub(super) wants_parts: bool,
    /// A Close frame to be written. Boxed: an idle connection has none.
    pub(super) close: Option<Box<Control>>,
    pub(super) state: State,
    pub(super) deadlines: Deadlines,
    pub(super) config: Config,
}

/// The payload of a control frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    bytes: [u8; MAX_CONTROL],
    len: u8,
}

impl Control {
    pub(super) fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; MAX_CONTROL];
        bytes[..payload.len()].copy_from_slice(payload);
        Self { bytes, len: u8::try_from(payload.len()).expect("a control frame has at most 125 bytes") }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Connection {
    /// A connection whose opening handshake was completed at `now`. `leftover` are the bytes that came behind the
    /// handshake: the peer's first frames may be among them.
    pub fn new(role: Role, config: Config, leftover: &[u8], now: Instant) -> Self {
        let mut input = Buffer::default();
        if !leftover.is_empty() {
            input.append(leftover);
        }
        // What `plain_message` may take: what the limits and a 16-bit length allow, and none for a server, whose input is masked.
        let plain = config.max_frame.min(config.max_message).min(u64::from(u16::MAX));
        let plain_below = match role {
            Role::Client => u32::try_from(plain).expect("at most 65,535") + 1,
            Role::Server => 0,
        };
        Self {
            role,
            reading: Reading::Header,
            input,
            want: MAX_HEADER,
            assembler: Assembler::new(plain_below),
            secure: None,
            deflate: None,
            inflating: false,
            text: utf8::Incremental::default(),
            output: Output::default(),
            pongs: None,
            pong_ahead: 0,
            sending: None,
            sends_whole: config.fragment_size.is_none(),
            output_borrows: false,
            in_parts: false,
            wants_parts: false,
            close: None,
            state: State::new(role),
            deadlines: Deadlines::new(config.keepalive, now),
            config,
        }
    }

    /// From now on messages are compressed as the opening handshake agreed; to be said before the first step.
    pub fn compress(&mut self, agreed: Agreed) {
        self.deflate = Some(PerMessageDeflate::new(self.role, &agreed));
        self.sends_whole = false;
    }

    /// From now on every byte of the socket, in and out, goes through this layer, whose handshake is complete; to be said
    /// before the first step. It holds what arrived behind its handshake and was not opened yet.
    pub fn secure(&mut self, layer: Box<dyn Layer>) {
        self.secure = Some(Box::new(Secure::new(layer)));
    }

    // ---- in, from the network and the clock

    /// Room to read into; never empty. Report what was read with [`received`](Self::received).
    #[inline]
    pub fn space(&mut self) -> &mut [u8] {
        match &mut self.secure {
            None => self.input.space(self.want),
            Some(secure) => secure.layer.space(),
        }
    }

    /// `n` bytes were read to the front of the last [`space`](Self::space).
    #[inline]
    pub fn received(&mut self, n: usize, now: Instant) {
        match &mut self.secure {
            None => self.input.filled(n),
            Some(secure) => secure.received(n),
        }
        self.deadlines.heard(now);
    }

    /// Whether the rest of a large message may be read straight into its destination, as [`pour`](Self::pour) says. Not over TLS:
    /// there, what follows [`Step::Into`] is the next step.
    #[inline]
    pub fn reads_direct(&self) -> bool {
        self.secure.is_none()
    }

    /// The bytes of the arriving large message that are in the read buffer, to be appended to its destination. They are
    /// taken by this call. After it, read the socket straight into the rest of the destination and report that with
    /// [`placed`](Self::placed), or go on with [`space`](Self::space): both ways work, in any mixture.
    pub fn pour(&mut self) -> &[u8] {
        let Reading::Outside { filled, ready, .. } = &mut self.reading else { return &[] };
        let n = mem::take(ready);
        *filled += n;
        let range = self.input.consume(n);
        self.input.slice(range)
    }

    /// `chunk`, the next bytes of the arriving large message, was read straight into its destination. At most what is missing
    /// of the message, and only after [`pour`](Self::pour).
    pub fn placed(&mut self, chunk: &mut [u8], now: Instant) {
        self.deadlines.heard(now);
        let Reading::Outside { kind, mask, length, filled, ready } = &mut self.reading else { return };
        debug_assert!(*ready == 0 && self.input.is_empty(), "what was read before is poured before");
        debug_assert!(chunk.len() <= *length - *filled, "no more is placed than the message has");
        if let Some(key) = *mask {
            mask::apply(chunk, mask::rotate(key, *filled));
        }
        trace::payload(self.config.trace_payloads, "received", *filled as u64, || &*chunk);
        *filled += chunk.len();
        if *kind == Kind::Text && self.text.push(chunk).is_err() {
            self.fail(PeerError::NotUtf8);
        }
    }

    /// The peer ended its stream, or the transport broke: nothing more will arrive, and nothing can be written.
    pub fn received_end(&mut self) {
        // Messages that are whole in the buffer were stepped through before; the rest is the beginning of nothing.
        self.reading = Reading::Nothing;
        if let Some(secure) = &mut self.secure {
            secure.received_end(self.state.reads());
        }
        self.state.recv_end();
    }

    /// A deadline may have passed. Queues a keep-alive ping, or ends the connection. Before this, read until the socket has
    /// nothing more: a pong that waits in the kernel is life.
    pub fn handle_timeout(&mut self, now: Instant, keys: &mut impl MaskKeys) {
        match self.deadlines.due(now) {
            Due::Nothing => {}
            Due::Ping => _ = self.ping(now, keys),
            Due::Timeout(timeout) => {
                self.reading = Reading::Nothing;
                self.state.timeout(timeout);
            }
        }
    }

    // ---- in, from the application

    /// Queues one message: compressed, where that was agreed on and makes it smaller, and in fragments of
    /// [`Config::fragment_size`] where that is set. Text must be UTF-8; the faces take it as `str`.
    ///
    /// # Errors
    /// [`CannotSend`]: nothing was queued.
    #[inline(always)]
    pub fn send(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        if !self.state.is_open() {
            return Err(CannotSend::NotOpen);
        }
        if !self.sends_whole {
            return self.send_cut(kind, payload, false, keys);
        }
        trace::payload(self.config.trace_payloads, "sent", 0, || payload.bytes());
        if Output::copies(payload.bytes()) {
            self.push_message(kind.opcode(), payload.bytes(), keys);
        } else {
            self.push(kind.opcode(), 0, true, payload, keys);
        }
        Ok(())
    }

    /// Queues one message that is not compressed, whatever was agreed: for secrets, see [`Deflate`](crate::Deflate).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[cold]
    #[inline(never)]
    pub fn send_plain(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        if !self.state.is_open() {
            return Err(CannotSend::NotOpen);
        }
        self.send_cut(kind, payload, true, keys)
    }

    /// The hot way of a message out, in one function. It takes a slice: a caller who owns the payload knows better how to
    /// drop it.
    #[inline(never)]
    fn push_message(&mut self, opcode: OpCode, payload: &[u8], keys: &mut impl MaskKeys) {
        if self.output.borrow(&mut self.input) {
            self.output_borrows = true;
        }
        self.output.push_copy(opcode, 0, true, key(self.role, keys), payload);
    }

    /// A message where one frame is not simply one message.
    #[inline(never)]
    fn send_cut(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        plain: bool,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        if self.sending.is_some() {
            return Err(CannotSend::MessageUnfinished);
        }
        self.queue_pongs(keys);
        trace::payload(self.config.trace_payloads, "sent", 0, || payload.bytes());
        self.sends_whole = self.is_simple();
        let deflated = match &mut self.deflate {
            Some(deflate) if !plain => deflate.deflate(payload.bytes()),
            _ => None,
        };
        match deflated {
            Some(mut deflated) => {
                let rsv = deflated.rsv();
                self.queue(kind.opcode(), rsv, true, deflated.payload(), keys);
            }
            None => self.queue(kind.opcode(), 0, true, payload, keys),
        }
        Ok(())
    }

    /// Queues a part of a message as a fragment of its own, or as several of [`Config::fragment_size`]. Where compression was
    /// agreed on, the parts are one compressed message, of which each part can be read as soon as it arrives. The first part
    /// begins a message, the one that is `last` ends it, and until then nothing else but pings, pongs and the Close frame can be
    /// sent (RFC 6455 5.4). A part of a text is UTF-8 by itself.
    ///
    /// # Errors
    /// [`CannotSend`]: nothing was queued.
    #[cold]
    pub fn send_part(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        last: bool,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        self.send_part_or_plain(kind, payload, last, false, keys)
    }

    /// The same, and where it is the first part, the message is not compressed, as with [`send_plain`](Self::send_plain).
    ///
    /// # Errors
    /// As [`send_part`](Self::send_part).
    #[cold]
    pub fn send_plain_part(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        last: bool,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        self.send_part_or_plain(kind, payload, last, true, keys)
    }

    fn send_part_or_plain(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        last: bool,
        plain: bool,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        if !self.state.is_open() {
            return Err(CannotSend::NotOpen);
        }
        let opcode = match self.sending {
            None => kind.opcode(),
            Some(begun) if begun == kind => OpCode::Continuation,
            Some(_) => return Err(CannotSend::OtherKind),
        };
        self.queue_pongs(keys);
        trace::payload(self.config.trace_payloads, "sent", 0, || payload.bytes());
        let first = self.sending.is_none();
        self.sending = if last { None } else { Some(kind) };
        self.sends_whole = self.is_simple();
        let deflate = self.deflate.as_mut();
        match deflate.and_then(|deflate| deflate.deflate_part(payload.bytes(), first, last, plain)) {
            Some(mut deflated) => {
                let rsv = deflated.rsv();
                self.queue(opcode, rsv, last, deflated.payload(), keys);
            }
            None => self.queue(opcode, 0, last, payload, keys),
        }
        Ok(())
    }

    /// Queues the payload of a message, or of a part of one, as one frame or to be cut.
    #[inline]
    fn queue(&mut self, opcode: OpCode, rsv: u8, fin: bool, payload: Payload<'_>, keys: &mut impl MaskKeys) {
        match self.config.fragment_size {
            Some(size) if self.output.has_uncut() || payload.bytes().len() > size.get() => {
                let masked = self.role == Role::Client;
                self.output.push_uncut(opcode, rsv, fin, payload, size.get(), masked);
            }
            _ => self.push(opcode, rsv, fin, payload, keys),
        }
    }

    /// Queues a ping and returns its number: [`round_trip`](Self::round_trip) carries it once the pong has come.
    ///
    /// # Errors
    /// [`NotOpen`]: nothing was queued.
    pub fn ping(&mut self, now: Instant, keys: &mut impl MaskKeys) -> Result<u64, NotOpen> {
        if !self.state.is_open() {
            return Err(NotOpen);
        }
        let id = self.deadlines.ping(now, self.output.encoded());
        self.push(OpCode::Ping, 0, true, Payload::Borrowed(&id.to_be_bytes()), keys);
        Ok(id)
    }

    /// Begins the closing handshake, which then has [`Config::close_timeout`]. Nothing can be sent after this; messages that
    /// the peer sent before its own Close frame still arrive. Does nothing where a Close frame went out already.
    ///
    /// # Errors
    /// A code that must not be sent, or a reason over 123 bytes; the connection stays as it is.
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), UsageError> {
        let payload = CloseFrame::encode(code, reason)?;
        if self.state.send_close() {
            self.close = Some(Box::new(Control::new(&payload)));
            self.deadlines.closing_at(now, self.config.close_timeout);
        }
        Ok(())
    }

    // ---- out

    /// Goes on with what arrived. Ends every lend: what an earlier step described is gone after this.
    ///
    /// Where [`plain_message`](Self::plain_message) has nothing, this goes the long way; calling it alone does both.
    #[inline]
    pub fn step(&mut self) -> Step {
        match self.plain_message() {
            Some(incoming) => Step::Message(incoming),
            None => self.step_judging(),
        }
    }

    /// Goes on as [`step`](Self::step) does, but a message that is not whole yet is handed out in the parts that are there
    /// ([`Step::Part`]), of single frames too, and takes no memory beyond 16 KiB of what is inflated: neither [`Config::max_frame`] nor
    /// [`Config::max_message`] bounds it. A message that is whole in the read buffer, or was begun by `step`, comes as
    /// [`Step::Message`]. Once a message was begun here, only this goes on with it, see [`is_in_parts`](Self::is_in_parts).
    pub fn step_part(&mut self) -> Step {
        self.wants_parts = true;
        let step = self.step();
        self.wants_parts = false;
        step
    }

    /// Whether a message was handed out in parts without its last one.
    pub fn is_in_parts(&self) -> bool {
        self.in_parts
    }

    /// A client's common case, recognised by its bytes: a whole message in one unmasked frame of up to 64 KiB with the shortest
    /// header and no reserved bit, within the limits. It breaks no rule, so nothing is left to judge; whatever
    /// does not look exactly like this, right or wrong, is left to [`step`](Self::step). A face may ask here first and keep
    /// the long way out of its hot code. Saves half of the instructions of a short message.
    #[inline(always)]
    pub fn plain_message(&mut self) -> Option<Incoming> {
        if !matches!(self.reading, Reading::Header) {
            return None;
        }
        let bytes = self.input.bytes();
        let (kind, size, length) = match *bytes {
            [first, second @ 0..=125, ..] => (plain_kind(first)?, 2, usize::from(second)),
            [first, 126, high, low, ..] => match u16::from_be_bytes([high, low]) {
                length @ 126.. => (plain_kind(first)?, 4, usize::from(length)),
                _ => return None,
            },
            _ => return None,
        };
        if !self.assembler.lets_pass(length) {
            return None;
        }
        let payload = bytes.get(size..size + length)?;
        trace::frame("received", kind.opcode(), true, length as u64);
        trace::payload(self.config.trace_payloads, "received", 0, || payload);
        let is_right = kind != Kind::Text || utf8::is_valid(payload);
        let Range { start, end } = self.input.consume(size + length);
        if !is_right {
            self.fail(PeerError::NotUtf8);
            return None;
        }
        Some(Incoming::in_input(kind, start + size, end))
    }

    /// The bytes of a message that lies in the machine's memory; empty for [`Place::Outside`], which the face holds.
    #[inline]
    pub fn payload(&self, place: Place) -> &[u8] {
        match place {
            Place::Input { start, end } => self.input.slice(start as usize..end as usize),
            Place::Assembled => match &self.deflate {
                Some(deflate) if deflate.has_memory() => deflate.bytes(),
                _ => self.assembler.bytes(),
            },
            Place::Outside => &[],
        }
    }

    /// Takes the memory of a message that was put together from fragments or inflated.
    pub fn take_assembled(&mut self) -> Vec<u8> {
        match &mut self.deflate {
            Some(deflate) if deflate.has_memory() => deflate.take(),
            _ => self.assembler.take(),
        }
    }

    /// What waits to be written, pongs and Close included. `keys` mask those, if any. Empty although something
    /// [waits](Self::wants_write) where TLS failed: nothing more can be written then.
    #[inline]
    pub fn output(&mut self, keys: &mut impl MaskKeys) -> &Output {
        if self.pongs.is_some() || self.close.is_some() || self.output.has_uncut() {
            self.queue_late(keys);
        }
        match &mut self.secure {
            None => &self.output,
            Some(secure) => {
                let last = self.close.is_none() && self.state.is_finishing();
                secure.seal(&mut self.output, last);
                secure.output()
            }
        }
    }

    /// `n` bytes of the output were written. Returns how many of those that were [`queued`](Self::queued) have left by that: as
    /// many, but for a secure connection.
    #[inline]
    pub fn written(&mut self, n: usize) -> usize {
        let n = match &mut self.secure {
            None if mem::take(&mut self.output_borrows) => {
                self.output.advance(n);
                self.output.give_back(&mut self.input);
                n
            }
            None => {
                self.output.written(n);
                n
            }
            Some(secure) => secure.written(n),
        };
        self.pong_ahead = self.pong_ahead.saturating_sub(n);
        self.deadlines.wrote(n);
        if self.role == Role::Server && !self.wants_write() {
            self.state.all_written();
        }
        n
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called, if nothing arrives before.
    #[inline]
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.state.ending().is_some() { None } else { self.deadlines.next() }
    }

    /// The bytes that were read and not stepped through.
    pub fn unread(&self) -> &[u8] {
        self.input.bytes()
    }

    // ---- memory

    /// Gives the read buffer back where nothing waits in it: after a message was copied out of it.
    #[inline]
    pub fn settle(&mut self) {
        self.input.settle();
    }

    /// The face is going to wait for the peer: gives back all memory that is not needed for that.
    #[inline]
    pub fn park(&mut self) {
        self.input.park();
        if let Some(secure) = &mut self.secure {
            secure.layer.park();
        }
    }

    /// The face reads no more for a while because the application does not keep up, or reads again. While reading is
    /// paused a silent peer is not judged, since it may have spoken; our pings go on.
    pub fn pause_reading(&mut self, paused: bool) {
        self.deadlines.pause(paused);
    }

    // ---- getters

    /// Which end of the connection this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The limits and times in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The compression that was agreed on, if any.
    pub fn compression(&self) -> Option<&Agreed> {
        self.deflate.as_ref().map(|deflate| deflate.agreed())
    }

    /// What the layer of a secure connection agreed on.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.secure.as_ref()?.layer.agreed()
    }

    /// Why the layer of a secure connection ended it, where it did.
    pub fn tls_error(&self) -> Option<&TlsError> {
        self.secure.as_ref()?.error()
    }

    /// How the connection ended, once [`Step::End`] was reached.
    pub fn ending(&self) -> Option<&Ending> {
        self.state.ending()
    }

    /// How the connection is going to end: known from the peer's Close frame, or its fault, on.
    pub fn outcome(&self) -> Option<Ending> {
        self.state.outcome()
    }

    /// Whether messages may be sent.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// The kind of the message that is being sent in parts, between its first part and its last.
    pub fn sending(&self) -> Option<Kind> {
        self.sending
    }

    /// Bytes that wait to be written, without pongs and Close frames that were not encoded yet.
    #[inline]
    pub fn queued(&self) -> usize {
        self.output.len() + self.secure.as_ref().map_or(0, |secure| secure.in_flight())
    }

    /// Bytes of control frames that were ever queued before a message that waited to be cut into fragments: by so many
    /// more than was [`queued`](Self::queued) before it, it has left later.
    pub fn jumped(&self) -> u64 {
        self.output.jumped
    }

    /// Whether anything waits to be written.
    #[inline]
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty()
            || self.pongs.is_some()
            || self.close.is_some()
            || self.secure.as_ref().is_some_and(|secure| secure.wants_write(self.state.is_finishing()))
    }

    /// Whether the face is to shut its side of the transport once everything is written: the server after the closing
    /// handshake, and whoever failed the connection (RFC 6455 7.1.1, 7.1.7).
    pub fn shuts_first(&self) -> bool {
        self.state.shuts_first()
    }

    /// The number of the newest ping that was answered, and how long the answer took.
    pub fn round_trip(&self) -> Option<(u64, Duration)> {
        self.deadlines.round_trip()
    }

    /// A ping wants its pong. Each gets one, in order, as long as few wait; of more, the latest is answered in place of the
    /// one before it, which RFC 6455 5.5.3 allows and a flood of pings needs.
    #[cold]
    pub(super) fn answer(&mut self, ping: Control) {
        let pongs = self.pongs.get_or_insert_default();
        pongs.truncate(MAX_PONGS - 1);
        pongs.push(ping);
        self.sends_whole = false;
    }

    // ---- on the way out

    /// Encodes what is encoded only when it is about to be written: the pong, a fragment, the Close frame. After a Close frame
    /// only pongs may follow, and only until the peer's own.
    #[cold]
    fn queue_late(&mut self, keys: &mut impl MaskKeys) {
        if self.close.is_some() && !self.output.has_uncut() {
            // The last chance for a pong is before our Close frame.
            self.pong_ahead = 0;
        }
        self.queue_pongs(keys);
        if let Some(size) = self.config.fragment_size {
            let role = self.role;
            self.output.cut(size.get(), || key(role, keys));
        }
        if !self.output.has_uncut()
            && let Some(close) = self.close.take()
        {
            self.push(OpCode::Close, 0, true, Payload::Borrowed(close.bytes()), keys);
        }
    }

    /// What [`sends_whole`](Self::sends_whole) remembers.
    fn is_simple(&self) -> bool {
        let Self { sending, config, deflate, pongs, .. } = self;
        sending.is_none() && config.fragment_size.is_none() && deflate.is_none() && pongs.is_none()
    }

    /// Encodes the pongs that wait, once those before them have left. RFC 6455 5.5.2 wants a pong "as soon as is practical", so
    /// also before a message is queued: it may be the answer to one that came after the ping.
    fn queue_pongs(&mut self, keys: &mut impl MaskKeys) {
        if self.pong_ahead == 0
            && let Some(pongs) = self.pongs.take()
        {
            for pong in pongs.iter() {
                self.push(OpCode::Pong, 0, true, Payload::Borrowed(pong.bytes()), keys);
            }
            self.pong_ahead = self.output.encoded();
        }
    }

    /// Any other frame, apart from the hot way so that it stays small.
    #[cold]
    #[inline(never)]
    fn push(&mut self, opcode: OpCode, rsv: u8, fin: bool, payload: Payload<'_>, keys: &mut impl MaskKeys) {
        // Messages were told of before they were compressed.
        if opcode.is_control() {
            trace::control(self.config.trace_payloads, "sent", || payload.bytes());
        }
        if self.output.has_uncut() {
            let masked = self.role == Role::Client;
            self.output.jumped += Header::frame_size(payload.bytes().len(), masked) as u64;
        }
        self.output.push(opcode, rsv, fin, key(self.role, keys), payload);
    }
}

/// The key of the next frame: a client masks (RFC 6455 5.3), a server must not (5.1).
#[inline(always)]
fn key(role: Role, keys: &mut impl MaskKeys) -> Option<[u8; 4]> {
    match role {
        Role::Client => Some(keys.next_key()),
        Role::Server => None,
    }
}

/// The kind of an unfragmented message whose frame has no reserved bit set.
#[inline]
fn plain_kind(first: u8) -> Option<Kind> {
    match first {
        0x81 => Some(Kind::Text),
        0x82 => Some(Kind::Binary),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection costs beside its face: asserted, so that a new field is a decision.
    #[test]
    fn the_machine_is_small() {
        assert!(size_of::<Connection>() <= 688, "{}", size_of::<Connection>());
    }
}
