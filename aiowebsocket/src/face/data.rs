//! The payload of a message that owns it: inside the value where it is short, else in memory of its own.

use std::fmt;
use std::ops::Deref;
use std::str::Utf8Error;

use bytes::Bytes;

use crate::protocol::copy;

/// Payloads of up to this many bytes lie inside the [`Message`](crate::Message) itself: most control and heartbeat messages of real
/// feeds are that short, and an allocation costs more than everything else about them.
pub const INLINE: usize = 32;

/// Bytes, inline up to [`INLINE`] of them. A clone of a message that was copied out of the read buffer, usually at most 64 KiB, is
/// another copy; to hand one message to many, share its [`into_bytes`](Self::into_bytes).
#[derive(Clone)]
pub struct Data(Repr);

/// UTF-8 text, inline up to [`INLINE`] bytes.
///
/// INVARIANT: the bytes were checked as UTF-8 before the value was made, and nothing changes them.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(pub(super) Data);

#[derive(Clone)]
enum Repr {
    Inline {
        len: u8,
        bytes: Words,
    },
    /// Copied out of the read buffer. `Bytes` would do, but making and dropping one costs 40 instructions more; an `Arc`
    /// adds 16 bytes, which push 1 KiB out of the allocator's fast sizes.
    Copied(Box<[u8]>),
    Shared(Bytes),
}

/// A short payload, and zeros behind it. In words of its own, so that it is moved by words, as what else a message can be.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Words([u8; INLINE]);

/// A payload of at most [`INLINE`] bytes.
pub(crate) struct Short {
    len: u8,
    bytes: Words,
}

impl Data {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes.0[..usize::from(*len)],
            Repr::Copied(bytes) => bytes,
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The bytes, without a copy unless they lie inline.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Inline { len, bytes } => Bytes::copy_from_slice(&bytes.0[..usize::from(len)]),
            Repr::Copied(bytes) => bytes.into(),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// A copy: inline, or in memory of exactly this size, so that a message that is kept pins nothing else.
    #[inline(always)]
    pub(crate) fn copied(bytes: &[u8]) -> Self {
        if bytes.len() <= INLINE { Short::new(bytes).into() } else { Self::boxed(copy::boxed(bytes)) }
    }

    /// What was copied already.
    #[inline(always)]
    pub(crate) fn boxed(copy: Box<[u8]>) -> Self {
        Self(Repr::Copied(copy))
    }

    /// The same bytes in memory of exactly their size, where they lay in memory that grew.
    pub(crate) fn fitted(bytes: Vec<u8>) -> Self {
        if bytes.len() <= INLINE {
            Self::copied(&bytes)
        } else {
            Self(Repr::Shared(bytes.into_boxed_slice().into()))
        }
    }
}

impl Short {
    /// A copy of at most [`INLINE`] bytes, put together from words that overlap: a copy of a length that is known only when it runs would be a call, and a
    /// message that was written by a call cannot stay in registers, see `Recv`.
    ///
    /// # Panics
    /// Where there are more: a caller's bug.
    #[inline(always)]
    pub(crate) fn new(bytes: &[u8]) -> Self {
        assert!(bytes.len() <= INLINE, "the caller has looked");
        let len = u8::try_from(bytes.len()).expect("INLINE fits a byte");
        let ends = |width| 8 * (u32::from(len) - width);
        let (low, high) = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            (u128::from_le_bytes(*first), u128::from_le_bytes(*last).unbounded_shr(128 - ends(16)))
        } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            (u128::from(first) | u128::from(last) << ends(8), 0)
        } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            (u128::from(u64::from(first) | u64::from(last) << ends(4)), 0)
        } else {
            (u128::from(bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))), 0)
        };
        let mut bytes = [0; INLINE];
        bytes[..16].copy_from_slice(&low.to_le_bytes());
        bytes[16..].copy_from_slice(&high.to_le_bytes());
        Self { len, bytes: Words(bytes) }
    }
}

impl From<Short> for Data {
    #[inline(always)]
    fn from(short: Short) -> Self {
        Self(Repr::Inline { len: short.len, bytes: short.bytes })
    }
}

impl Deref for Data {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Data {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Data {}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl From<&[u8]> for Data {
    fn from(bytes: &[u8]) -> Self {
        Self::copied(bytes)
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Repr::Shared(bytes.into()))
    }
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Shared(bytes))
    }
}

impl Text {
    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        crate::protocol::utf8::checked(self.0.as_slice())
    }

    /// The text's bytes, without a copy unless they lie inline.
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }

    /// The text as bytes.
    #[cfg(feature = "blocking")]
    pub(crate) fn into_data(self) -> Data {
        self.0
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Data::copied(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Data::from(text.into_bytes()))
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(Data::from(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_each_length_has_the_bytes_and_nothing_behind_them() {
        let bytes: Vec<u8> = (1..=60).collect();
        for from in 0..3 {
            for len in 0..=INLINE {
                let copied = &bytes[from..from + len];
                let short = Short::new(copied);
                assert_eq!(&short.bytes.0[..len], copied);
                assert!(short.bytes.0[len..].iter().all(|byte| *byte == 0), "{len} bytes");
            }
            for len in 0..=INLINE + 2 {
                assert_eq!(Data::copied(&bytes[from..from + len]).as_slice(), &bytes[from..from + len]);
            }
        }
    }
}
