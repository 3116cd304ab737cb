//! Masking (RFC 6455 5.3): XOR with a 4-byte key that repeats.
//!
//! The key is laid out twice in an 8-byte word and the data is walked four words a step, which the
//! compiler turns into 16-byte vector operations on every x86-64 and aarch64, and leaves as four words where it
//! compiles for size (as a block of bytes 256 of them took 1,668 instructions there); the tail goes by words and
//! then byte by byte (bytes alone cost a third of a short frame). Copy and XOR are one pass, so a payload is touched
//! once on its way out. Written with slices alone: the bounds checks fold away because `as_chunks` makes arrays of them.

const WORD: usize = 8;
const BLOCK: usize = 4 * WORD;

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
    let (to_blocks, to) = to.as_chunks_mut::<BLOCK>();
    let (from_blocks, from) = from.as_chunks();
    if !from_blocks.is_empty() {
        copy_blocks(to_blocks, from_blocks, key);
    }
    let mask = masked(key);
    let (to_words, to) = to.as_chunks_mut();
    let (from_words, from) = from.as_chunks();
    for (to, from) in to_words.iter_mut().zip(from_words) {
        *to = mask(from);
    }
    for ((to, from), key) in to.iter_mut().zip(from).zip(mask(&[0; WORD])) {
        *to = from ^ key;
    }
}

/// A function of its own: as arguments the two are known not to overlap, without which there are no vectors. Generic, so that whoever
/// sends compiles it, for speed where that is compiled for speed.
#[inline(never)]
fn copy_blocks<const BLOCK: usize>(to: &mut [[u8; BLOCK]], from: &[[u8; BLOCK]], key: [u8; 4]) {
    let mask = masked(key);
    for (to, from) in to.iter_mut().zip(from) {
        if let ([a, b, c, d], [e, f, g, h]) = (to.as_chunks_mut().0, from.as_chunks().0) {
            (*a, *b, *c, *d) = (mask(e), mask(f), mask(g), mask(h));
        }
    }
}

/// Masks or unmasks `data` where it lies; the first byte meets the first byte of `key`.
#[inline]
pub fn apply(data: &mut [u8], key: [u8; 4]) {
    let mask = masked(key);
    let (blocks, data) = data.as_chunks_mut::<BLOCK>();
    for block in blocks {
        if let [a, b, c, d] = block.as_chunks_mut().0 {
            (*a, *b, *c, *d) = (mask(a), mask(b), mask(c), mask(d));
        }
    }
    let (words, data) = data.as_chunks_mut();
    for word in words {
        *word = mask(word);
    }
    for (data, key) in data.iter_mut().zip(mask(&[0; WORD])) {
        *data ^= key;
    }
}

/// The key for the part of a payload that begins `offset` bytes into it.
#[inline]
pub fn rotate(mut key: [u8; 4], offset: usize) -> [u8; 4] {
    key.rotate_left(offset % 4);
    key
}

/// What masks a word.
#[inline(always)]
fn masked(key: [u8; 4]) -> impl Fn(&[u8; WORD]) -> [u8; WORD] + Copy {
    let key = u64::from(u32::from_ne_bytes(key));
    let key = key << 32 | key;
    move |word| (u64::from_ne_bytes(*word) ^ key).to_ne_bytes()
}
