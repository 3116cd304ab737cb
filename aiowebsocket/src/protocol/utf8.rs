//! UTF-8 (RFC 6455 8.1), checked as the bytes arrive and failed at the first wrong one.
//!
//! Below 64 bytes, simdutf8's own border, a string that is ASCII is known by that; another goes through simdutf8 with zeros behind it, or, where it is
//! very short, through the standard library. The standard library alone, which simdutf8 asks there, took 128 instructions for 16 bytes of ASCII, and for
//! text of several scripts 184 for 16 bytes and 645 for 60; these take 28, 129 and 133 (`bench/run counts instructions burst-json 16`, `burst-text 60`, less what `burst-binary` takes). From 64 on it is
//! simdutf8 alone.
//!
//! The one `unsafe` of the crate stands here: turning checked bytes into `&str` without checking them a
//! second time, which would double the cost of every text message.

/// From this many bytes on, the vector code is asked at once: its own border for whole strings.
const SIMD_FROM: usize = 64;

/// From this many bytes on, what is not ASCII is asked of the vector code with zeros behind it. A character that is cut at the end is none with a zero
/// in it either.
const PADDED_FROM: usize = 16;

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// Whether `bytes` as a whole is UTF-8.
#[inline]
pub fn is_valid(bytes: &[u8]) -> bool {
    if bytes.len() < SIMD_FROM { is_valid_short(bytes) } else { simdutf8::basic::from_utf8(bytes).is_ok() }
}

/// The same below [`SIMD_FROM`].
#[inline(never)]
fn is_valid_short(bytes: &[u8]) -> bool {
    if bytes.is_ascii() {
        return true;
    }
    if bytes.len() < PADDED_FROM {
        return std::str::from_utf8(bytes).is_ok();
    }
    let mut block = [0; SIMD_FROM];
    block[..bytes.len()].copy_from_slice(bytes);
    simdutf8::basic::from_utf8(&block).is_ok()
}

/// How many bytes at the end begin a character that is not whole there: what simdutf8's other functions would find, which are 4.6 KB more of a program.
fn cut_at_end(chunk: &[u8]) -> usize {
    let starts = |back: &usize| chunk[chunk.len() - back] >= 0xc0;
    let Some(back) = (1..=chunk.len().min(3)).find(starts) else { return 0 };
    let length = match chunk[chunk.len() - back] {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    if length > back { back } else { 0 }
}

/// A check that goes on from chunk to chunk: it keeps the one to three bytes of a character that a chunk cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Incremental {
    cut: [u8; 4],
    len: u8,
}

impl Incremental {
    /// Checks the next chunk. Fails at the first byte with which no UTF-8 text can go on, even where the
    /// character it belongs to is incomplete.
    ///
    /// # Errors
    /// [`InvalidUtf8`]; the check is of no further use then.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<(), InvalidUtf8> {
        while self.len > 0 {
            let Some((&next, rest)) = chunk.split_first() else { return Ok(()) };
            chunk = rest;
            self.cut[usize::from(self.len)] = next;
            self.len += 1;
            match std::str::from_utf8(&self.cut[..usize::from(self.len)]) {
                Ok(_) => self.len = 0,
                // At most four bytes ever get here: three that may go on, and the one that ends or breaks them.
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(InvalidUtf8),
            }
        }
        let (whole, cut) = chunk.split_at(chunk.len() - cut_at_end(chunk));
        // What is cut may still be wrong.
        let goes_on = std::str::from_utf8(cut).err().is_none_or(|error| error.error_len().is_none());
        if !goes_on || !is_valid(whole) {
            return Err(InvalidUtf8);
        }
        self.cut[..cut.len()].copy_from_slice(cut);
        self.len = u8::try_from(cut.len()).expect("a cut character has at most three bytes");
        Ok(())
    }

    /// The text is at its end: no character may be cut.
    ///
    /// # Errors
    /// [`InvalidUtf8`] where one is.
    pub fn finish(self) -> Result<(), InvalidUtf8> {
        if self.len == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }
}

/// Bytes that this module has checked, as text.
///
/// INVARIANT: every caller passes bytes that `is_valid` or `Incremental` accepted as a whole, and that
/// nobody could change since. The machine hands out a text message only after that check.
#[cfg(any(feature = "tokio", feature = "blocking"))]
#[expect(unsafe_code, reason = "a second check of each text message costs as much as the first")]
#[inline]
pub(crate) fn checked(bytes: &[u8]) -> &str {
    debug_assert!(std::str::from_utf8(bytes).is_ok(), "text reaches here only after its check");
    // SAFETY: the invariant above: the bytes were accepted as UTF-8; debug builds check it again.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}
