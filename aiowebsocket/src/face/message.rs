//! Messages as a user receives them: owned, lent, in parts, with pings and pongs.

use std::fmt;

use bytes::Bytes;

use super::data::{Data, Text};
use crate::protocol::Kind;

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
