//! A stream in memory whose every poll is decided by the test, and the peer at its other end.
//!
//! The peer is the library's own machine: [`Accepting`] answers the opening handshake, a server's [`Connection`] the rest.
//! It answers inside the client's write, so that a whole connection runs in one thread, step by step.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use aiowebsocket::opening::{AcceptProgress, Accepting, HeadLimits};
use aiowebsocket::protocol::{Config, Connection, Header, OpCode, Role};
use aiowebsocket::{WebSocket, connect};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::support::face::{Face, Message, Style};
use crate::support::rng::Rng;
use crate::support::start_of_time;

/// What one poll does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Moves at most this many bytes.
    Move(usize),
    /// Moves nothing yet; the task is woken at once.
    Wait,
    /// Moves nothing; whoever wants the task to go on says [`Wire::wake`].
    Stall,
    /// The stream breaks.
    Fail(ErrorKind),
    /// The end of the stream; for a write, nothing is taken.
    End,
}

/// What every poll does once the script is at its end: bytes of one poll, and whether every other poll waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) piece: usize,
    pub(crate) hesitates: bool,
}

impl Pace {
    pub(crate) const FAST: Self = Self { piece: usize::MAX, hesitates: false };

    /// Pending between any two pieces.
    pub(crate) fn slow(piece: usize) -> Self {
        Self { piece, hesitates: true }
    }
}

/// One direction of a stream.
struct Direction {
    script: VecDeque<Step>,
    pace: Pace,
    hesitated: bool,
    waker: Option<Waker>,
}

impl Direction {
    fn new() -> Self {
        Self { script: VecDeque::new(), pace: Pace::FAST, hesitated: false, waker: None }
    }

    fn next(&mut self) -> Step {
        if let Some(step) = self.script.pop_front() {
            // What stalls, stalls until the script is changed.
            if matches!(step, Step::Stall) {
                self.script.push_front(step);
            }
            return step;
        }
        self.hesitated = self.pace.hesitates && !self.hesitated;
        if self.hesitated { Step::Wait } else { Step::Move(self.pace.piece) }
    }

    /// How many bytes this poll may move.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        match self.next() {
            Step::Move(n) => Poll::Ready(Ok(n)),
            Step::Wait => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Stall => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Step::Fail(kind) => Poll::Ready(Err(kind.into())),
            Step::End => Poll::Ready(Ok(0)),
        }
    }
}

/// The state of a stream, shared with the test.
pub(crate) struct State {
    read: Direction,
    write: Direction,
    vectored: bool,
    /// Not read yet.
    pub(crate) incoming: VecDeque<u8>,
    /// After `incoming`, the stream ends.
    pub(crate) ended: bool,
    /// All that was written.
    pub(crate) wrote: Vec<u8>,
    pub(crate) flushed: usize,
    pub(crate) shut: bool,
    peer: Peer,
}

enum Peer {
    Nobody,
    Opening(Box<Accepting>, Config),
    Open(Box<Face>),
}

impl State {
    fn take(&mut self, bytes: &[u8]) {
        self.wrote.extend_from_slice(bytes);
        let now = start_of_time();
        if let Peer::Opening(accepting, config) = &mut self.peer {
            if let AcceptProgress::Request(_) = accepting.receive(bytes, now).expect("a good request") {
                accepting.accept(None, &[]).expect("a plain answer");
                self.incoming.extend(accepting.output());
                let machine = Connection::new(Role::Server, config.clone(), &accepting.take_leftover(), now);
                self.peer = Peer::Open(Box::new(Face::new(machine, Style::Mixed, Rng::new())));
            }
            return;
        }
        if let Peer::Open(face) = &mut self.peer {
            face.feed(bytes, || usize::MAX, now);
            self.incoming.extend(face.drain());
            self.ended |= face.machine.ending().is_some();
            self.wake_reader();
        }
    }

    /// The peer says nothing by itself any more.
    pub(crate) fn deaf(&mut self) {
        self.peer = Peer::Nobody;
    }

    /// Writes go on, and nobody is told.
    pub(crate) fn unstall_silently(&mut self) {
        self.write.script.clear();
    }

    /// What the next writes do; nobody is told.
    pub(crate) fn takes(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.write.script = steps.into_iter().collect();
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.read.waker.take() {
            waker.wake();
        }
    }
}

/// The test's hold on a stream.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<State>>);

impl Wire {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with the stream in hand")
    }

    /// Whether the stream is still held by somebody else.
    pub(crate) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(crate) fn pace(&self, pace: Pace) {
        let mut state = self.lock();
        (state.read.pace, state.write.pace) = (pace, pace);
    }

    /// What the next reads do; replaces what was said before.
    pub(crate) fn reads(&self, steps: impl IntoIterator<Item = Step>) {
        let mut state = self.lock();
        state.read.script = steps.into_iter().collect();
        state.wake_reader();
    }

    /// What the next writes do; replaces what was said before.
    pub(crate) fn writes(&self, steps: impl IntoIterator<Item = Step>) {
        let mut state = self.lock();
        state.write.script = steps.into_iter().collect();
        if let Some(waker) = state.write.waker.take() {
            waker.wake();
        }
    }

    /// Bytes of the peer.
    pub(crate) fn say(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.incoming.extend(bytes);
        state.wake_reader();
    }

    /// The messages that the peer has received so far, for the first time.
    pub(crate) fn messages(&self) -> Vec<Message> {
        match &mut self.lock().peer {
            Peer::Open(face) => std::mem::take(&mut face.messages),
            Peer::Nobody | Peer::Opening(..) => Vec::new(),
        }
    }
}

pub(crate) struct Stream(Arc<Mutex<State>>);

impl Stream {
    /// With nobody at the other end: what is read is what the test says, what is written is kept.
    pub(crate) fn alone() -> (Self, Wire) {
        Self::new(Peer::Nobody)
    }

    /// With a server at the other end that answers the handshake, pings and Close.
    pub(crate) fn to_server() -> (Self, Wire) {
        let mut config = Config::default();
        config.keepalive = None;
        Self::new(Peer::Opening(Box::new(Accepting::new(HeadLimits::default())), config))
    }

    fn new(peer: Peer) -> (Self, Wire) {
        let state = Arc::new(Mutex::new(State {
            read: Direction::new(),
            write: Direction::new(),
            vectored: true,
            incoming: VecDeque::new(),
            ended: false,
            wrote: Vec::new(),
            flushed: 0,
            shut: false,
            peer,
        }));
        (Self(Arc::clone(&state)), Wire(state))
    }

    /// A write takes only the first of several slices.
    pub(crate) fn without_vectored(self) -> Self {
        self.lock().vectored = false;
        self
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with the stream in hand")
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        assert!(buf.remaining() > 0, "a read into nothing would look like the end of the stream");
        let scripted = !state.read.script.is_empty();
        if !scripted && state.incoming.is_empty() {
            if state.ended {
                return Poll::Ready(Ok(()));
            }
            state.read.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        std::task::ready!(state.read.poll(cx))
            .map(|n| n.min(buf.remaining()).min(state.incoming.len()))
            .map(|n| {
                buf.put_slice(&state.incoming.make_contiguous()[..n]);
                state.incoming.drain(..n);
            })
            .into()
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        assert!(!state.shut, "nothing is written to a stream that was shut");
        assert!(slices.iter().all(|slice| !slice.is_empty()), "no slice is empty");
        let limit = std::task::ready!(state.write.poll(cx))?;
        let slices = if state.vectored { slices } else { &slices[..1] };
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(limit).collect();
        state.take(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().vectored
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        // A flush may have to wait too; it moves no bytes, so it is not in the script.
        if state.write.pace.hesitates && !std::mem::replace(&mut state.write.hesitated, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        state.write.hesitated = false;
        state.flushed = state.wrote.len();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().shut = true;
        Poll::Ready(Ok(()))
    }
}

/// An open client and the test's hold on its stream, with the handshake gone from what was written.
pub(crate) async fn open(config: Config, vectored: bool) -> (WebSocket<Stream>, Wire) {
    let (stream, wire) = Stream::to_server();
    let stream = if vectored { stream } else { stream.without_vectored() };
    let ws = connect("ws://in.memory/").config(config).over(stream).await.expect("the handshake");
    wire.lock().wrote.clear();
    (ws, wire)
}

/// No pings of our own: nothing but what the test says happens.
pub(crate) fn quiet() -> Config {
    let mut config = Config::default();
    config.keepalive = None;
    config
}

/// A server's frame.
pub(crate) fn frame(opcode: OpCode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let header = Header { fin, rsv: 0, opcode, mask: None, length: payload.len() as u64 };
    let mut head = [0; 14];
    let size = header.encode(&mut head);
    [&head[..size], payload].concat()
}

/// Counts how often it was woken.
#[derive(Default)]
pub(crate) struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls up to `polls` times, then drops the future: what it returned, if it did. A future that is pending although
/// nobody will wake it would hang in a real program, so that fails.
pub(crate) fn poll_at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        assert!(woken.0.swap(0, Ordering::Relaxed) > 0, "pending, and nobody will wake it");
    }
    None
}

/// Polls until it is done.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    poll_at_most(usize::MAX, future).expect("polled until it was done")
}

/// The frames that a client wrote, decoded the naive way: opcode and FIN as one byte, and the payload unmasked.
pub(crate) fn frames(mut wrote: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = wrote {
        assert!(second & 0x80 != 0, "a client masks");
        let (length, rest) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().expect("eight")), &rest[8..]),
            length => (u64::from(length), rest),
        };
        let (key, rest) = rest.split_at(4);
        let (payload, rest) = rest.split_at(usize::try_from(length).expect("in memory"));
        frames.push((*first, payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()));
        wrote = rest;
    }
    assert!(wrote.is_empty(), "half a header");
    frames
}
