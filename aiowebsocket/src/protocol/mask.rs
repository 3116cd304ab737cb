//! Masking (RFC 6455 5.3): XOR with a 4-byte key that repeats.
//!
//! The key is laid out eight times in a 32-byte block and the data is walked a block a step, which the
//! compiler turns into two 16-byte vector operations on every x86-64 and aarch64; the tail goes by 8-byte
//! words and then byte by byte (bytes alone cost a third of a short frame). Copy and XOR are one pass, so a payload is touched once on its way out. Written with slices
//! alone: the bounds checks fold away because `as_chunks` makes arrays of them.

const BLOCK: usize = 32;

/// Where mask keys come from. RFC 6455 5.3 and 10.3 demand that they are unpredictable, so a face passes a source
/// seeded by the operating system; tests pass fixed keys and get exact bytes.
pub trait MaskKeys {
    /// A fresh key, asked for once per frame, when the frame's payload can no longer change.
    fn next_key(&mut self) -> [u8; 4];
}

impl<F: FnMut() -> [u8; 4]> MaskKeys for F {
    #[inline(always)]
    fn next_key(&mut self) -> [u8; 4] {
        self()
    }
}

/// Copies `from` to `to`, masked with `key`.
///
/// # Panics
/// Where the lengths differ: a caller's bug.
#[inline(always)]
pub fn copy_masked(to: &mut [u8], from: &[u8], key: [u8; 4]) {
    assert_eq!(to.len(), from.len(), "a masked copy is as long as its source");
    let (to_blocks, to) = to.as_chunks_mut();
    let (from_blocks, from) = from.as_chunks();
    if !from_blocks.is_empty() {
        copy_blocks(to_blocks, from_blocks, key);
    }
    let word = u64::from_ne_bytes(repeat(key));
    let (to_words, to) = to.as_chunks_mut();
    let (from_words, from) = from.as_chunks();
    for (to, from) in to_words.iter_mut().zip(from_words) {
        *to = (u64::from_ne_bytes(*from) ^ word).to_ne_bytes();
    }
    for ((to, from), key) in to.iter_mut().zip(from).zip(key.into_iter().cycle()) {
        *to = from ^ key;
    }
}

/// A function of its own: as arguments the two are known not to overlap, without which there are no vectors.
#[inline(never)]
fn copy_blocks(to: &mut [[u8; BLOCK]], from: &[[u8; BLOCK]], key: [u8; 4]) {
    let block: [u8; BLOCK] = repeat(key);
    for (to, from) in to.iter_mut().zip(from) {
        for ((to, from), key) in to.iter_mut().zip(from).zip(block) {
            *to = from ^ key;
        }
    }
}

/// Masks or unmasks `data` where it lies; the first byte meets the first byte of `key`.
#[inline]
pub fn apply(data: &mut [u8], key: [u8; 4]) {
    let block: [u8; BLOCK] = repeat(key);
    let (blocks, data) = data.as_chunks_mut::<BLOCK>();
    for data in blocks {
        for (data, key) in data.iter_mut().zip(block) {
            *data ^= key;
        }
    }
    let word = u64::from_ne_bytes(repeat(key));
    let (words, data) = data.as_chunks_mut();
    for data in words {
        *data = (u64::from_ne_bytes(*data) ^ word).to_ne_bytes();
    }
    for (data, key) in data.iter_mut().zip(block) {
        *data ^= key;
    }
}

/// The key for the part of a payload that begins `offset` bytes into it.
#[inline]
pub fn rotate(mut key: [u8; 4], offset: usize) -> [u8; 4] {
    key.rotate_left(offset % 4);
    key
}

#[inline(always)]
fn repeat<const N: usize>(key: [u8; 4]) -> [u8; N] {
    let mut block = [0; N];
    for part in block.chunks_exact_mut(4) {
        part.copy_from_slice(&key);
    }
    block
}
