//! Putting messages together from fragments (RFC 6455 5.4), and the limits on that.

use super::config::Config;
use super::copy::pieces;
use super::error::PeerError;
use super::frame::{Header, OpCode};

/// Text or binary: the type of a message, which its first frame tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8, checked.
    Text,
    /// Any bytes.
    Binary,
}

impl Kind {
    /// The opcode of a first frame.
    #[inline]
    pub const fn opcode(self) -> OpCode {
        match self {
            Self::Text => OpCode::Text,
            Self::Binary => OpCode::Binary,
        }
    }
}

/// The message in progress.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// Its kind, while fragments of it are expected.
    kind: Option<Kind>,
    bytes: Vec<u8>,
    /// Payload that the headers announced so far.
    announced: u64,
    fragments: u32,
    /// Whole messages in one frame below this length pass it by: none while another is in progress, so that the hot way looks once.
    passing_below: u32,
    /// The same while none is in progress.
    passing_limit: u32,
}

impl Assembler {
    /// Without a message in progress. Whole messages shorter than this may pass it by.
    pub(super) fn new(passing_below: u32) -> Self {
        Self { passing_below, passing_limit: passing_below, ..Self::default() }
    }

    /// Whether a whole message of this length, in one frame, need not be judged by what is in progress.
    #[inline]
    pub(super) fn lets_pass(&self, length: usize) -> bool {
        debug_assert!(
            self.passing_below == 0 || !self.in_progress(),
            "a whole message never interrupts another"
        );
        length < self.passing_below as usize
    }

    /// Judges the opcode of a data frame by the message in progress (RFC 6455 5.4) and returns the kind of the message that the
    /// frame belongs to.
    #[inline]
    pub(super) fn order(&self, header: &Header) -> Result<Kind, PeerError> {
        match (header.opcode, self.kind) {
            (OpCode::Text, None) => Ok(Kind::Text),
            (OpCode::Binary, None) => Ok(Kind::Binary),
            (OpCode::Continuation, Some(kind)) => Ok(kind),
            (OpCode::Continuation, None) => Err(PeerError::UnexpectedContinuation),
            _ => Err(PeerError::ExpectedContinuation),
        }
    }

    /// Judges sizes and count by the header of a data frame, before any of its payload.
    #[inline]
    pub(super) fn admit(&self, header: &Header, limits: &Config) -> Result<(), PeerError> {
        if header.length > limits.max_frame {
            return Err(PeerError::FrameTooBig { length: header.length, limit: limits.max_frame });
        }
        let length = self.announced.saturating_add(header.length);
        if length > limits.max_message {
            return Err(PeerError::MessageTooBig { length, limit: limits.max_message });
        }
        if self.fragments >= limits.max_fragments {
            return Err(PeerError::TooManyFragments { limit: limits.max_fragments });
        }
        Ok(())
    }

    /// The same for a frame of a compressed message. What it inflates to is judged as it comes; its own bytes may be an eighth more
    /// than the limits, which a compressor can make of what it cannot compress.
    pub(super) fn admit_compressed(&self, header: &Header, limits: &Config) -> Result<(), PeerError> {
        let is_over = |length: u64, limit: u64| length.saturating_sub(limit) > limit / 8 + 64;
        if is_over(header.length, limits.max_frame) {
            return Err(PeerError::FrameTooBig { length: header.length, limit: limits.max_frame });
        }
        let length = self.announced.saturating_add(header.length);
        if is_over(length, limits.max_message) {
            return Err(PeerError::MessageTooBig { length, limit: limits.max_message });
        }
        if self.fragments >= limits.max_fragments {
            return Err(PeerError::TooManyFragments { limit: limits.max_fragments });
        }
        Ok(())
    }

    /// Whether fragments of a message are expected.
    #[inline]
    pub(super) fn in_progress(&self) -> bool {
        self.kind.is_some()
    }

    /// The payload of an admitted frame begins; its payload follows in [`push`](Self::push).
    pub(super) fn begin(&mut self, kind: Kind, header: &Header) {
        self.begin_part(kind);
        self.announced += header.length;
        self.fragments += 1;
    }

    /// A frame of a message that is taken in parts begins: nothing of it is kept here but that it goes on.
    pub(super) fn begin_part(&mut self, kind: Kind) {
        (self.kind, self.passing_below) = (Some(kind), 0);
    }

    /// The next bytes of the message, unmasked and checked. Memory grows with what arrived, not with what was announced.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.reserve(bytes.len());
        for piece in pieces(bytes) {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// The last fragment is complete: the message is whole and stays readable until [`clear`](Self::clear).
    pub(super) fn finish(&mut self) {
        debug_assert!(self.in_progress(), "only a message in progress is finished");
        (self.kind, self.passing_below) = (None, self.passing_limit);
        (self.announced, self.fragments) = (0, 0);
    }

    /// The bytes of the whole message.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the bytes of the whole message.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Whether it has no memory, and no message is in progress.
    #[inline]
    pub(super) fn is_clear(&self) -> bool {
        self.bytes.capacity() == 0 && !self.in_progress()
    }

    /// Frees the memory of a message that was lent.
    #[inline]
    pub(super) fn clear(&mut self) {
        if self.bytes.capacity() != 0 && !self.in_progress() {
            self.bytes = Vec::new();
        }
    }
}
