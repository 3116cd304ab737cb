//! What the crate `tracing` is told of, with the feature of that name: steps of opening at the level of debugging, messages at that of
//! tracing. Of a message only its kind and its length are told, never its content.

use std::time::Duration;

use crate::opening::Milestone;
use crate::protocol::Kind;

/// Whether a subscriber wants the steps of opening.
#[cfg(feature = "tracing")]
pub(super) fn listens() -> bool {
    tracing::enabled!(target: "aiowebsocket::opening", tracing::Level::DEBUG)
}

/// A step of opening.
#[cfg(feature = "tracing")]
pub(super) fn milestone(at: Duration, milestone: &Milestone) {
    let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(target: "aiowebsocket::opening", at_us, "{milestone}");
}

/// A message that was received, or queued to be sent.
#[cfg(feature = "tracing")]
#[inline]
pub(super) fn message(way: &'static str, kind: Kind, length: usize) {
    tracing::trace!(target: "aiowebsocket::messages", way, kind = ?kind, length);
}

/// The end of a connection.
#[cfg(feature = "tracing")]
pub(super) fn end(code: u16) {
    tracing::debug!(target: "aiowebsocket::connection", code, "the connection ended");
}

#[cfg(not(feature = "tracing"))]
pub(super) fn listens() -> bool {
    false
}

#[cfg(not(feature = "tracing"))]
pub(super) fn milestone(_: Duration, _: &Milestone) {}

#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(super) fn message(_: &'static str, _: Kind, _: usize) {}

#[cfg(not(feature = "tracing"))]
pub(super) fn end(_: u16) {}
