//! When to connect again: the policy ([`Backoff`]) and the machine that follows it ([`Retries`]).

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use super::failure::{Failure, Wish};

/// How long to wait before connecting again, and when to give up.
///
/// The first delay after a connection is lost is random between 0 and 5 s, as RFC 6455 7.2.3 has it: when a server
/// stops, all its clients notice in the same moment, and must not come back in the same. The delays after that double,
/// 5, 10, 20, 40, 60, 60 s …, and of each a random half is left out for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first_delay: Duration,
    base_delay: Duration,
    max_delay: Duration,
    max_server_delay: Duration,
    stable_after: Duration,
    max_retries: Option<u32>,
    max_time: Option<Duration>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(5),
            base_delay: Duration::from_secs(5),
            max_delay: Duration::from_secs(60),
            max_server_delay: Duration::from_secs(300),
            stable_after: Duration::from_secs(60),
            max_retries: None,
            max_time: None,
        }
    }
}

impl Backoff {
    /// The first delay is random between zero and this. Default: 5 s, which RFC 6455 7.2.3 calls reasonable. Zero
    /// connects at once, which a server with many clients may not forgive.
    pub fn first_delay(mut self, most: Duration) -> Self {
        self.first_delay = most;
        self
    }

    /// The second delay, before it doubles from one to the next. Each is random between its half and its whole. Default:
    /// 5 s, so that it is longer than the first on average.
    pub fn base_delay(mut self, delay: Duration) -> Self {
        self.base_delay = delay;
        self
    }

    /// The longest that a delay becomes by doubling. Default: 60 s, which is what an outage costs its users at most
    /// after its end.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// The longest that a server may ask to be left alone, by Retry-After (RFC 9110 10.2.3) or the close codes 1012 (it
    /// restarts: 5 to 30 s) and 1013 (it is overloaded: the last half of the longest delay). A random part of the first
    /// delay is added, so that not all who were told the same come at the same time. Default: five minutes, more than
    /// restarts take; zero heeds no server.
    pub fn max_server_delay(mut self, delay: Duration) -> Self {
        self.max_server_delay = delay;
        self
    }

    /// A connection that was open for so long was a good one: what failed before it is forgotten. Default: 60 s, as long
    /// as the longest delay, so that a server that drops every connection at once sees no more of us than one that
    /// refuses it.
    pub fn stable_after(mut self, time: Duration) -> Self {
        self.stable_after = time;
        self
    }

    /// Gives up when so many retries in a row have failed. Default: never; zero retries nothing.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Gives up when the next attempt would begin later than this after the first failure in a row. Default: never.
    pub fn max_time(mut self, time: Duration) -> Self {
        self.max_time = Some(time);
        self
    }

    /// The delay before retry number `retry`, from 1, where no server asked for another one.
    fn delay(&self, retry: u32, random: Random) -> Duration {
        if retry == 1 {
            return random.between(Duration::ZERO, self.first_delay);
        }
        let doubled =
            1_u32.checked_shl(retry - 2).map_or(Duration::MAX, |n| self.base_delay.saturating_mul(n));
        let delay = doubled.min(self.max_delay);
        random.between(delay / 2, delay)
    }

    /// The delay that a server asks for.
    fn asked(&self, wish: Wish, random: Random) -> Duration {
        let asked = match wish {
            Wish::RetryAfter(delay) => {
                // Told in seconds, the same to all.
                let delay = delay.min(self.max_server_delay);
                return delay.saturating_add(random.between(Duration::ZERO, self.first_delay));
            }
            // What the register of close codes says of 1012.
            Wish::Restart => random.between(Duration::from_secs(5), Duration::from_secs(30)),
            Wish::Overload => random.between(self.max_delay / 2, self.max_delay),
        };
        asked.min(self.max_server_delay)
    }
}

/// A random number as the caller drew it.
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    /// Evenly spread between both.
    fn between(self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_nanos();
        // Of 128 bits the upper 64 are left; a span of more than 64 bits is 584 years.
        let part = (span.min(u128::from(u64::MAX)) * u128::from(self.0)) >> 64;
        least.saturating_add(Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX)))
    }
}

/// Follows a [`Backoff`] from one connection to the next.
///
/// The contract: tell it [`opened`](Self::opened) and [`failed`](Self::failed), both for attempts and for connections
/// that end, and wait as long as it says.
#[derive(Clone, Debug)]
pub struct Retries {
    backoff: Backoff,
    /// Failures in a row.
    failures: u32,
    /// When the first of them was.
    since: Option<Instant>,
    opened: Option<Instant>,
    attempt: u32,
}

impl Retries {
    /// Nothing has failed yet. The first attempt may be made at once.
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: 0, since: None, opened: None, attempt: 1 }
    }

    /// The number of the attempt that is being made or comes next, from 1; counted anew after each connection that
    /// opened. Then it stays until that connection ends.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The attempt led to an open connection.
    pub fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// The attempt failed, or the open connection has ended. The answer is how long to wait before the next attempt.
    ///
    /// `clock` is the time of day, by which the date of a Retry-After is measured; `random` must be drawn afresh, from
    /// all numbers of 64 bits.
    ///
    /// # Errors
    ///
    /// [`GaveUp`], when there is to be no other attempt.
    pub fn failed(
        &mut self,
        failure: Failure<'_>,
        now: Instant,
        clock: SystemTime,
        random: u64,
    ) -> Result<Duration, GaveUp> {
        match self.opened.take() {
            Some(opened) => {
                self.attempt = 1;
                if now.saturating_duration_since(opened) >= self.backoff.stable_after {
                    self.failures = 0;
                    self.since = None;
                }
            }
            None => self.attempt = self.attempt.saturating_add(1),
        }
        if failure.is_final() {
            return Err(GaveUp::Final);
        }
        self.failures = self.failures.saturating_add(1);
        let since = *self.since.get_or_insert(now);
        if let Some(retries) = self.backoff.max_retries.filter(|retries| self.failures > *retries) {
            return Err(GaveUp::Retries { retries });
        }
        let random = Random(random);
        let own = self.backoff.delay(self.failures, random);
        let delay = match failure.wish(clock) {
            Some(wish) => self.backoff.asked(wish, random).max(own),
            None => own,
        };
        let elapsed = now.saturating_duration_since(since).saturating_add(delay);
        match self.backoff.max_time.filter(|time| elapsed > *time) {
            Some(time) => Err(GaveUp::Time { time }),
            None => Ok(delay),
        }
    }
}

/// Why there is no other attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaveUp {
    /// It would fail in the same way: [`Failure::is_final`].
    Final,
    /// As many retries in a row failed as [`Backoff::max_retries`] allows.
    Retries {
        /// How many.
        retries: u32,
    },
    /// The next attempt would begin later than [`Backoff::max_time`] allows.
    Time {
        /// The time.
        time: Duration,
    },
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final => f.write_str("another attempt would fail in the same way"),
            Self::Retries { retries: 1 } => f.write_str("1 retry has failed"),
            Self::Retries { retries } => write!(f, "{retries} retries in a row have failed"),
            Self::Time { time } => {
                write!(f, "the next attempt would come later than {time:?} after the first failure")
            }
        }
    }
}
