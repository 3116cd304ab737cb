//! One connection after the opening handshake: the contract by which a face drives it.

use std::mem;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Role;
use super::buffer::Buffer;
use super::config::Config;
use super::deadline::{Deadlines, Due};
use super::deflate::PerMessageDeflate;
use super::error::{Ending, PeerError};
use super::frame::MAX_HEADER;
use super::mask::{self, MaskKeys};
use super::message::{Assembler, Kind};
use super::output::Output;
use super::reading::Reading;
use super::secure::Secure;
use super::sending::Control;
use super::state::State;
use super::step::{Incoming, Place, Plain, Step};
use super::utf8;
use crate::deflate::Agreed;
use crate::layer::{Layer, TlsError, TlsInfo};
use crate::trace;

/// A payload above this size that is not yet whole is read straight to where it will stay ([`Step::Into`]); up to it
/// a copy out of the read buffer is cheaper than memory of its own, and a lent message needs no copy at all. In a burst of
/// 40,000 bytes a message 64 KiB here took 0.89 of the processor time that 32 KiB took, and at 65,536 bytes no more.
pub const DESTINATION_ABOVE: usize = 64 << 10;

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
    pub(super) pongs: Option<Box<Vec<Control>>>,
    /// Bytes of the output up to the end of the last pong in it. The next pongs wait until this one has left, so
    /// that a peer which pings and never reads cannot grow the queue.
    pub(super) pong_ahead: usize,
    /// The kind of the message that is being sent in parts.
    pub(super) sending: Option<Kind>,
    /// Whether a message is simply one frame now and nothing goes before it: no fragment size is set, no message is unfinished, nothing
    /// is compressed, no pong waits. One look on the hot way; false for longer than it is so costs one send the other way.
    pub(super) sends_whole: bool,
    /// Whether the output has the memory of the input: a message and its answer pass through the same.
    pub(super) output_borrows: bool,
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
        let Plain { kind, payload, frame } = self.peek_plain()?;
        let length = payload.len();
        let Range { end, .. } = self.input.consume(frame);
        Some(Incoming::in_input(kind, end - length, end))
    }

    /// The same message where it lies, for a face that copies it at once. It is still there until [`pass_plain`](Self::pass_plain).
    #[inline(always)]
    pub fn peek_plain(&self) -> Option<Plain<'_>> {
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
        if kind == Kind::Text && !utf8::is_valid(payload) {
            return None;
        }
        trace::frame("received", kind.opcode(), true, length as u64);
        trace::payload(self.config.trace_payloads, "received", 0, || payload);
        Some(Plain { kind, payload, frame: size + length })
    }

    /// Takes the frame of a [`Plain`] message off the front, and gives the read buffer back where nothing else waits in it.
    ///
    /// # Panics
    /// Where so many bytes do not wait, sooner or later: only the `frame` of the last [`peek_plain`](Self::peek_plain) is taken.
    #[inline(always)]
    pub fn pass_plain(&mut self, frame: usize) {
        self.input.consume(frame);
        self.input.settle();
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
