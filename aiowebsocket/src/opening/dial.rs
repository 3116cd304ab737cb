//! In which order and when the addresses of a host are dialled (RFC 8305, "Happy Eyeballs").
//!
//! A host that has an IPv6 and an IPv4 address is often reached over one of them only, and a family that does not work
//! mostly says nothing at all. So the next address is tried before the one before it has given up, and whichever
//! answers first is taken.

use core::net::SocketAddr;
use std::fmt;
use std::io::{Error, ErrorKind};
use std::time::{Duration, Instant};

/// The Connection Attempt Delay of RFC 8305 5, in the value that it recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses that are tried; more are left out. As many as start within the ten seconds that opening may take by
/// default. A resolver's answer can have hundreds.
const MOST_ADDRESSES: usize = 40;

/// Which of a host's addresses to dial, and when.
///
/// Three kinds of methods:
/// * what to do: [`next`](Self::next) says which attempt to start now. [`is_wanted`](Self::is_wanted) says whether
///   one that is under way is still to be waited for.
/// * what happened: [`failed`](Self::failed) and [`connected`](Self::connected).
/// * time: [`next_timeout`](Self::next_timeout) says when to call [`handle_timeout`](Self::handle_timeout). `now` must
///   never run backwards.
///
/// The contract: call `next` until it is `None`, then drop the attempts that are not wanted, then wait for one of
/// those under way or the deadline, tell the machine, and begin again. It ends with the attempt that `connected` is
/// true for (all others are to be dropped), or with the error of `next`.
#[derive(Debug)]
pub struct Dialling {
    attempt_timeout: Option<Duration>,
    /// In the order in which they are tried. An attempt's id is its place here.
    addresses: Vec<(SocketAddr, State)>,
    /// The attempts so far: of so many addresses, from the first on.
    begun: usize,
    /// When the next address is tried if nothing happens before; `None` is at once.
    next_start: Option<Instant>,
    winner: Option<AttemptId>,
}

#[derive(Debug)]
enum State {
    Waiting,
    UnderWay { deadline: Option<Instant> },
    Failed(Error),
}

/// Names an attempt among those of its [`Dialling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId(usize);

/// A connection to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// By which the machine is told what became of it.
    pub id: AttemptId,
    /// Where to connect.
    pub address: SocketAddr,
}

impl Dialling {
    /// Dials these addresses, in the resolver's order but with the families taking turns, the first one's first (RFC
    /// 8305 4). Of those that stand there twice, and of more than 40, the rest is left out.
    ///
    /// An attempt that takes longer than `attempt_timeout` has failed; without one it takes as long as the system lets
    /// it, which for an address that says nothing is two minutes on Linux.
    pub fn new(addresses: &[SocketAddr], attempt_timeout: Option<Duration>) -> Self {
        let addresses = match addresses {
            // As of every literal, and of most names.
            [address] => vec![(*address, State::Waiting)],
            _ => by_turns(addresses).into_iter().map(|address| (address, State::Waiting)).collect(),
        };
        Self { attempt_timeout, addresses, begun: 0, next_start: None, winner: None }
    }

    /// The attempt to be started now, if any. The first starts at once; another 250 ms after the last (RFC 8305 5), or
    /// as soon as one fails.
    ///
    /// # Errors
    ///
    /// Every address has failed, or there was none.
    pub fn next(&mut self, now: Instant) -> Result<Option<Attempt>, DialError> {
        if self.winner.is_some() {
            return Ok(None);
        }
        let under_way = self.is_under_way();
        let Some((address, state)) = self.addresses.get_mut(self.begun) else {
            return if under_way { Ok(None) } else { Err(self.error(None)) };
        };
        if self.next_start.is_some_and(|start| now < start) {
            return Ok(None);
        }
        let id = AttemptId(self.begun);
        let deadline = self.attempt_timeout.and_then(|timeout| now.checked_add(timeout));
        *state = State::UnderWay { deadline };
        self.begun += 1;
        self.next_start = Some(now + ATTEMPT_DELAY);
        Ok(Some(Attempt { id, address: *address }))
    }

    /// The attempt failed. Nothing happens where it is not wanted any more.
    pub fn failed(&mut self, id: AttemptId, cause: Error) {
        if self.is_wanted(id) {
            self.addresses[id.0].1 = State::Failed(cause);
            self.next_start = None;
        }
    }

    /// The attempt has a connection. True: it is the one, and all others are to be dropped. False: it is not wanted
    /// any more, and is to be dropped itself.
    pub fn connected(&mut self, id: AttemptId) -> bool {
        let is_the_one = self.winner.is_none() && self.is_wanted(id);
        if is_the_one {
            self.winner = Some(id);
        }
        is_the_one
    }

    /// Whether the attempt is to be waited for, or, once one is connected, whether it is the one.
    pub fn is_wanted(&self, id: AttemptId) -> bool {
        match self.winner {
            Some(winner) => winner == id,
            None => matches!(self.addresses.get(id.0), Some((_, State::UnderWay { .. }))),
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if at all.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.winner.is_some() {
            return None;
        }
        let start = self.next_start.filter(|_| self.begun < self.addresses.len());
        let deadlines = self.addresses.iter().filter_map(|(_, state)| match state {
            State::UnderWay { deadline } => *deadline,
            State::Waiting | State::Failed(_) => None,
        });
        deadlines.chain(start).min()
    }

    /// The time has come, or not yet: a call before the deadline does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.winner.is_some() {
            return;
        }
        for (_, state) in &mut self.addresses {
            if matches!(state, State::UnderWay { deadline: Some(deadline) } if *deadline <= now) {
                *state =
                    State::Failed(Error::new(ErrorKind::TimedOut, "no answer in the time of an attempt"));
                self.next_start = None;
            }
        }
    }

    /// What to say where the caller's own time is up: each address that was tried, with its cause; those under way had
    /// no answer yet.
    pub fn give_up(mut self) -> DialError {
        self.error(Some("no answer yet"))
    }

    fn is_under_way(&self) -> bool {
        self.addresses.iter().any(|(_, state)| matches!(state, State::UnderWay { .. }))
    }

    /// Takes the causes out. Those under way get one where the caller has one for them.
    fn error(&mut self, under_way: Option<&'static str>) -> DialError {
        // Every later call says that there is nothing left.
        self.begun = 0;
        let mut causes = Vec::new();
        for (address, state) in std::mem::take(&mut self.addresses) {
            match (state, under_way) {
                (State::Failed(cause), _) => causes.push((address, cause)),
                (State::UnderWay { .. }, Some(cause)) => {
                    causes.push((address, Error::new(ErrorKind::TimedOut, cause)));
                }
                (State::UnderWay { .. }, None) | (State::Waiting, _) => {}
            }
        }
        DialError { causes, with_proxy: false }
    }
}

/// RFC 8305 4, with a First Address Family Count of one: the families take turns as long as there are both.
fn by_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut turns: Vec<SocketAddr> = Vec::new();
    let Some(first) = addresses.first() else { return turns };
    let mut families = [first.is_ipv6(), !first.is_ipv6()].map(|is_ipv6| (is_ipv6, addresses.iter()));
    // Ends with the family that has more; of one that has no more, the turns are passed over.
    loop {
        let before = turns.len();
        for (is_ipv6, rest) in &mut families {
            // Each is held against 40 others at most, whatever the resolver gave.
            if turns.len() < MOST_ADDRESSES
                && let Some(next) = rest.find(|&next| next.is_ipv6() == *is_ipv6 && !turns.contains(next))
            {
                turns.push(*next);
            }
        }
        if turns.len() == before {
            return turns;
        }
    }
}

/// No address could be connected to.
///
/// `Display` is one line that names each address with its cause, those with the same cause together.
pub struct DialError {
    causes: Vec<(SocketAddr, Error)>,
    with_proxy: bool,
}

impl DialError {
    /// Each address that was tried, with what became of it, in the order in which they were tried.
    pub fn causes(&self) -> &[(SocketAddr, Error)] {
        &self.causes
    }

    /// The same, of the way to a proxy.
    pub(super) fn with_the_proxy(self) -> Self {
        Self { with_proxy: true, ..self }
    }

    /// The kind of the most telling cause: that a host said no tells more than that another was silent, and that more
    /// than that this machine has no way there, which is what an IPv6 address comes to where there is no IPv6.
    /// [`ErrorKind::NotFound`] where there was no address.
    pub fn kind(&self) -> ErrorKind {
        self.most_telling().map_or(ErrorKind::NotFound, Error::kind)
    }

    fn most_telling(&self) -> Option<&Error> {
        let rank = |kind| match kind {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => 0,
            ErrorKind::PermissionDenied => 1,
            ErrorKind::TimedOut => 2,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => 4,
            _ => 3,
        };
        self.causes.iter().map(|(_, cause)| cause).min_by_key(|cause| rank(cause.kind()))
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.causes.is_empty() {
            return f.write_str("there is no address to connect to");
        }
        if self.with_proxy {
            f.write_str("the proxy at ")?;
        }
        // Those with the same cause stand where the first of them stands.
        let same = |a: &Error, b: &Error| a.kind() == b.kind() && a.to_string() == b.to_string();
        for (i, (_, cause)) in self.causes.iter().enumerate() {
            if self.causes[..i].iter().any(|(_, before)| same(before, cause)) {
                continue;
            }
            let mut separator = if i == 0 { "" } else { "; " };
            for (address, _) in self.causes[i..].iter().filter(|(_, other)| same(other, cause)) {
                write!(f, "{separator}{address}")?;
                separator = ", ";
            }
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for DialError {
    /// What `Display` says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DialError({self})")
    }
}

impl std::error::Error for DialError {
    /// What is behind the most telling cause; `Display` has said them all.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.most_telling()?.source()
    }
}

impl From<DialError> for Error {
    /// With the kind of the most telling cause; `get_ref` has the whole.
    fn from(error: DialError) -> Self {
        Self::new(error.kind(), error)
    }
}
