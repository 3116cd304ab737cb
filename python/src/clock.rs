//! The clock: the machine takes the time as an argument, and this is where it comes from.

use std::time::{Instant, SystemTime};

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn time_of_day() -> SystemTime {
    SystemTime::now()
}
