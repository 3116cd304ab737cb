//! A timer of the kernel that an event loop can watch, for `_alarm.py`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use pyo3::prelude::*;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// It can be read from the time on for which it was set, until it is set again. Dropped, it is closed.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

#[pymethods]
impl Timer {
    /// One that is not set, by the clock that `Instant` and asyncio have.
    #[new]
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    fn fileno(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Sets it, whatever it was set for: in so many seconds, or at once. More than some thirty years are as many.
    fn set(&self, seconds: f64) -> io::Result<()> {
        // A timer that is set for no time is not set.
        let after = Duration::from_secs_f64(seconds.clamp(1e-9, 1e9));
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec { tv_sec: after.as_secs().cast_signed(), tv_nsec: after.subsec_nanos().into() };
        let once = Itimerspec { it_interval: never, it_value: value };
        Ok(timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once).map(drop)?)
    }
}
