//! How much one connection may do before the event loop has its turn.

use std::time::{Duration, Instant};

use crate::clock::now;

/// The clock is looked at after this many messages: it costs as much as a short message does.
const MESSAGES: u32 = 64;

/// The longest that others wait: no more than what a timer of the event loop is inexact by.
const TIME: Duration = Duration::from_millis(1);

/// The most bytes: two reads of the largest buffer.
const BYTES: usize = 256 << 10;

/// What was done since the event loop last had its turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    messages: u32,
    bytes: usize,
    began: Option<Instant>,
    is_over: bool,
}

impl Turn {
    /// The event loop has just had its turn. The time.
    pub(crate) fn begin(&mut self) -> Instant {
        let now = now();
        *self = Self { began: Some(now), ..Self::default() };
        now
    }

    /// Whether no message was given away in it.
    pub(crate) fn is_new(&self) -> bool {
        self.messages == 0
    }

    /// A message of this size was given away.
    #[inline]
    pub(crate) fn count(&mut self, size: usize) {
        self.bytes += size;
        self.messages += 1;
        if self.bytes >= BYTES || self.messages.is_multiple_of(MESSAGES) {
            self.judge();
        }
    }

    #[cold]
    #[inline(never)]
    fn judge(&mut self) {
        self.is_over = self.bytes >= BYTES || self.began.is_none_or(|began| began.elapsed() >= TIME);
    }

    /// Whether it is the event loop's turn.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }
}
