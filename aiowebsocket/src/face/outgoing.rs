//! A message on its way out.

use bytes::Bytes;

#[cfg(feature = "tokio")]
use super::data::Data;
use super::message::{Message, MessageRef};
use crate::protocol::{Kind, Payload};

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
