//! The memory that a large message arrives in, see [`Step::Into`](crate::protocol::Step::Into).

use bytes::{Buf as _, Bytes, BytesMut};

use crate::protocol::buffer::LINE;
use crate::protocol::copy::pieces;

/// A message gets its whole memory at once up to this size; above it, memory doubles as bytes arrive, so that a
/// header alone never takes more.
const AT_ONCE: usize = 4 << 20;

/// What is there of a large message. Empty, and without memory, where none arrives.
#[derive(Debug, Default)]
pub(super) struct Destination(BytesMut);

impl Destination {
    /// Bytes that are there.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends bytes of a message of `len` bytes in all. They came through the read buffer, as the first ones do: a header alone takes no
    /// memory.
    pub(super) fn append(&mut self, poured: &[u8], len: usize) {
        if self.0.is_empty() && !poured.is_empty() {
            self.begin(len, poured.len());
        } else {
            self.grow(len, poured.len());
        }
        for piece in pieces(poured) {
            self.0.extend_from_slice(piece);
        }
    }

    /// Room for what is read straight into the message, of which so many bytes are missing.
    pub(super) fn room(&mut self, missing: usize) -> &mut BytesMut {
        self.grow(self.len() + missing, 1);
        &mut self.0
    }

    /// The bytes from this one on.
    pub(super) fn tail(&mut self, start: usize) -> &mut [u8] {
        &mut self.0[start..]
    }

    /// The message, which leaves no memory here.
    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.0).freeze()
    }

    /// Makes room for a message of `len` bytes in empty memory, so that what is read straight into it, behind the first `poured` bytes,
    /// begins at a cache line, see [`LINE`].
    fn begin(&mut self, len: usize, poured: usize) {
        self.0.reserve(wanted(len, 0, poured) + LINE);
        let front = self.0.as_ptr().addr().wrapping_add(poured).wrapping_neg() % LINE;
        self.0.resize(front, 0);
        self.0.advance(front);
    }

    /// Makes room for `more` bytes of a message of `len` bytes in all.
    fn grow(&mut self, len: usize, more: usize) {
        let have = self.len();
        if self.0.capacity() - have < more {
            self.0.reserve(wanted(len, have, more) - have);
        }
    }
}

/// How much memory a message of `len` bytes gets that has `have` of them, when `more` come.
fn wanted(len: usize, have: usize, more: usize) -> usize {
    let target = if len <= AT_ONCE { len } else { len.min((2 * have).max(AT_ONCE)) };
    target.max(have + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_straight_into_a_message_begins_at_a_line() {
        for poured in [1, 10, 63, 64, 4096, (128 << 10) - 10] {
            let mut destination = Destination::default();
            destination.begin(AT_ONCE, poured);
            assert_eq!(destination.len(), 0);
            assert!(destination.0.capacity() >= AT_ONCE, "it is not moved");
            assert_eq!((destination.0.as_ptr().addr() + poured) % LINE, 0, "{poured}");
        }
    }
}
