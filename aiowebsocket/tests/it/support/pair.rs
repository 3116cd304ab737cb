//! Two machines, a fake wire between them, and a fake clock: whole connections as exact events, without a socket and without
//! sleep.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use aiowebsocket::protocol::{Config, Connection, Ending, Role};

use super::face::{Face, Message, Style};
use super::rng::Rng;
use super::{same_key, start_of_time};

/// More turns than this at one instant, or instants in one drive, are an endless loop.
const BOUND: usize = 1_000_000;

/// One end of the pair.
pub(crate) struct End {
    pub(crate) face: Face,
    /// What is under way to this end, and when it arrives. An empty one is the end of the stream.
    arriving: VecDeque<(Instant, Vec<u8>)>,
    /// Everything this end wrote.
    pub(crate) wrote: Vec<u8>,
    /// Neither reads nor writes any more, and nobody is told: a machine that lost its power.
    pub(crate) dead: bool,
    /// Does not write: its socket is full.
    pub(crate) stalled: bool,
    /// Its side of the stream is shut, and when.
    pub(crate) shut_at: Option<Duration>,
    /// When its connection ended.
    pub(crate) ended_at: Option<Duration>,
}

impl End {
    fn new(role: Role, config: Config, now: Instant, style: Style) -> Self {
        Self {
            face: Face::new(Connection::new(role, config, &[], now), style, Rng::new()),
            arriving: VecDeque::new(),
            wrote: Vec::new(),
            dead: false,
            stalled: false,
            shut_at: None,
            ended_at: None,
        }
    }

    pub(crate) fn machine(&mut self) -> &mut Connection {
        &mut self.face.machine
    }

    pub(crate) fn messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.face.messages)
    }

    #[track_caller]
    pub(crate) fn ending(&self) -> Ending {
        self.face.machine.ending().expect("the connection has ended").clone()
    }

    /// When something will happen to this end without anybody else.
    fn next(&self) -> Option<Instant> {
        if self.dead {
            return None;
        }
        let arrival = self.arriving.front().map(|(at, _)| *at);
        let timeout = self.face.machine.next_timeout();
        arrival.into_iter().chain(timeout).min()
    }
}

/// A client, a server, and what lies between.
pub(crate) struct Pair {
    pub(crate) client: End,
    pub(crate) server: End,
    start: Instant,
    now: Instant,
    /// How long bytes are under way.
    pub(crate) delay: Duration,
    /// The most bytes that one read brings.
    pub(crate) chunk: usize,
    rng: Rng,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(&Config::default(), &Config::default(), Style::Mixed)
    }

    pub(crate) fn with(client: &Config, server: &Config, style: Style) -> Self {
        let start = start_of_time();
        Self {
            client: End::new(Role::Client, client.clone(), start, style),
            server: End::new(Role::Server, server.clone(), start, style),
            start,
            now: start,
            delay: Duration::from_millis(50),
            chunk: usize::MAX,
            rng: Rng::new(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Time since the connection opened.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Ends the stream that `from` writes, as a process does that is killed.
    pub(crate) fn cut(from: &mut End, to: &mut End, now: Instant) {
        from.dead = true;
        to.arriving.push_back((now, Vec::new()));
    }

    /// Everything that happens at this instant.
    pub(crate) fn settle(&mut self) {
        for _ in 0..BOUND {
            let elapsed = self.elapsed();
            let arrives = self.now + self.delay;
            let client = turn(
                &mut self.client,
                &mut self.server,
                self.now,
                elapsed,
                arrives,
                self.chunk,
                &mut self.rng,
            );
            let server = turn(
                &mut self.server,
                &mut self.client,
                self.now,
                elapsed,
                arrives,
                self.chunk,
                &mut self.rng,
            );
            if !client && !server {
                return;
            }
        }
        panic!("the pair does not come to rest at {:?}", self.elapsed());
    }

    /// Everything that happens within `time`, then the clock stands at its end.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..BOUND {
            self.settle();
            match self.next() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the pair does not get to {time:?}");
    }

    /// Everything that happens until both connections have ended.
    pub(crate) fn run_to_the_end(&mut self) {
        for _ in 0..BOUND {
            self.settle();
            match self.next() {
                Some(next) => self.now = next.max(self.now),
                None => return,
            }
        }
        panic!("the pair does not end");
    }

    fn next(&self) -> Option<Instant> {
        self.client.next().into_iter().chain(self.server.next()).min()
    }
}

/// What one end does when it is polled: writes, reads what has arrived, and only then looks at the clock. True where anything
/// happened.
fn turn(
    end: &mut End,
    peer: &mut End,
    now: Instant,
    elapsed: Duration,
    arrives: Instant,
    chunk: usize,
    rng: &mut Rng,
) -> bool {
    if end.dead {
        return false;
    }
    let mut happened = write(end, peer, elapsed, arrives);
    end.face.feed(&[], || 1, now);
    while end.arriving.front().is_some_and(|(at, _)| *at <= now) {
        let (_, bytes) = end.arriving.pop_front().expect("seen above");
        happened = true;
        if bytes.is_empty() {
            end.face.machine.received_end();
        }
        end.face.feed(&bytes, || 1 + rng.below(chunk), now);
        write(end, peer, elapsed, arrives);
    }
    if end.face.machine.next_timeout().is_some_and(|next| next <= now) {
        end.face.machine.handle_timeout(now, &mut same_key);
        happened = true;
        write(end, peer, elapsed, arrives);
    }
    if end.face.machine.ending().is_some() && end.ended_at.is_none() {
        end.ended_at = Some(elapsed);
        happened = true;
        shut(end, peer, elapsed, arrives);
    }
    happened
}

fn write(end: &mut End, peer: &mut End, elapsed: Duration, arrives: Instant) -> bool {
    if end.stalled {
        return false;
    }
    let bytes = end.face.drain();
    let wrote = !bytes.is_empty();
    if wrote && end.shut_at.is_none() {
        end.wrote.extend_from_slice(&bytes);
        peer.arriving.push_back((arrives, bytes));
    }
    if end.face.machine.shuts_first() {
        shut(end, peer, elapsed, arrives);
    }
    wrote
}

fn shut(end: &mut End, peer: &mut End, elapsed: Duration, arrives: Instant) {
    if end.shut_at.is_none() {
        end.shut_at = Some(elapsed);
        peer.arriving.push_back((arrives, Vec::new()));
    }
}
