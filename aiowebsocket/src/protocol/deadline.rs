//! Time: keep-alive, round trips, and the limit on closing. Nothing here reads a clock; `now` is an argument, and the
//! face asks for the next deadline before it sleeps.
//!
//! No work is done per message: a read notes when it happened and that the peer lives, and everything else is derived from
//! that note.

use std::time::{Duration, Instant};

use super::config::KeepAlive;

/// Pings whose pongs may still come. A pong answers every ping before it too, so only users who drop
/// `ping()` and call it again ever have more than two under way.
const IN_FLIGHT: usize = 4;

/// Which time limit ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// No byte arrived within the keep-alive's timeout after a ping.
    KeepAlive,
    /// The closing handshake was not completed in time.
    Close,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// A keep-alive ping.
    Ping,
    /// The end of the connection.
    Timeout(Timeout),
}

/// The clock notes of one connection.
#[derive(Debug)]
pub(super) struct Deadlines {
    keepalive: Option<KeepAlive>,
    /// The last time we were told.
    now: Instant,
    /// When the last ping was queued, by us or by the user; at first when the connection opened.
    pinged: Instant,
    /// The oldest ping after which no byte has arrived: the silence is counted from it, not from later pings. Told by the
    /// order of the calls, not by comparing times: a clock may stand still between a ping and its pong.
    unanswered: Option<Instant>,
    /// Bytes that wait to be written before that ping. While the peer takes these it lives, although it cannot have
    /// answered: a large message may take minutes to leave.
    ahead: usize,
    /// Some of them have left since the deadline was last judged.
    moved: bool,
    /// Reading is paused: silence means nothing.
    paused: bool,
    /// When the closing handshake must be over.
    close_by: Option<Instant>,
    in_flight: [Option<Ping>; IN_FLIGHT],
    next_ping: u64,
    round_trip: Option<(u64, Duration)>,
}

/// One ping under way.
#[derive(Clone, Copy, Debug)]
struct Ping {
    id: u64,
    sent: Instant,
}

impl Deadlines {
    /// A connection that opened at `now`.
    pub(super) fn new(keepalive: Option<KeepAlive>, now: Instant) -> Self {
        Self {
            // No time between two pings would be nothing but pings.
            keepalive: keepalive.filter(|keepalive| !keepalive.interval.is_zero()),
            now,
            pinged: now,
            unanswered: None,
            ahead: 0,
            moved: false,
            paused: false,
            close_by: None,
            in_flight: [None; IN_FLIGHT],
            next_ping: 0,
            round_trip: None,
        }
    }

    /// Bytes arrived.
    #[inline]
    pub(super) fn heard(&mut self, now: Instant) {
        self.now = now;
        self.unanswered = None;
    }

    /// Bytes were written.
    #[inline]
    pub(super) fn wrote(&mut self, n: usize) {
        if self.ahead > 0 {
            self.ahead = self.ahead.saturating_sub(n);
            self.moved = true;
        }
    }

    /// A ping is queued behind `ahead` bytes: its number, which its payload carries.
    pub(super) fn ping(&mut self, now: Instant, ahead: usize) -> u64 {
        let id = self.next_ping;
        self.next_ping += 1;
        self.now = now;
        self.pinged = now;
        if self.unanswered.is_none() {
            self.unanswered = Some(now);
            (self.ahead, self.moved) = (ahead, false);
        }
        self.in_flight.rotate_left(1);
        self.in_flight[IN_FLIGHT - 1] = Some(Ping { id, sent: now });
        id
    }

    /// A pong arrived that carries the number of a ping. It answers that ping and all before it; a number that is not under
    /// way, of an unsolicited pong or an old one, changes nothing.
    pub(super) fn pong(&mut self, id: u64) {
        let Some(ping) = self.in_flight.iter().flatten().find(|ping| ping.id == id).copied() else { return };
        self.round_trip = Some((id, self.now.saturating_duration_since(ping.sent)));
        for slot in &mut self.in_flight {
            *slot = slot.filter(|ping| ping.id > id);
        }
    }

    /// Reading is paused, or goes on.
    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// From when silence counts.
    fn silent_since(&self) -> Option<Instant> {
        if self.paused { None } else { self.unanswered }
    }

    /// The newest ping that was answered, and how long that took.
    pub(super) fn round_trip(&self) -> Option<(u64, Duration)> {
        self.round_trip
    }

    /// The closing handshake began; an earlier beginning stands.
    pub(super) fn closing(&mut self, timeout: Duration) {
        if self.close_by.is_none() {
            // A limit beyond the end of time is none.
            self.close_by = self.now.checked_add(timeout);
        }
        self.keepalive = None;
    }

    /// The same, told the time.
    pub(super) fn closing_at(&mut self, now: Instant, timeout: Duration) {
        self.now = now;
        self.closing(timeout);
    }

    /// When [`due`](Self::due) will have something to say, if no byte arrives before.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        if self.close_by.is_some() {
            return self.close_by;
        }
        let KeepAlive { interval, timeout } = self.keepalive?;
        let ping = self.pinged.checked_add(interval);
        let death = self.silent_since().and_then(|since| since.checked_add(timeout));
        match (ping, death) {
            (Some(ping), Some(death)) => Some(ping.min(death)),
            (ping, death) => ping.or(death),
        }
    }

    /// What is due at `now`.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        self.now = now;
        if self.next().is_none_or(|next| now < next) {
            return Due::Nothing;
        }
        if self.close_by.is_some() {
            return Due::Timeout(Timeout::Close);
        }
        let timeout = self.keepalive.map(|keepalive| keepalive.timeout);
        match self.silent_since().zip(timeout) {
            Some((since, timeout)) if now.saturating_duration_since(since) >= timeout => {
                if !std::mem::take(&mut self.moved) {
                    return Due::Timeout(Timeout::KeepAlive);
                }
                self.unanswered = Some(now);
                Due::Nothing
            }
            _ => Due::Ping,
        }
    }
}
