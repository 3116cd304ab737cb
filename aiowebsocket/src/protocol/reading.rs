//! From bytes to steps: what each next byte of input is, and what it does. The only switch over frames.

use std::ops::ControlFlow::{self, Break, Continue};
use std::ops::Range;

use super::Role;
use super::close::{CloseCode, CloseFrame};
use super::connection::{Connection, DESTINATION_ABOVE};
use super::error::PeerError;
use super::frame::{Header, MAX_HEADER, OpCode};
use super::mask;
use super::message::{Assembler, Kind};
use super::sending::Control;
use super::state::Reply;
use super::step::{Incoming, Place, Step};
use super::utf8;
use crate::trace;

/// What the next byte of input is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// The first byte of a header.
    Header,
    /// Payload of an unfragmented message that waits in the read buffer until it is whole; `seen` bytes of it are
    /// unmasked and checked.
    Whole { kind: Kind, mask: Option<[u8; 4]>, length: usize, seen: usize },
    /// Payload of a fragment, handed on to the assembler as it arrives; `left` of `length` bytes are to come.
    Fragment { kind: Kind, mask: Option<[u8; 4]>, fin: bool, length: usize, left: usize },
    /// Payload of an unfragmented message that goes to a destination of the face. `filled` bytes are there; `ready`
    /// more wait in the read buffer, unmasked and checked, to be poured.
    Outside { kind: Kind, mask: Option<[u8; 4]>, length: usize, filled: usize, ready: usize },
    /// Payload of a frame of a compressed message, inflated as it arrives.
    Deflated(Compressed),
    /// Payload of a message that is taken in parts, handed out as it arrives.
    Part { kind: Kind, mask: Option<[u8; 4]>, fin: bool, length: u64, left: u64 },
    /// Nothing any more: after the peer's Close frame, a failure or the end.
    Nothing,
}

/// A frame of a compressed message whose last `left` bytes are not inflated yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compressed {
    kind: Kind,
    mask: Option<[u8; 4]>,
    fin: bool,
    length: u64,
    left: u64,
    /// Bytes of them that wait in the read buffer, unmasked.
    ready: usize,
    /// Nothing more comes out of what was inflated.
    drained: bool,
}

impl Connection {
    /// Goes on as [`step`](Self::step) does, for a face that has just asked [`plain_message`](Self::plain_message) and got nothing.
    #[inline]
    pub fn step_rest(&mut self) -> Step {
        if self.has_nothing() { Step::Read } else { self.step_judging() }
    }

    /// Whether nothing is there: no byte, and nothing that a step has to end or to free. Whoever is about to wait is here, twice a
    /// round trip, and need not go the long way to hear it.
    #[inline]
    pub fn has_nothing(&self) -> bool {
        self.input.is_empty()
            && matches!(self.reading, Reading::Header)
            && self.assembler.is_clear()
            && self.secure.as_ref().is_none_or(|secure| !secure.has_unopened() && !secure.is_over())
            && self.deflate.is_none()
            && self.want == MAX_HEADER
    }

    #[inline(never)]
    pub(super) fn step_judging(&mut self) -> Step {
        self.assembler.clear();
        if let Some(deflate) = &mut self.deflate
            && deflate.has_memory()
            && (!self.inflating || self.in_parts)
        {
            deflate.clear();
        }
        loop {
            let progress = match self.reading {
                Reading::Header => self.read_header(),
                Reading::Whole { kind, mask, length, seen } => self.read_whole(kind, mask, length, seen),
                Reading::Fragment { kind, mask, fin, length, left } => {
                    self.read_fragment(kind, mask, fin, length, left)
                }
                Reading::Outside { kind, mask, length, filled, ready } => {
                    self.read_outside(kind, mask, length, filled, ready)
                }
                Reading::Deflated(frame) if self.in_parts => self.read_deflated_part(frame),
                Reading::Deflated(frame) => self.read_deflated(frame),
                Reading::Part { kind, mask, fin, length, left } => {
                    self.read_part(kind, mask, fin, length, left)
                }
                Reading::Nothing => Ok(Break(self.discard())),
            };
            match progress {
                // Over TLS there may be more to make of what was read.
                Ok(Break(Step::Read)) if self.secure.is_some() && self.open_more() => {
                    // What was opened mostly begins with a message that is whole.
                    if let Some(incoming) = self.plain_message() {
                        return Step::Message(incoming);
                    }
                }
                Ok(Break(step)) => return step,
                Ok(Continue(())) => {}
                Err(error) => self.fail(error),
            }
        }
    }

    /// Opens more of what was sealed, or notices that no more can be. True where that changed something.
    #[cold]
    #[inline(never)]
    fn open_more(&mut self) -> bool {
        let Some(secure) = &mut self.secure else { return false };
        if self.state.ending().is_some() {
            return false;
        }
        if secure.is_over() {
            self.received_end();
            return true;
        }
        if !secure.has_unopened() {
            return false;
        }
        let opened = secure.open(self.input.space(self.want));
        let is_over = secure.is_over();
        self.input.filled(opened);
        opened > 0 || is_over
    }

    #[inline]
    fn read_header(&mut self) -> Result<ControlFlow<Step>, PeerError> {
        let bytes = self.input.bytes();
        let Some((header, size)) = Header::decode(bytes)? else {
            self.want = MAX_HEADER;
            return Ok(Break(Step::Read));
        };
        // 5.1: "a client MUST mask all frames"; "a server MUST NOT mask any frames"
        match (self.role, header.mask) {
            (Role::Client, Some(_)) => return Err(PeerError::Masked),
            (Role::Server, None) => return Err(PeerError::NotMasked),
            _ => {}
        }
        // 5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values"
        if header.rsv != 0 {
            self.judge_reserved(&header)?;
        }
        if header.opcode.is_control() {
            return self.read_control(&header, size);
        }
        trace::frame("received", header.opcode, header.fin, header.length);
        let kind = self.assembler.order(&header)?;
        if header.rsv != 0 || self.inflating {
            return self.begin_deflated(kind, &header, size);
        }
        if self.in_parts || (self.wants_parts && !self.assembler.in_progress()) {
            return Ok(self.begin_part(kind, &header, size));
        }
        self.assembler.admit(&header, &self.config)?;
        let Ok(length) = usize::try_from(header.length) else {
            return Err(PeerError::FrameTooBig { length: header.length, limit: usize::MAX as u64 });
        };
        let waiting = bytes.len() - size;
        self.input.consume(size);
        if header.fin && !self.assembler.in_progress() {
            if waiting >= length {
                return self.read_at_once(kind, header.mask, length);
            }
            self.reading = if length > DESTINATION_ABOVE {
                Reading::Outside { kind, mask: header.mask, length, filled: 0, ready: 0 }
            } else {
                Reading::Whole { kind, mask: header.mask, length, seen: 0 }
            };
        } else {
            self.assembler.begin(kind, &header);
            self.reading =
                Reading::Fragment { kind, mask: header.mask, fin: header.fin, length, left: length };
        }
        Ok(Continue(()))
    }

    /// An unfragmented message that waits as a whole behind its header: no state is kept for it.
    #[inline]
    fn read_at_once(
        &mut self,
        kind: Kind,
        mask: Option<[u8; 4]>,
        length: usize,
    ) -> Result<ControlFlow<Step>, PeerError> {
        if let Some(key) = mask {
            mask::apply(self.input.bytes_mut(0..length), key);
        }
        let Range { start, end } = self.input.consume(length);
        trace::payload(self.config.trace_payloads, "received", 0, || self.input.slice(start..end));
        if kind == Kind::Text && !utf8::is_valid(self.input.slice(start..end)) {
            return Err(PeerError::NotUtf8);
        }
        Ok(Break(Step::Message(Incoming::in_input(kind, start, end))))
    }

    #[cold]
    #[inline(never)]
    fn read_whole(
        &mut self,
        kind: Kind,
        mask: Option<[u8; 4]>,
        length: usize,
        seen: usize,
    ) -> Result<ControlFlow<Step>, PeerError> {
        let have = self.input.len().min(length);
        self.arrived(kind, mask, seen as u64, seen..have)?;
        if have < length {
            self.reading = Reading::Whole { kind, mask, length, seen: have };
            self.want = length;
            return Ok(Break(Step::Read));
        }
        self.reading = Reading::Header;
        self.text.finish().map_err(|_| PeerError::NotUtf8)?;
        let Range { start, end } = self.input.consume(length);
        Ok(Break(Step::Message(Incoming::in_input(kind, start, end))))
    }

    #[cold]
    #[inline(never)]
    fn read_fragment(
        &mut self,
        kind: Kind,
        mask: Option<[u8; 4]>,
        fin: bool,
        length: usize,
        left: usize,
    ) -> Result<ControlFlow<Step>, PeerError> {
        let n = self.input.len().min(left);
        self.arrived(kind, mask, (length - left) as u64, 0..n)?;
        let range = self.input.consume(n);
        self.assembler.push(self.input.slice(range));
        if n < left {
            self.reading = Reading::Fragment { kind, mask, fin, length, left: left - n };
            self.want = 1;
            return Ok(Break(Step::Read));
        }
        self.reading = Reading::Header;
        if !fin {
            return Ok(Continue(()));
        }
        self.text.finish().map_err(|_| PeerError::NotUtf8)?;
        self.assembler.finish();
        Ok(Break(Step::Message(Incoming { kind, place: Place::Assembled })))
    }

    #[cold]
    #[inline(never)]
    fn read_outside(
        &mut self,
        kind: Kind,
        mask: Option<[u8; 4]>,
        length: usize,
        filled: usize,
        ready: usize,
    ) -> Result<ControlFlow<Step>, PeerError> {
        if filled == length {
            self.reading = Reading::Header;
            self.text.finish().map_err(|_| PeerError::NotUtf8)?;
            // Large messages rarely come alone, and what is read of the next one before its header is known is copied
            // later. So the next read is a short one; it costs less than the copy.
            if self.input.is_empty() {
                self.input.shrink();
            }
            return Ok(Break(Step::Message(Incoming { kind, place: Place::Outside })));
        }
        let have = self.input.len().min(length - filled);
        self.arrived(kind, mask, (filled + ready) as u64, ready..have)?;
        self.reading = Reading::Outside { kind, mask, length, filled, ready: have };
        self.want = 1;
        if have == 0 && !self.reads_direct() {
            return Ok(Break(Step::Read));
        }
        Ok(Break(Step::Into { kind, len: length }))
    }

    /// RFC 7692 6: RSV1 marks the first frame of a compressed message, where that was agreed on; it must not stand on any other.
    #[cold]
    fn judge_reserved(&self, header: &Header) -> Result<(), PeerError> {
        match header.opcode {
            _ if self.deflate.is_none() || header.rsv != 4 => Err(PeerError::ReservedBits(header.rsv)),
            OpCode::Text | OpCode::Binary => Ok(()),
            _ => Err(PeerError::CompressedInside),
        }
    }

    /// A frame of a compressed message.
    #[cold]
    #[inline(never)]
    fn begin_deflated(
        &mut self,
        kind: Kind,
        header: &Header,
        size: usize,
    ) -> Result<ControlFlow<Step>, PeerError> {
        if self.in_parts || (self.wants_parts && !self.assembler.in_progress()) {
            self.in_parts = true;
            self.assembler.begin_part(kind);
        } else {
            self.assembler.admit_compressed(header, &self.config)?;
            self.assembler.begin(kind, header);
        }
        self.inflating = true;
        self.input.consume(size);
        let &Header { mask, fin, length, .. } = header;
        let left = length;
        self.reading =
            Reading::Deflated(Compressed { kind, mask, fin, length, left, ready: 0, drained: true });
        Ok(Continue(()))
    }

    #[cold]
    #[inline(never)]
    fn read_deflated(&mut self, mut frame: Compressed) -> Result<ControlFlow<Step>, PeerError> {
        self.arrived_deflated(&mut frame);
        let deflate = self.deflate.as_mut().expect("what is compressed was agreed on");
        let check = checking(frame.kind, &mut self.text);
        let range = self.input.consume(frame.ready);
        deflate.inflate(self.input.slice(range), frame.length, self.config.max_message, check)?;
        frame.left -= frame.ready as u64;
        frame.ready = 0;
        if frame.left > 0 {
            self.reading = Reading::Deflated(frame);
            self.want = 1;
            return Ok(Break(Step::Read));
        }
        self.reading = Reading::Header;
        if !frame.fin {
            return Ok(Continue(()));
        }
        self.finish_deflated()?;
        trace::payload(self.config.trace_payloads, "received", 0, || self.payload(Place::Assembled));
        Ok(Break(Step::Message(Incoming { kind: frame.kind, place: Place::Assembled })))
    }

    /// The same of a message that is taken in parts.
    #[cold]
    #[inline(never)]
    fn read_deflated_part(&mut self, mut frame: Compressed) -> Result<ControlFlow<Step>, PeerError> {
        self.arrived_deflated(&mut frame);
        if frame.ready == 0 && frame.left > 0 && frame.drained {
            self.reading = Reading::Deflated(frame);
            self.want = 1;
            return Ok(Break(Step::Read));
        }
        let deflate = self.deflate.as_mut().expect("what is compressed was agreed on");
        let check = checking(frame.kind, &mut self.text);
        let (used, drained) = deflate.inflate_part(&self.input.bytes()[..frame.ready], check)?;
        trace::payload(self.config.trace_payloads, "received", 0, || deflate.bytes());
        let is_empty = deflate.bytes().is_empty();
        self.input.consume(used);
        frame.left -= used as u64;
        frame.ready -= used;
        frame.drained = drained;
        let is_over = frame.left == 0 && drained;
        self.reading = if is_over { Reading::Header } else { Reading::Deflated(frame) };
        let last = is_over && frame.fin;
        if last {
            self.finish_deflated()?;
            self.in_parts = false;
        } else if is_empty {
            return Ok(Continue(()));
        }
        Ok(Break(Step::Part { kind: frame.kind, place: Place::Assembled, last }))
    }

    /// Unmasks what has arrived of the frame.
    fn arrived_deflated(&mut self, frame: &mut Compressed) {
        let ready = usize::try_from(frame.left).map_or(self.input.len(), |left| left.min(self.input.len()));
        if let Some(key) = frame.mask {
            // Only the place within the key matters.
            let offset = usize::try_from((frame.length - frame.left) % 4).expect("less than four");
            mask::apply(self.input.bytes_mut(frame.ready..ready), mask::rotate(key, offset + frame.ready));
        }
        frame.ready = ready;
    }

    /// A compressed message is at its end.
    fn finish_deflated(&mut self) -> Result<(), PeerError> {
        if let Some(deflate) = &mut self.deflate {
            deflate.finish()?;
        }
        self.text.finish().map_err(|_| PeerError::NotUtf8)?;
        self.assembler.finish();
        self.inflating = false;
        Ok(())
    }

    /// A frame of a message that is taken in parts.
    #[cold]
    fn begin_part(&mut self, kind: Kind, header: &Header, size: usize) -> ControlFlow<Step> {
        let &Header { mask, fin, length, .. } = header;
        self.input.consume(size);
        self.in_parts = true;
        self.assembler.begin_part(kind);
        self.reading = Reading::Part { kind, mask, fin, length, left: length };
        Continue(())
    }

    #[cold]
    #[inline(never)]
    fn read_part(
        &mut self,
        kind: Kind,
        mask: Option<[u8; 4]>,
        fin: bool,
        length: u64,
        left: u64,
    ) -> Result<ControlFlow<Step>, PeerError> {
        let n = usize::try_from(left).map_or(self.input.len(), |left| left.min(self.input.len()));
        if n == 0 && left > 0 {
            self.want = 1;
            return Ok(Break(Step::Read));
        }
        self.arrived(kind, mask, length - left, 0..n)?;
        let Range { start, end } = self.input.consume(n);
        let left = left - n as u64;
        if left > 0 {
            self.reading = Reading::Part { kind, mask, fin, length, left };
        } else {
            self.reading = Reading::Header;
        }
        let last = fin && left == 0;
        if last {
            self.text.finish().map_err(|_| PeerError::NotUtf8)?;
            self.assembler.finish();
            self.in_parts = false;
        } else if n == 0 {
            // An empty fragment says nothing that is worth a step.
            return Ok(Continue(()));
        }
        Ok(Break(Step::Part { kind, place: Place::in_input(start, end), last }))
    }

    /// The waiting bytes of `range` are the next ones of a payload, `offset` bytes into it: unmasks them and checks
    /// text, so that the first wrong byte fails the connection (RFC 6455 8.1), not the last.
    fn arrived(
        &mut self,
        kind: Kind,
        mask: Option<[u8; 4]>,
        offset: u64,
        range: Range<usize>,
    ) -> Result<(), PeerError> {
        let bytes = self.input.bytes_mut(range);
        if let Some(key) = mask {
            // Only the place within the key matters.
            let place = usize::try_from(offset % 4).expect("less than four");
            mask::apply(bytes, mask::rotate(key, place));
        }
        trace::payload(self.config.trace_payloads, "received", offset, || &*bytes);
        if kind == Kind::Text {
            self.text.push(bytes).map_err(|_| PeerError::NotUtf8)?;
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn read_control(&mut self, header: &Header, size: usize) -> Result<ControlFlow<Step>, PeerError> {
        let length = usize::try_from(header.length).expect("a control frame has at most 125 bytes");
        if self.input.len() < size + length {
            self.want = size + length;
            return Ok(Break(Step::Read));
        }
        trace::frame("received", header.opcode, header.fin, header.length);
        self.input.consume(size);
        if let Some(key) = header.mask {
            mask::apply(self.input.bytes_mut(0..length), key);
        }
        let range = self.input.consume(length);
        let payload = self.input.slice(range.clone());
        trace::control(self.config.trace_payloads, "received", || payload);
        match header.opcode {
            // 5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it already
            // received a Close frame." After our own Close frame too: a peer that is slow to read it wants to know that
            // we live.
            OpCode::Ping => {
                let ping = Control::new(payload);
                self.answer(ping);
            }
            OpCode::Pong => {
                if let Ok(id) = <[u8; 8]>::try_from(payload) {
                    self.deadlines.pong(u64::from_be_bytes(id));
                }
            }
            OpCode::Close => {
                let frame = CloseFrame::decode(payload)?;
                self.recv_close(frame);
            }
            OpCode::Continuation | OpCode::Text | OpCode::Binary => {
                unreachable!("a data frame is no control frame")
            }
        }
        if self.config.control_events && header.opcode != OpCode::Close {
            let place = Place::in_input(range.start, range.end);
            return Ok(Break(Step::Control { opcode: header.opcode, place }));
        }
        Ok(Continue(()))
    }

    fn recv_close(&mut self, frame: CloseFrame) {
        let code = frame.code;
        self.reading = Reading::Nothing;
        if self.state.recv_close(frame) == Reply::Echo {
            // 5.5.1: "the endpoint typically echos the status code it received"; the reason is the peer's own.
            self.say_close(code);
        }
        self.deadlines.closing(self.config.close_timeout);
        // A server whose Close frame left long ago has nothing more to write.
        if !self.wants_write() {
            self.state.all_written();
        }
    }

    /// Queues a Close frame with this code, which was received or is that of a failure.
    fn say_close(&mut self, code: CloseCode) {
        // Not `expect`: that would be the only place of most programs that wants the error's `Debug`.
        match CloseFrame::encode(code, "") {
            Ok(payload) => self.close = Some(Box::new(Control::new(&payload))),
            Err(error) => unreachable!("codes that were received and those of failures may be sent: {error}"),
        }
    }

    /// The peer broke a rule: tells it so, once, and reads no more (RFC 6455 7.1.7).
    #[cold]
    #[inline(never)]
    pub(super) fn fail(&mut self, error: PeerError) {
        let code = error.close_code();
        self.reading = Reading::Nothing;
        if self.state.fail(error) {
            self.say_close(code);
        }
        self.deadlines.closing(self.config.close_timeout);
    }

    #[cold]
    #[inline(never)]
    fn discard(&mut self) -> Step {
        // What was collected of a message that will never end is of no use to anybody.
        self.assembler = Assembler::default();
        self.in_parts = false;
        self.inflating = false;
        if let Some(deflate) = &mut self.deflate {
            deflate.end_input();
        }
        self.input.consume(self.input.len());
        self.input.settle();
        self.want = 1;
        if self.state.ending().is_some() { Step::End } else { Step::Read }
    }
}

/// The check of what was inflated, so that the first wrong byte fails the connection.
fn checking(kind: Kind, text: &mut utf8::Incremental) -> impl FnMut(&[u8]) -> Result<(), PeerError> {
    move |chunk| match kind {
        Kind::Text => text.push(chunk).map_err(|_| PeerError::NotUtf8),
        Kind::Binary => Ok(()),
    }
}
