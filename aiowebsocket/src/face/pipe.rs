//! What a face brings to the driver: a pipe for the bytes, and a clock.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;

/// A stream of bytes both ways. What cannot be done now is pending, and whoever waits with this context is woken when it can be.
pub(crate) trait Pipe {
    /// Reads to the front of `space`; 0 is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads at most `limit` bytes behind those that `memory` has; it has capacity for that.
    fn poll_append(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut BytesMut,
        limit: usize,
    ) -> Poll<io::Result<usize>>;

    /// Writes some of these bytes.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Writes some of these slices, the first ones first.
    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Lets go of what was written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends our side.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The time, and an alarm.
pub(crate) trait Clock: Default {
    /// The time as the machines want it.
    fn now() -> Instant;

    /// Whether this turn of the caller may go on: one that is over is told "pending" although bytes may wait.
    fn has_turn() -> bool;

    /// Ready when this deadline has passed; else the caller is woken then.
    fn poll_alarm(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()>;

    /// There is nothing more to wait for. True the first time, if anything was ever waited for.
    fn release(&mut self) -> bool;
}
