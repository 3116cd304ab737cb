//! The clock: the machine takes the time as an argument, and this is where it comes from.

use std::time::Instant;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}
