//! The memory that a connection reads into and writes from, lent by a pool of the thread.
//!
//! A connection needs a large buffer only while bytes are on their way through it, so it borrows one for
//! that time: [`Buffer::space`] takes one from the pool, [`Buffer::settle`] gives it back once it is empty and
//! [`Buffer::park`] moves a small rest into memory of its own size. An idle connection therefore holds none,
//! and however many connections a thread serves, their reads go through the same few warm buffers.
//!
//! Memory is zeroed once, when a buffer is made, and never again: what a connection sees of it is only what was
//! written through that connection, because `start..end` begins empty. That keeps the file free of `unsafe`
//! at a cost that vanishes with reuse.

use std::cell::RefCell;
use std::ops::Range;

use super::copy::copy;

/// Sizes double from this one; it is the first a connection uses.
pub(super) const SMALLEST: usize = 4 << 10;

/// Sizes of pooled buffers: 4, 8, 16, 32, 64 and 128 KiB. Larger ones were not tried.
const CLASSES: u8 = 6;

/// The largest pooled buffer.
pub(super) const LARGEST: usize = SMALLEST << (CLASSES - 1);

/// Buffers of each smaller size that a thread keeps: two in use by one connection (one in, one out), and two for a
/// callback that runs inside.
const KEPT: usize = 4;

/// Buffers of the largest size that a thread keeps: a borrowed message of 1 MiB on its way out needs that many. With the
/// smaller ones a thread holds at most 1,648 KiB in all.
const KEPT_LARGEST: usize = 9;

/// Reading into an empty buffer begins at a multiple of this where that leaves room for what is wanted. An allocator puts what is
/// as large as the largest buffer 16 bytes behind the beginning of a page, and the kernel copies to there from the beginning of
/// another; on a processor that is slow at moving bytes to an address whose last 12 bits are a little larger (AMD's family 25), a
/// read of 64 KiB took 50 µs there and 10 µs here.
pub(crate) const LINE: usize = 64;

/// What a pooled buffer has behind it and never uses, so that memory which an allocator puts right behind it begins a [`LINE`] further into its page
/// than it did, with the 16 bytes that glibc keeps of its own. Without it that is 16 bytes, and what copies from here to there (rustls, each record that it seals)
/// is slow on the same processors: 24,600 cycles for a record of 16 KiB, 1,160 with it.
const BEHIND: usize = LINE - 16;

/// A rest of at most this many bytes leaves the pooled buffer when its connection waits. Above it the copy would
/// cost more than the memory is worth.
const PARKED: usize = 4 << 10;

thread_local! {
    static POOL: RefCell<[Vec<Vec<u8>>; CLASSES as usize]> =
        const { RefCell::new([const { Vec::new() }; CLASSES as usize]) };
}

/// The smallest class of at least `size` bytes, or the largest.
#[inline]
fn class_of(size: usize) -> u8 {
    (0..CLASSES - 1).find(|class| SMALLEST << class >= size).unwrap_or(CLASSES - 1)
}

/// Memory of at least `size` bytes, zeroed or used before; it is used as far as its length.
#[inline]
pub(super) fn take(size: usize) -> Vec<u8> {
    if size > LARGEST {
        return vec![0; size];
    }
    let class = class_of(size);
    // A thread that is ending has no pool any more; plain memory serves as well.
    let pooled = POOL.try_with(|pool| pool.borrow_mut()[usize::from(class)].pop()).ok().flatten();
    pooled.unwrap_or_else(|| {
        let mut memory = vec![0; (SMALLEST << class) + BEHIND];
        memory.truncate(SMALLEST << class);
        memory
    })
}

/// Gives pooled memory back, whole; other memory is freed.
#[inline]
pub(super) fn give(memory: Vec<u8>) {
    let size = memory.len();
    let class = (size / SMALLEST).trailing_zeros();
    if class >= u32::from(CLASSES) || size != SMALLEST << class {
        return;
    }
    _ = POOL.try_with(|pool| {
        let kept = &mut pool.borrow_mut()[class as usize];
        let most = if size == LARGEST { KEPT_LARGEST } else { KEPT };
        if kept.len() < most {
            kept.push(memory);
        }
    });
}

/// Bytes in a row, filled at one end and consumed at the other.
///
/// INVARIANT: `front <= start <= end <= memory.len()`; memory is empty, pooled, or of the rest's own size.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    end: usize,
    /// Where the bytes in this memory began, less than [`LINE`].
    front: u8,
    /// The size class that the traffic of late asked for.
    class: u8,
    /// Uses in a row that left more than three quarters of the memory alone.
    sparse: u8,
}

impl Buffer {
    /// Bytes that wait.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// The waiting bytes of `range`, counted from the first of them, to be changed in place.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        let bytes = &mut self.memory[self.start..self.end];
        &mut bytes[range]
    }

    /// How many bytes wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether none wait.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes `n` bytes off the front and tells where they lie: a range for [`slice`](Self::slice), good until
    /// the next call of [`space`](Self::space), [`settle`](Self::settle) or [`park`](Self::park).
    #[inline]
    pub(crate) fn consume(&mut self, n: usize) -> Range<usize> {
        let taken = self.start..self.start + n;
        debug_assert!(taken.end <= self.end, "only bytes that wait are consumed");
        self.start = taken.end;
        taken
    }

    /// The bytes that [`consume`](Self::consume) took.
    #[inline]
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.memory[range]
    }

    /// Room to read into, at the end of what waits: never empty, and enough that `want` bytes can wait in a row.
    /// At most that much or the largest pooled buffer is ever taken, whatever a peer sends.
    #[inline]
    pub(crate) fn space(&mut self, want: usize) -> &mut [u8] {
        let want = want.max(self.len() + 1);
        if self.is_empty() {
            self.renew(want);
            let front = self.memory.as_ptr().addr().wrapping_neg() % LINE;
            if self.memory.len() - front >= want {
                self.begin(front);
            }
        } else if want > self.memory.len() - self.start || self.end == self.memory.len() {
            self.relocate(want);
        }
        &mut self.memory[self.end..]
    }

    /// `n` more bytes wait: those written to the front of the last [`space`](Self::space).
    #[inline]
    pub(crate) fn filled(&mut self, n: usize) {
        debug_assert!(n <= self.memory.len() - self.end, "a read fills no more than the space it got");
        self.end += n;
    }

    /// Room for `n` more bytes at the end of what waits; say with [`filled`](Self::filled) how many were used.
    #[inline]
    pub(super) fn room(&mut self, n: usize) -> &mut [u8] {
        if n > self.memory.len() - self.end {
            if self.is_empty() { self.renew(n) } else { self.relocate(self.len() + n) }
        }
        &mut self.memory[self.end..self.end + n]
    }

    /// Appends `bytes` to what waits.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        copy(self.room(bytes.len()), bytes);
        self.filled(bytes.len());
    }

    /// Whether `n` more bytes fit without other memory.
    #[inline]
    pub(super) fn has_room(&self, n: usize) -> bool {
        n <= self.memory.len() - self.end
    }

    /// Gives the memory back where nothing waits any more.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.start == self.end && !self.memory.is_empty() {
            self.release();
        }
    }

    /// The connection is going to wait: gives the memory back, keeping a small rest in memory of its own size.
    #[inline]
    pub(crate) fn park(&mut self) {
        if self.is_empty() {
            self.settle();
        } else if self.len() <= PARKED && self.memory.len() > self.len() + 64 {
            let rest = self.bytes().to_vec();
            self.release();
            (self.end, self.memory) = (rest.len(), rest);
        }
    }

    /// Whether it has no memory.
    #[inline]
    pub(super) fn is_bare(&self) -> bool {
        self.memory.is_empty()
    }

    /// Where nothing waits here any more: hands the memory on to `other`, which has none, instead of by way of the pool. False where
    /// something waits, or the memory is smaller than what `other` would take.
    #[inline]
    pub(super) fn hand_on(&mut self, other: &mut Self) -> bool {
        debug_assert!(other.is_bare(), "memory is not lost for other memory");
        if !self.is_empty() || self.memory.len() < SMALLEST << other.class {
            return false;
        }
        self.adapt();
        other.memory = std::mem::take(&mut self.memory);
        self.begin(0);
        other.begin(0);
        true
    }

    /// Takes the memory out, for a queue of its own.
    pub(super) fn detach(&mut self) -> Self {
        let detached = Self {
            memory: std::mem::take(&mut self.memory),
            start: self.start,
            end: self.end,
            front: self.front,
            class: 0,
            sparse: 0,
        };
        self.begin(0);
        detached
    }

    /// Nothing waits, and little of what comes next is wanted in this memory: begins with the smallest.
    #[cold]
    pub(super) fn shrink(&mut self) {
        debug_assert!(self.is_empty(), "what waits keeps its memory");
        self.release();
        (self.class, self.sparse) = (0, 0);
    }

    /// Nothing waits: begins at the front again, in memory of the size that the traffic asks for.
    #[inline]
    fn renew(&mut self, want: usize) {
        self.adapt();
        self.begin(0);
        let size = want.max(SMALLEST << self.class);
        if self.memory.len() < size || self.memory.len() > 2 * size {
            self.replace(size);
        }
    }

    /// Nothing waits: what comes next begins at `front`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "less than LINE")]
    fn begin(&mut self, front: usize) {
        (self.start, self.end, self.front) = (front, front, front as u8);
    }

    /// Other memory, of at least `size` bytes.
    #[inline]
    fn replace(&mut self, size: usize) {
        if !self.memory.is_empty() {
            give(std::mem::take(&mut self.memory));
        }
        self.memory = take(size);
    }

    #[inline]
    fn release(&mut self) {
        self.adapt();
        give(std::mem::take(&mut self.memory));
        self.begin(0);
    }

    /// Makes the waiting bytes the front of memory of at least `want` bytes.
    #[cold]
    #[inline(never)]
    fn relocate(&mut self, want: usize) {
        self.adapt();
        let size = want.max(SMALLEST << self.class);
        if self.memory.len() >= size {
            self.memory.copy_within(self.start..self.end, 0);
        } else {
            let mut memory = take(size);
            copy(&mut memory[..self.end - self.start], &self.memory[self.start..self.end]);
            give(std::mem::replace(&mut self.memory, memory));
            // What had to grow will have to again: the next run begins at this size.
            self.class = class_of(size);
            self.sparse = 0;
        }
        (self.start, self.end, self.front) = (0, self.end - self.start, 0);
    }

    /// Learns from how far the memory was used: full to the end asks for four times the size, and eight uses in a
    /// row of less than a quarter ask for half.
    #[inline]
    fn adapt(&mut self) {
        if self.end == usize::from(self.front) {
        } else if self.end == self.memory.len() {
            self.class = (self.class + 2).min(CLASSES - 1);
            self.sparse = 0;
        } else if self.end < self.memory.len() / 4 {
            self.sparse += 1;
            if self.sparse == 8 {
                self.class = self.class.saturating_sub(1);
                self.sparse = 0;
            }
        } else {
            self.sparse = 0;
        }
    }
}

/// Bytes of memory that the pool of this thread has.
pub fn pooled_bytes() -> usize {
    POOL.with(|pool| pool.borrow().iter().flatten().map(Vec::capacity).sum())
}

/// Buffers that the pool of this thread has.
#[cfg(test)]
pub(crate) fn pooled() -> usize {
    POOL.with(|pool| pool.borrow().iter().map(Vec::len).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut Buffer, bytes: &[u8]) {
        let space = buffer.space(0);
        space[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    /// As many as make a buffer ask for the largest.
    fn full_reads(buffer: &mut Buffer) {
        for _ in 0..4 {
            let n = buffer.space(0).len();
            buffer.filled(n);
            buffer.consume(n);
            buffer.settle();
        }
    }

    #[test]
    fn an_empty_buffer_gives_its_memory_back() {
        let mut buffer = Buffer::default();
        fill(&mut buffer, b"hello");
        assert_eq!(pooled(), 0);
        let taken = buffer.consume(5);
        assert_eq!(buffer.slice(taken), b"hello");
        buffer.settle();
        assert_eq!((pooled(), buffer.memory.len()), (1, 0));
    }

    #[test]
    fn a_small_rest_is_parked_in_its_own_size() {
        let mut buffer = Buffer::default();
        fill(&mut buffer, b"hello");
        buffer.consume(2);
        buffer.park();
        assert_eq!((buffer.bytes(), buffer.memory.len(), pooled()), (&b"llo"[..], 3, 1));
        fill(&mut buffer, b" again");
        assert_eq!(buffer.bytes(), b"llo again");
    }

    #[test]
    fn waiting_bytes_survive_growth_and_compaction() {
        let mut buffer = Buffer::default();
        let mut expected = std::collections::VecDeque::new();
        let mut next = 0_u8;
        for round in 0..10_000_usize {
            let n = buffer.space(round % 9_000).len().min(1 + round % 700);
            for byte in &mut buffer.space(0)[..n] {
                next = next.wrapping_add(1);
                *byte = next;
                expected.push_back(next);
            }
            buffer.filled(n);
            let taken = buffer.consume(buffer.len().min(round % 701));
            assert!(
                buffer
                    .slice(taken.clone())
                    .iter()
                    .eq(expected.drain(..taken.len()).collect::<Vec<_>>().iter())
            );
            if round % 3 == 0 {
                buffer.park();
            }
            assert!(buffer.memory.len() <= LARGEST);
        }
        assert!(buffer.bytes().iter().eq(&expected));
    }

    #[test]
    fn the_size_follows_the_traffic_up_and_down() {
        let mut buffer = Buffer::default();
        full_reads(&mut buffer);
        _ = buffer.space(0);
        assert_eq!(buffer.memory.len(), LARGEST);
        for _ in 0..60 {
            fill(&mut buffer, b"few");
            buffer.consume(3);
            buffer.settle();
        }
        _ = buffer.space(0);
        assert_eq!(buffer.memory.len(), SMALLEST);
    }

    #[test]
    fn what_is_read_into_an_empty_buffer_begins_at_a_line_whatever_its_memory_was_used_for() {
        let mut buffer = Buffer::default();
        for want in [0, 100, SMALLEST - LINE, LARGEST - LINE, SMALLEST, LARGEST, 3 * LARGEST] {
            let space = buffer.space(want);
            assert!(space.len() >= want, "{} bytes where {want} are wanted", space.len());
            let is_at_line = space.as_ptr().addr() % LINE == 0;
            assert!(is_at_line || want % SMALLEST == 0 && want > 0, "{want} bytes are wanted");
            assert!(
                buffer.memory.len() <= LARGEST.max(want),
                "{} bytes where {want} are wanted",
                buffer.memory.len()
            );
            fill(&mut buffer, b"few");
            buffer.consume(3);
            if want == 100 {
                buffer.settle();
            }
        }
        let mut output = Buffer::default();
        output.append(b"an answer");
        output.consume(9);
        drop(buffer.detach());
        assert!(output.hand_on(&mut buffer) && !buffer.is_bare());
        assert_eq!(buffer.space(0).as_ptr().addr() % LINE, 0);
    }

    #[test]
    fn what_an_allocator_puts_behind_a_buffer_begins_a_line_further_into_its_page() {
        for class in 0..CLASSES {
            let memory = take(SMALLEST << class);
            assert_eq!(memory.len(), SMALLEST << class);
            // 16 bytes are the allocator's.
            assert_eq!((memory.capacity() + 16) % 4096, LINE, "{} bytes", memory.len());
        }
    }

    #[test]
    fn a_look_for_bytes_that_brought_none_is_no_use_of_the_memory() {
        let mut buffer = Buffer::default();
        full_reads(&mut buffer);
        for _ in 0..60 {
            _ = buffer.space(0);
            buffer.settle();
        }
        assert_eq!(SMALLEST << buffer.class, LARGEST);
    }

    #[test]
    fn a_thread_keeps_a_bounded_number() {
        let mut buffers: Vec<_> = (0..20).map(|_| Buffer::default()).collect();
        for buffer in &mut buffers {
            fill(buffer, b"x");
        }
        for buffer in &mut buffers {
            buffer.consume(1);
            buffer.settle();
        }
        assert_eq!(pooled(), KEPT);
    }
}
