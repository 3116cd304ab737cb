//! What waits to be written: frames in a row, whole large payloads between them, one cursor.
//!
//! Small frames are written into one pooled buffer, so that a batch leaves in one system call. A large payload that is
//! ours keeps its memory, masked where it lies, and leaves beside the buffered frames in a vectored write; one that is
//! only lent is copied into as many pooled buffers as it takes. A partial write advances a cursor and moves nothing;
//! what waits moves only when a buffer has no room behind it for another frame.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::buffer::{Buffer, LARGEST};
use super::copy::copy;
use super::frame::{Header, MAX_HEADER, OpCode};
use super::mask;
use crate::trace;

/// Owned payloads above this size are not copied. Other sizes were not tried.
const OWN_MEMORY: usize = 32 << 10;

/// A payload on its way out, borrowed or owned: an owned one may be masked in place.
#[derive(Debug)]
pub enum Payload<'a> {
    /// Copied and masked in one pass.
    Borrowed(&'a [u8]),
    /// Masked in place where it is large and nobody else holds it.
    Shared(Bytes),
    /// Masked in place where it is large.
    Owned(Vec<u8>),
}

impl Payload<'_> {
    /// The payload, owned; borrowed bytes are copied.
    fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Shared(bytes) => bytes,
            Self::Owned(bytes) => bytes.into(),
        }
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// Frames that wait to be written.
#[derive(Debug, Default)]
pub struct Output {
    /// Before `tail`, in order. Empty but for large payloads.
    segments: VecDeque<Segment>,
    tail: Buffer,
    /// After `tail`: messages that leave in fragments, cut and masked one fragment at a time, so that a pong or a ping waits
    /// for no more than one. Boxed: few connections ever have one.
    #[expect(clippy::box_collection, reason = "an idle connection is counted in bytes")]
    uncut: Option<Box<VecDeque<Uncut>>>,
    /// Bytes in `segments` that wait, and those of the frames that `uncut` will be.
    queued: usize,
    /// Bytes of control frames that were ever queued before what waited in `uncut`.
    pub(super) jumped: u64,
}

/// What is left of a message, or of a part of one, that leaves in fragments.
#[derive(Debug)]
struct Uncut {
    /// Of the next fragment; those after it continue.
    opcode: OpCode,
    /// Of the next fragment; those after it have none.
    rsv: u8,
    /// Whether the last fragment ends the message.
    fin: bool,
    payload: Bytes,
    /// Bytes of the frames that it will be.
    frames: usize,
}

#[derive(Debug)]
enum Segment {
    Frames(Buffer),
    Memory(Bytes),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frames(buffer) => buffer.bytes(),
            Self::Memory(bytes) => bytes,
        }
    }
}

impl Output {
    /// Bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.queued + self.tail.len()
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.uncut.is_none()
    }

    /// Queues one frame, masked with `mask` if there is one. Inlined, and so is what it calls: whoever sends compiles the copy.
    #[inline]
    pub(super) fn push(
        &mut self,
        opcode: OpCode,
        rsv: u8,
        fin: bool,
        mask: Option<[u8; 4]>,
        payload: Payload<'_>,
    ) {
        if Self::copies(payload.bytes()) {
            self.push_copy(opcode, rsv, fin, mask, payload.bytes());
        } else {
            self.push_large(opcode, rsv, fin, mask, payload);
        }
    }

    /// Whether such a payload is copied, whoever owns it: then [`push_copy`](Self::push_copy) does.
    #[inline]
    pub(super) fn copies(payload: &[u8]) -> bool {
        payload.len() <= OWN_MEMORY
    }

    /// Queues a message, or a part of one, to be cut later; see [`cut`](Self::cut).
    pub(super) fn push_uncut(
        &mut self,
        opcode: OpCode,
        rsv: u8,
        fin: bool,
        payload: Payload<'_>,
        size: usize,
        masked: bool,
    ) {
        let payload = payload.into_bytes();
        let (whole, rest) = (payload.len() / size, payload.len() % size);
        let mut frames = whole * Header::frame_size(size, masked);
        if rest > 0 || whole == 0 {
            frames += Header::frame_size(rest, masked);
        }
        self.queued += frames;
        self.uncut.get_or_insert_default().push_back(Uncut { opcode, rsv, fin, payload, frames });
    }

    /// Bytes that wait as frames: all but those of messages that wait to be cut.
    pub(super) fn encoded(&self) -> usize {
        self.len() - self.uncut.iter().flat_map(|uncut| uncut.iter()).map(|uncut| uncut.frames).sum::<usize>()
    }

    /// Whether messages wait to be cut.
    #[inline]
    pub(super) fn has_uncut(&self) -> bool {
        self.uncut.is_some()
    }

    /// Where nothing else waits: makes a frame of the next `size` bytes, at most, of what waits to be cut. Its key is
    /// drawn here, when its bytes are final.
    #[cold]
    pub(super) fn cut(&mut self, size: usize, key: impl FnOnce() -> Option<[u8; 4]>) {
        if !self.segments.is_empty() || !self.tail.is_empty() {
            return;
        }
        let Some(uncut) = &mut self.uncut else { return };
        let Some(next) = uncut.front_mut() else { return };
        let fragment = next.payload.split_to(size.min(next.payload.len()));
        let is_last = next.payload.is_empty();
        let (opcode, rsv, fin) = (next.opcode, next.rsv, next.fin && is_last);
        (next.opcode, next.rsv) = (OpCode::Continuation, 0);
        let key = key();
        let frame = Header::frame_size(fragment.len(), key.is_some());
        self.queued -= frame;
        next.frames -= frame;
        if is_last {
            uncut.pop_front();
            if uncut.is_empty() {
                self.uncut = None;
            }
        }
        // Copied while it is masked: other fragments share its memory.
        self.push_fragment(opcode, rsv, fin, key, &fragment);
    }

    /// Queues one frame of a payload that is copied.
    #[inline(always)]
    pub(super) fn push_copy(
        &mut self,
        opcode: OpCode,
        rsv: u8,
        fin: bool,
        mask: Option<[u8; 4]>,
        payload: &[u8],
    ) {
        trace::frame("sent", opcode, fin, payload.len() as u64);
        let header = Header { fin, rsv, opcode, mask, length: payload.len() as u64 };
        let most = MAX_HEADER + payload.len();
        if !self.tail.has_room(most) && self.tail.len() + most > LARGEST {
            self.seal();
        }
        let room = self.tail.room(most);
        let (head, _) = room.split_first_chunk_mut().expect("room for the longest header");
        let size = header.encode(head);
        let body = &mut room[size..size + payload.len()];
        match header.mask {
            Some(key) => mask::copy_masked(body, payload, key),
            None => copy(body, payload),
        }
        self.tail.filled(size + payload.len());
    }

    #[cold]
    #[inline]
    fn push_large(
        &mut self,
        opcode: OpCode,
        rsv: u8,
        fin: bool,
        mask: Option<[u8; 4]>,
        payload: Payload<'_>,
    ) {
        trace::frame("sent", opcode, fin, payload.bytes().len() as u64);
        let header = Header { fin, rsv, opcode, mask, length: payload.bytes().len() as u64 };
        let mut head = [0; MAX_HEADER];
        let size = header.encode(&mut head);
        self.tail.append(&head[..size]);
        let memory = match (header.mask, payload) {
            (None, Payload::Shared(bytes)) => bytes,
            (None, Payload::Owned(bytes)) => bytes.into(),
            (Some(key), Payload::Owned(mut bytes)) => {
                mask::apply(&mut bytes, key);
                bytes.into()
            }
            (Some(key), Payload::Shared(bytes)) => match bytes.try_into_mut() {
                Ok(mut bytes) => {
                    mask::apply(&mut bytes, key);
                    bytes.freeze()
                }
                Err(shared) => return self.copy_large(header.mask, &shared),
            },
            (_, Payload::Borrowed(bytes)) => return self.copy_large(header.mask, bytes),
        };
        self.seal();
        self.queued += memory.len();
        self.segments.push_back(Segment::Memory(memory));
    }

    /// A large payload that is not ours to keep, copied into as many pooled buffers as it takes. Memory of its own would have to
    /// be zeroed or mapped first: a borrowed echo of 1 MiB took four times the processor time.
    #[inline]
    fn copy_large(&mut self, mask: Option<[u8; 4]>, payload: &[u8]) {
        let mut copied = 0;
        while copied < payload.len() {
            if self.tail.len() >= LARGEST {
                self.seal();
            }
            let n = (LARGEST - self.tail.len()).min(payload.len() - copied);
            let (to, from) = (self.tail.room(n), &payload[copied..copied + n]);
            match mask {
                Some(key) => mask::copy_masked(to, from, mask::rotate(key, copied)),
                None => copy(to, from),
            }
            self.tail.filled(n);
            copied += n;
        }
    }

    /// Apart from the hot way of whole messages, so that it stays one small function.
    #[inline(never)]
    fn push_fragment(&mut self, opcode: OpCode, rsv: u8, fin: bool, mask: Option<[u8; 4]>, fragment: &[u8]) {
        self.push(opcode, rsv, fin, mask, Payload::Borrowed(fragment));
    }

    /// Room for `n` more bytes that are no frame of ours; say with [`filled`](Self::filled) how many were used.
    pub(super) fn room(&mut self, n: usize) -> &mut [u8] {
        self.tail.room(n)
    }

    /// The first `n` bytes of the last [`room`](Self::room) wait too.
    pub(super) fn filled(&mut self, n: usize) {
        self.tail.filled(n);
    }

    /// Queues bytes that are no frame of ours.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.tail.append(bytes);
    }

    /// Moves the buffered frames into the queue, so that something may follow them.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.queued += self.tail.len();
            self.segments.push_back(Segment::Frames(self.tail.detach()));
        }
    }

    /// The first waiting bytes in a row; empty when nothing waits.
    #[inline(always)]
    pub fn front(&self) -> &[u8] {
        match self.segments.front() {
            None => self.tail.bytes(),
            Some(segment) => segment.bytes(),
        }
    }

    /// Fills `slices` with what waits, in order, for a vectored write; returns how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let waiting = self.segments.iter().map(Segment::bytes).chain([self.tail.bytes()]);
        let mut filled = 0;
        for (slot, bytes) in slices.iter_mut().zip(waiting.filter(|bytes| !bytes.is_empty())) {
            *slot = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    /// Whether one slice holds everything.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.segments.is_empty()
    }

    /// Takes the memory of a read buffer in which nothing waits for the next frames, where there is none here and that is enough. True
    /// where it did; [`give_back`](Self::give_back) undoes it.
    #[inline]
    pub(super) fn borrow(&mut self, input: &mut Buffer) -> bool {
        self.tail.is_bare() && input.hand_on(&mut self.tail)
    }

    /// Gives the memory that was borrowed back where nothing waits in it, as it is after [`advance`](Self::advance).
    #[inline]
    pub(super) fn give_back(&mut self, input: &mut Buffer) {
        if !(input.is_bare() && self.tail.hand_on(input)) {
            self.tail.settle();
        }
    }

    /// `n` bytes, counted from the first waiting one, were written.
    #[inline]
    pub fn written(&mut self, n: usize) {
        self.advance(n);
        self.tail.settle();
    }

    /// The same, and the memory of the frames stays.
    #[inline]
    pub(super) fn advance(&mut self, mut n: usize) {
        debug_assert!(n <= self.len(), "no more is written than waits");
        if !self.segments.is_empty() {
            n = self.written_segments(n);
        }
        self.tail.consume(n);
    }

    #[cold]
    fn written_segments(&mut self, mut n: usize) -> usize {
        while let Some(front) = self.segments.front_mut() {
            let step = n.min(front.bytes().len());
            self.queued -= step;
            n -= step;
            match front {
                Segment::Frames(buffer) => {
                    buffer.consume(step);
                    buffer.settle();
                }
                Segment::Memory(bytes) => bytes::Buf::advance(bytes, step),
            }
            if !front.bytes().is_empty() {
                return 0;
            }
            self.segments.pop_front();
        }
        // An idle connection keeps no queue either.
        self.segments = VecDeque::new();
        n
    }
}
