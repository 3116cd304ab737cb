//! permessage-deflate (RFC 7692 7.2) on one connection: inflating what arrives, piece by piece and never beyond the limit, and
//! deflating what leaves.
//!
//! What each direction keeps between two messages is what its context needs. The peer's context is an inflater with its window,
//! 46 KiB. Ours is smaller: a compressor of zlib-rs has 273 KiB, so a connection does not keep one. After each message the
//! compressor goes back to its thread, which has a few. If it is still as this connection left it when the next message comes,
//! it simply goes on; if another connection used it meanwhile, it begins anew with the end of what was sent as its dictionary.
//! (JSON messages of 169 bytes at level 1: 36 % of their size where the compressor goes on, 41 % by a dictionary of 256 bytes,
//! 90 % with neither, `make bench-deflate`. One of 1 KiB would give 38 %, and bring an idle connection over 48 KiB.)
//!
//! Inflating always uses the largest window: it understands every smaller one too, and the inflater of zlib-rs has
//! memory for the largest in any case.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use zlib_rs::{DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

use super::Role;
use super::buffer::{LARGEST, SMALLEST, give, take};
use super::error::PeerError;
use super::output::Payload;
use crate::deflate::{Agreed, LARGEST_WINDOW};

/// What a sender takes off the end of each message, and a receiver puts there again (RFC 7692 7.2.1, 7.2.2).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The most of the sent text that is kept for the next message.
const HISTORY: usize = 256;

/// Compressors, and inflaters, that a thread keeps: enough for the connections that send at the same time, and with the default
/// options 1,093 and 186 KiB.
const KEPT: usize = 4;

/// The most that is inflated for one part of a message that is taken in parts.
const PART: usize = 16 << 10;

/// The largest piece of memory that an inflated message grows by.
const LARGEST_PIECE: usize = 1 << 20;

thread_local! {
    static INFLATERS: RefCell<Vec<Inflate>> = const { RefCell::new(Vec::new()) };
    /// The one that was used last at the end.
    static COMPRESSORS: RefCell<Vec<Compressor>> = const { RefCell::new(Vec::new()) };
}

/// Both directions of a connection that agreed on compression.
#[derive(Debug)]
pub(super) struct PerMessageDeflate {
    agreed: Agreed,
    inflater: Inflater,
    deflater: Deflater,
}

impl PerMessageDeflate {
    pub(super) fn new(role: Role, agreed: &Agreed) -> Box<Self> {
        let options = &agreed.options;
        let client = Side {
            takeover: !agreed.client_no_context_takeover && !options.client_no_context_takeover,
            window_bits: agreed
                .client_max_window_bits()
                .min(options.client_max_window_bits.unwrap_or(LARGEST_WINDOW)),
        };
        let server = Side {
            takeover: !agreed.server_no_context_takeover,
            window_bits: agreed.server_max_window_bits(),
        };
        // A client's promises are for its own compressor; a server hears of them in the answer that it gave itself.
        let (ours, keeps_context) = match role {
            Role::Client => (client, server.takeover),
            Role::Server => (server, !agreed.client_no_context_takeover),
        };
        Box::new(Self {
            agreed: *agreed,
            inflater: Inflater {
                keeps_context,
                stream: None,
                at_boundary: true,
                output: Inflated::default(),
            },
            deflater: Deflater {
                settings: Settings {
                    level: options.level,
                    memory_level: options.memory_level,
                    window_bits: ours.window_bits,
                },
                takeover: ours.takeover,
                threshold: options.threshold,
                history: Vec::new(),
                id: 0,
                messages: 0,
                begun: None,
            },
        })
    }

    pub(super) fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    // ---- in

    /// Inflates all of `input`, the next bytes of a compressed message whose frame has `wire` bytes, and hands what comes of it to
    /// `check`, chunk by chunk. The message may have `most` bytes in all.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        wire: u64,
        most: u64,
        check: impl FnMut(&[u8]) -> Result<(), PeerError>,
    ) -> Result<(), PeerError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let guess = usize::try_from(wire.saturating_mul(4)).unwrap_or(usize::MAX);
        let room = Room::Message { most, guess };
        self.inflater.run(input, room, check).map(|_| ())
    }

    /// The same for a message that is taken in parts: inflates until a part is full or `input` is at its end. Returns the bytes
    /// of `input` that were used, and whether all that they make is in the part.
    pub(super) fn inflate_part(
        &mut self,
        input: &[u8],
        check: impl FnMut(&[u8]) -> Result<(), PeerError>,
    ) -> Result<(usize, bool), PeerError> {
        self.inflater.run(input, Room::Part, check)
    }

    /// The message is at its end.
    pub(super) fn finish(&mut self) -> Result<(), PeerError> {
        self.inflater.finish()
    }

    /// Whether there are inflated bytes, or memory for some.
    #[inline]
    pub(super) fn has_memory(&self) -> bool {
        !self.inflater.output.first.is_empty()
    }

    /// The inflated bytes: of a whole message, or of a part.
    pub(super) fn bytes(&self) -> &[u8] {
        self.inflater.output.bytes()
    }

    /// Takes them, in memory of their own.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.inflater.output.take()
    }

    /// Gives the memory of the inflated bytes back.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.inflater.output.clear();
    }

    /// Nothing will arrive any more.
    pub(super) fn end_input(&mut self) {
        self.clear();
        self.inflater.stream = None;
    }

    // ---- out

    /// A whole message, compressed; `None` where it is to leave as it is: it is short, it would not get smaller, or the peer
    /// has a window that no compressor of ours has.
    pub(super) fn deflate(&mut self, payload: &[u8]) -> Option<Deflated> {
        self.deflater.message(payload)
    }

    /// A part of a message, compressed and flushed. `None` for those of a message that was begun plain, and to begin one so.
    pub(super) fn deflate_part(
        &mut self,
        payload: &[u8],
        first: bool,
        last: bool,
        plain: bool,
    ) -> Option<Deflated> {
        self.deflater.part(payload, first, last, plain)
    }
}

/// What was agreed of one end's compressor.
struct Side {
    takeover: bool,
    window_bits: u8,
}

// ---- in

struct Inflater {
    /// Whether the peer refers to earlier messages.
    keeps_context: bool,
    stream: Option<Inflate>,
    /// The stream is between two messages, or two streams of one message: nothing of the next block was seen.
    at_boundary: bool,
    output: Inflated,
}

/// How much may come out.
#[derive(Clone, Copy)]
enum Room {
    /// A message of `most` bytes, probably of `guess`.
    Message {
        most: usize,
        guess: usize,
    },
    Part,
}

impl Inflater {
    fn run(
        &mut self,
        input: &[u8],
        room: Room,
        mut check: impl FnMut(&[u8]) -> Result<(), PeerError>,
    ) -> Result<(usize, bool), PeerError> {
        let stream = self.stream.get_or_insert_with(inflater);
        let mut used = 0;
        loop {
            // One byte more than may be: it never stays, but tells that there is one.
            let mut beyond = [0];
            let (space, limit) = match room {
                Room::Part if self.output.len == PART => return Ok((used, false)),
                Room::Part => (self.output.space(PART, PART), None),
                Room::Message { most, .. } if self.output.len >= most => (&mut beyond[..], Some(most)),
                Room::Message { most, guess } => (self.output.space(most, guess), None),
            };
            let (read, written) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(&input[used..], space, InflateFlush::NoFlush);
            let (read, written) = (count(stream.total_in() - read), count(stream.total_out() - written));
            used += read;
            if written > 0 {
                if let Some(most) = limit {
                    let most = most as u64;
                    return Err(PeerError::MessageTooBig { length: most + 1, limit: most });
                }
                check(&space[..written])?;
            }
            // What came out before the data went wrong is judged first, so that the verdict does not depend on how the bytes
            // arrived.
            let status = status.map_err(|_| PeerError::NotDeflate)?;
            let is_full = limit.is_none() && written == space.len();
            if limit.is_none() {
                self.output.filled(written);
            }
            if read > 0 {
                self.at_boundary = false;
            }
            // A block with BFINAL set ends a stream, not the message (RFC 7692 7.2.3.4): another one begins.
            if status == Status::StreamEnd {
                stream.reset(false);
                self.at_boundary = true;
            } else if !is_full && (used == input.len() || read + written == 0) {
                return Ok((used, true));
            }
        }
    }

    /// 7.2.2: the message ends with what its sender took off. After that the stream is at the beginning of a block, and nothing more has
    /// come out, or the message was not complete.
    fn finish(&mut self) -> Result<(), PeerError> {
        let stream = self.stream.get_or_insert_with(inflater);
        // An empty payload, and one that ends with a stream's end: senders exist that leave nothing for the tail to complete.
        if !self.at_boundary {
            let (read, written) = (stream.total_in(), stream.total_out());
            // With this flush the inflater stops before the next block, so that a byte behind the tail is not touched.
            let input = [0, 0, 0xff, 0xff, 0];
            let finished = stream.decompress(&input, &mut [0], InflateFlush::Block);
            let (read, written) = (count(stream.total_in() - read), count(stream.total_out() - written));
            if finished.is_err() || read != TAIL.len() || written != 0 {
                return Err(PeerError::NotDeflate);
            }
            self.at_boundary = true;
        }
        if !self.keeps_context
            && let Some(stream) = self.stream.take()
        {
            _ = INFLATERS.try_with(|kept| {
                let mut kept = kept.borrow_mut();
                if kept.len() < KEPT {
                    kept.push(stream);
                }
            });
        }
        self.output.finish();
        Ok(())
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("keeps_context", &self.keeps_context)
            .field("output", &self.output.len)
            .finish_non_exhaustive()
    }
}

fn inflater() -> Inflate {
    match INFLATERS.try_with(|kept| kept.borrow_mut().pop()).ok().flatten() {
        Some(mut stream) => {
            stream.reset(false);
            stream
        }
        None => Inflate::new(false, LARGEST_WINDOW),
    }
}

/// A difference of two of zlib's totals, which is at most the length of a slice.
fn count(difference: u64) -> usize {
    usize::try_from(difference).expect("no more than a slice has")
}

/// What was inflated of a message. It grows piece by piece, since its size is not known before, so that no more memory is taken
/// than the limit, and none of it is copied before the message is whole.
#[derive(Default)]
struct Inflated {
    /// Pooled memory: most messages fit in it.
    first: Vec<u8>,
    more: Vec<Vec<u8>>,
    /// Bytes in the last piece.
    in_last: usize,
    len: usize,
}

impl Inflated {
    /// Room for the next bytes: never empty, and never so much that there are more than `most` in all.
    fn space(&mut self, most: usize, guess: usize) -> &mut [u8] {
        let missing = most - self.len;
        if self.first.is_empty() {
            // Rounded down, so that what is taken stays below `most` too.
            let size = guess.clamp(SMALLEST, LARGEST / 2).min(missing.max(SMALLEST));
            self.first = take(1 << size.ilog2());
            self.in_last = 0;
        } else if self.last().len() == self.in_last {
            self.more.push(vec![0; self.len.clamp(SMALLEST, LARGEST_PIECE).min(missing)]);
            self.in_last = 0;
        }
        let in_last = self.in_last;
        let piece = self.more.last_mut().unwrap_or(&mut self.first);
        let end = piece.len().min(in_last + missing);
        &mut piece[in_last..end]
    }

    fn last(&self) -> &[u8] {
        self.more.last().unwrap_or(&self.first)
    }

    fn filled(&mut self, n: usize) {
        self.in_last += n;
        self.len += n;
    }

    /// The message is whole: puts its bytes in a row.
    fn finish(&mut self) {
        if self.more.is_empty() {
            return;
        }
        let mut whole = Vec::with_capacity(self.len);
        whole.extend_from_slice(&self.first);
        give(std::mem::take(&mut self.first));
        for piece in std::mem::take(&mut self.more) {
            let n = piece.len().min(self.len - whole.len());
            whole.extend_from_slice(&piece[..n]);
        }
        self.first = whole;
    }

    fn bytes(&self) -> &[u8] {
        &self.first[..self.len]
    }

    fn take(&mut self) -> Vec<u8> {
        let bytes = if self.first.len() == self.len {
            std::mem::take(&mut self.first)
        } else {
            self.bytes().to_vec()
        };
        self.clear();
        bytes
    }

    #[inline]
    fn clear(&mut self) {
        if !self.first.is_empty() {
            give(std::mem::take(&mut self.first));
            self.more = Vec::new();
        }
        self.len = 0;
    }
}

// ---- out

/// Compressed bytes, in pooled memory.
pub(super) struct Deflated {
    memory: Vec<u8>,
    len: usize,
    /// Whether they begin a message.
    first: bool,
}

impl Deflated {
    /// RSV1 stands on the first frame of a compressed message and on no other (RFC 7692 6.1).
    pub(super) fn rsv(&self) -> u8 {
        if self.first { 4 } else { 0 }
    }

    /// The bytes: lent where they lie in pooled memory, or owned, where they are too many for that.
    pub(super) fn payload(&mut self) -> Payload<'_> {
        if self.memory.len() <= LARGEST {
            return Payload::Borrowed(&self.memory[..self.len]);
        }
        let mut memory = std::mem::take(&mut self.memory);
        memory.truncate(self.len);
        memory.shrink_to_fit();
        Payload::Owned(memory)
    }
}

impl Drop for Deflated {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.memory));
    }
}

struct Deflater {
    settings: Settings,
    /// Whether a message may refer to those before it.
    takeover: bool,
    threshold: usize,
    /// The end of what was sent compressed.
    history: Vec<u8>,
    /// Tells this connection from all others; drawn when it is first needed.
    id: u64,
    /// Messages that were compressed.
    messages: u64,
    /// The compressor of a message that is sent in parts. Boxed: an idle connection is counted in bytes.
    begun: Option<Box<Compressor>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    level: u8,
    memory_level: u8,
    window_bits: u8,
}

struct Compressor {
    stream: zlib_rs::Deflate,
    settings: Settings,
    /// The connection, and the number of its messages, whose context it has; (0, 0) is nobody's.
    context: (u64, u64),
}

impl Deflater {
    /// zlib has no window of 8 bits.
    fn can_compress(&self) -> bool {
        self.settings.window_bits > 8
    }

    fn message(&mut self, payload: &[u8]) -> Option<Deflated> {
        if payload.len() < self.threshold || !self.can_compress() {
            return None;
        }
        let mut compressor = self.compressor();
        let mut memory = take(most(payload.len()));
        let written = compressor.run(payload, &mut memory);
        let len = without_tail(&mut memory, written);
        if len >= payload.len() {
            // The peer will not see it, so the next message must not refer to it.
            compressor.context = (0, 0);
            compressor.give();
            give(memory);
            return None;
        }
        self.sent(payload);
        self.put_back(compressor);
        Some(Deflated { memory, len, first: true })
    }

    fn part(&mut self, payload: &[u8], first: bool, last: bool, plain: bool) -> Option<Deflated> {
        let mut compressor = match self.begun.take() {
            Some(compressor) => *compressor,
            None if first && !plain && self.can_compress() => self.compressor(),
            None => return None,
        };
        let mut memory = take(most(payload.len()));
        let mut written = compressor.run(payload, &mut memory);
        self.sent(payload);
        if last {
            written = without_tail(&mut memory, written);
            self.put_back(compressor);
        } else {
            self.begun = Some(Box::new(compressor));
        }
        Some(Deflated { memory, len: written, first })
    }

    /// A compressor with the context of this connection.
    fn compressor(&mut self) -> Compressor {
        if self.id == 0 {
            static NEXT: AtomicU64 = AtomicU64::new(1);
            self.id = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        let (context, settings) = ((self.id, self.messages), self.settings);
        let mut compressor = Compressor::take(settings, context);
        if compressor.context != context || !self.takeover {
            compressor.stream.reset();
            if !self.history.is_empty() {
                _ = compressor.stream.set_dictionary(&self.history);
            }
        }
        compressor
    }

    /// `payload` left compressed.
    fn sent(&mut self, payload: &[u8]) {
        if !self.takeover {
            return;
        }
        let end = &payload[payload.len().saturating_sub(HISTORY)..];
        let over = (self.history.len() + end.len()).saturating_sub(HISTORY);
        self.history.drain(..over);
        self.history.reserve_exact(HISTORY - self.history.len());
        self.history.extend_from_slice(end);
    }

    fn put_back(&mut self, mut compressor: Compressor) {
        self.messages += 1;
        compressor.context = (self.id, self.messages);
        compressor.give();
    }
}

/// The most that a payload of `n` bytes usually becomes: 9 bits each, with the fixed code of level 1, or blocks without
/// compression, and a few bytes of each block beside them.
fn most(n: usize) -> usize {
    n + n / 8 + n / 128 + 64
}

/// Takes the tail off the end of a message (RFC 7692 7.2.1).
fn without_tail(memory: &mut [u8], written: usize) -> usize {
    if let Some(rest) = memory[..written].strip_suffix(&TAIL) {
        return rest.len();
    }
    // Nothing came since the last flush. 7.2.3.6: the header of an empty block, of which the rest is the tail.
    debug_assert_eq!(written, 0, "what was flushed ends with the tail");
    memory[0] = 0;
    1
}

impl Compressor {
    /// The one with this context, or else a new one, or the one that was not used for the longest time.
    fn take(settings: Settings, context: (u64, u64)) -> Self {
        let kept = COMPRESSORS.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            let alike = |compressor: &Self| compressor.settings == settings;
            let same = kept.iter().rposition(|kept| kept.context == context && alike(kept));
            let unused = || kept.iter().position(|kept| kept.context == (0, 0) && alike(kept));
            let oldest = || if kept.len() < KEPT { None } else { kept.iter().position(alike) };
            let found = same.or_else(unused).or_else(oldest)?;
            Some(kept.remove(found))
        });
        kept.ok().flatten().unwrap_or_else(|| Self {
            stream: zlib_rs::Deflate::new_with_config(DeflateConfig {
                level: settings.level.into(),
                mem_level: settings.memory_level.into(),
                window_bits: -i32::from(settings.window_bits),
                ..DeflateConfig::default()
            }),
            settings,
            context: (0, 0),
        })
    }

    fn give(self) {
        _ = COMPRESSORS.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() == KEPT {
                kept.remove(0);
            }
            kept.push(self);
        });
    }

    /// Compresses and flushes the payload; returns how many bytes of `memory` that took. A stream is never left with output that had no
    /// room: zlib-rs 0.6.8 does not reset such a stream to a clean state.
    fn run(&mut self, payload: &[u8], memory: &mut Vec<u8>) -> usize {
        let stream = &mut self.stream;
        let (read_before, written_before) = (stream.total_in(), stream.total_out());
        let (mut read, mut written) = (0, 0);
        loop {
            // The settings are within their ranges, so there is nothing that can be wrong with the stream.
            _ = stream.compress(&payload[read..], &mut memory[written..], DeflateFlush::SyncFlush);
            read = count(stream.total_in() - read_before);
            written = count(stream.total_out() - written_before);
            if written == memory.len() {
                memory.resize(2 * written + 64, 0);
            } else if read == payload.len() {
                return written;
            }
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("settings", &self.settings)
            .field("takeover", &self.takeover)
            .field("threshold", &self.threshold)
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that compress well in places and not at all in others.
    fn mixture(n: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_le_bytes()[7]
        };
        let mut bytes: Vec<u8> = std::iter::repeat_with(random).take(n).collect();
        bytes[n / 3..n / 2].fill(b'x');
        bytes
    }

    fn inflated(stream: &[u8], len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len + 1];
        let mut inflate = Inflate::new(false, LARGEST_WINDOW);
        inflate.decompress(stream, &mut bytes, InflateFlush::NoFlush).expect("good data");
        assert_eq!(inflate.total_in(), stream.len() as u64);
        bytes.truncate(count(inflate.total_out()));
        bytes
    }

    /// With room for what is usual and with next to none: what is compressed comes back.
    #[test]
    fn compressing_with_any_room() {
        for level in [1, 2, 3, 6, 9] {
            for memory_level in [1, 8] {
                for window_bits in [9, 15] {
                    let settings = Settings { level, memory_level, window_bits };
                    for len in [0, 1, 5_000, 40_000] {
                        let payload = mixture(len);
                        for room in [1, 17, most(len)] {
                            let mut compressor = Compressor::take(settings, (1, 0));
                            compressor.stream.reset();
                            let mut memory = vec![0; room];
                            let written = compressor.run(&payload, &mut memory);
                            assert!(
                                room < most(len) || memory.len() == room,
                                "{settings:?} {len}: {}",
                                memory.len()
                            );
                            assert!(
                                inflated(&memory[..written], len) == payload,
                                "{settings:?}, {len} bytes into {room}"
                            );
                            compressor.give();
                        }
                    }
                }
            }
        }
    }
}
