//! Messages as a user sees them: owned, lent, and on their way out.

use std::fmt;
use std::ops::Deref;
use std::str::Utf8Error;

use bytes::Bytes;

use crate::protocol::{Kind, Payload, copy};

/// Payloads of up to this many bytes lie inside the [`Message`] itself: most control and heartbeat messages of real
/// feeds are that short, and an allocation costs more than everything else about them.
pub const INLINE: usize = 32;

/// A received or prepared message that owns its payload.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(Text),
    /// A binary message.
    Binary(Data),
}

/// A message that is lent until the next call: no allocation, no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageRef<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// What arrived, pings and pongs included: see [`WebSocket::recv_event`](crate::WebSocket::recv_event).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message.
    Message(Message),
    /// A ping with this payload, answered already.
    Ping(Data),
    /// A pong with this payload.
    Pong(Data),
}

impl Event {
    /// The payload's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Message(message) => message.as_bytes(),
            Self::Ping(data) | Self::Pong(data) => data.as_slice(),
        }
    }
}

/// Some bytes of a message, lent until the next call: see [`WebSocket::recv_part`](crate::WebSocket::recv_part).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// What the message is. Text is checked, but a part of it may begin and end inside a character.
    pub kind: Kind,
    /// The bytes; at least one, but for the last part.
    pub data: &'a [u8],
    /// Whether the message ends here.
    pub last: bool,
}

/// Bytes, inline up to [`INLINE`] of them. A clone of a message that was copied out of the read buffer, usually at most 64 KiB, is
/// another copy; to hand one message to many, share its [`into_bytes`](Self::into_bytes).
#[derive(Clone)]
pub struct Data(Repr);

/// UTF-8 text, inline up to [`INLINE`] bytes.
///
/// INVARIANT: the bytes were checked as UTF-8 before the value was made, and nothing changes them.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Data);

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

impl Message {
    /// The payload's bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.0.as_slice(),
            Self::Binary(data) => data.as_slice(),
        }
    }

    /// The text, or `None` for a binary message.
    #[inline]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            Self::Binary(_) => None,
        }
    }

    /// The same message, lent.
    #[inline]
    pub fn as_ref(&self) -> MessageRef<'_> {
        match self {
            Self::Text(text) => MessageRef::Text(text.as_str()),
            Self::Binary(data) => MessageRef::Binary(data.as_slice()),
        }
    }

    /// The payload, without a copy unless it lies inline.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.0.into_bytes(),
            Self::Binary(data) => data.into_bytes(),
        }
    }

    /// A message of bytes that the machine has checked if they are text.
    #[inline(always)]
    pub(crate) fn from_checked(kind: Kind, data: Data) -> Self {
        match kind {
            Kind::Text => Self::Text(Text(data)),
            Kind::Binary => Self::Binary(data),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl<'a> MessageRef<'a> {
    /// The payload's bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// The text, or `None` for a binary message.
    #[inline]
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The whole message as one part.
    #[cfg(feature = "tokio")]
    pub(crate) fn as_part(self) -> Part<'a> {
        let kind = if let Self::Text(_) = self { Kind::Text } else { Kind::Binary };
        Part { kind, data: self.as_bytes(), last: true }
    }

    /// A message of its own.
    pub fn to_owned(self) -> Message {
        match self {
            Self::Text(text) => Message::Text(text.into()),
            Self::Binary(data) => Message::Binary(data.into()),
        }
    }
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

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes.into())
    }
}

/// A message on its way out, borrowed or owned: what `send` and `feed` take. Strings become text, bytes binary; an
/// owned payload above 32 KiB is masked where it lies instead of being copied.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: Payload<'a>,
    /// Not to be compressed.
    pub(crate) plain: bool,
}

impl<'a> Outgoing<'a> {
    /// The same message, never compressed: `ws.send(Outgoing::from(text).plain())`.
    ///
    /// For a secret, a session token or a password, on a connection over which somebody else can have text of his choice sent. The
    /// length of what is compressed tells how much of the one stands in the other, over TLS too, and byte by byte that
    /// gives the secret away (the attacks CRIME and BREACH). With context takeover it need not even be the same message. So
    /// either the secret leaves plain, or the connection does without compression. Also for data that is
    /// compressed already, to save the trial.
    ///
    /// Of a message that is sent in parts, the first one decides.
    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// The same message, borrowed or shared: this one is still there when that one was sent.
    #[cfg(feature = "tokio")]
    pub(crate) fn lent(&self) -> Outgoing<'_> {
        let payload = match &self.payload {
            Payload::Borrowed(bytes) => Payload::Borrowed(bytes),
            Payload::Owned(bytes) => Payload::Borrowed(bytes),
            Payload::Shared(bytes) => Payload::Shared(bytes.clone()),
        };
        Outgoing { kind: self.kind, payload, plain: self.plain }
    }

    /// A message of its own.
    #[cfg(feature = "tokio")]
    pub(crate) fn into_message(self) -> Message {
        let data = match self.payload {
            Payload::Borrowed(bytes) => Data::copied(bytes),
            Payload::Owned(bytes) => Data::from(bytes),
            Payload::Shared(bytes) => Data::from(bytes),
        };
        // What is text came from `str`.
        Message::from_checked(self.kind, data)
    }

    #[inline]
    fn text(payload: Payload<'a>) -> Self {
        Self { kind: Kind::Text, payload, plain: false }
    }

    #[inline]
    fn binary(payload: Payload<'a>) -> Self {
        Self { kind: Kind::Binary, payload, plain: false }
    }
}

impl<'a> From<&'a str> for Outgoing<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self::text(Payload::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a String> for Outgoing<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        Self::text(Payload::Borrowed(text.as_bytes()))
    }
}

impl From<String> for Outgoing<'_> {
    fn from(text: String) -> Self {
        Self::text(Payload::Owned(text.into_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Self::binary(Payload::Borrowed(bytes))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outgoing<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::binary(Payload::Borrowed(bytes))
    }
}

impl<'a> From<&'a Vec<u8>> for Outgoing<'a> {
    #[inline]
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::binary(Payload::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Outgoing<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::binary(Payload::Owned(bytes))
    }
}

impl From<Bytes> for Outgoing<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::binary(Payload::Shared(bytes))
    }
}

impl<'a> From<MessageRef<'a>> for Outgoing<'a> {
    #[inline]
    fn from(message: MessageRef<'a>) -> Self {
        match message {
            MessageRef::Text(text) => text.into(),
            MessageRef::Binary(data) => data.into(),
        }
    }
}

impl<'a> From<&'a Message> for Outgoing<'a> {
    #[inline]
    fn from(message: &'a Message) -> Self {
        message.as_ref().into()
    }
}

impl From<Message> for Outgoing<'_> {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(Payload::Shared(text.into_bytes())),
            Message::Binary(data) => data.into_bytes().into(),
        }
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
