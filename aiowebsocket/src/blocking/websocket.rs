//! An open connection, as the threads of its user hold it.
//!
//! The driver stands behind one lock, under which nothing waits. A call polls the driver until it is done. Where it is not, its
//! thread takes the poller and waits for the socket without the lock; where another thread has the poller, it sleeps on the bell.
//! Whoever comes back polls, rings where something happened that others may wait for, and leaves the poller to the next.
//!
//! Whoever waits for the socket does everything that there is to do, whatever for: reads, writes, answers, judges the time. So one
//! thread at a time is enough, and the others are told.

use std::cell::Cell;
use std::fmt;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use mio::Waker;
use mio::net::TcpStream;

use super::opening::Opened;
use super::poller::{Interrupt, Poller, judge, now};
use super::socket::{Socket, Watch};
use crate::deflate::Agreed;
use crate::face::driver::Driver;
use crate::face::{Counters, Data, Error, Event, Message, Outgoing, TimeLimit};
use crate::layer::TlsInfo;
use crate::opening::Response;
use crate::protocol::{CloseCode, Config, Connection, Kind, Role, Step, UsageError};

/// How long calls that never wait may go on without a look at what arrived. A fraction of any peer's patience, and a
/// read of the system ten times a second is nothing.
const LOOK: Duration = Duration::from_millis(100);

/// How long a ping waits behind a full backlog from which nobody takes anything. Whoever receives in a loop comes back sooner.
const STUCK: Duration = Duration::from_secs(1);

/// An open WebSocket, shared by the threads that hold it.
///
/// Nothing moves while no call waits, but see [`send`](Self::send): pings are answered, keep-alive is judged and the peer's Close is
/// noticed by whatever call waits. Dropping it closes the socket without a closing handshake; [`close`](Self::close) says goodbye.
pub struct WebSocket {
    shared: Mutex<State>,
    /// Rung for the threads that wait while another one has the poller.
    bell: Condvar,
    /// Ends the wait of the thread that has it.
    waker: Arc<Waker>,
    stream: Arc<TcpStream>,
    interrupt: Option<Arc<dyn Interrupt>>,
    subprotocol: Option<String>,
    response: Response,
    request: Vec<u8>,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
}

/// Some bytes of a message: see [`WebSocket::recv_part`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// What the message is. Text is checked, but a part of it may begin and end inside a character.
    pub kind: Kind,
    /// The bytes; at least one, but for the last part.
    pub data: Data,
    /// Whether the message ends here.
    pub last: bool,
}

struct State {
    driver: Driver<Socket, Watch>,
    /// Here while nobody waits for the socket.
    poller: Option<Poller>,
    /// What the thread that has the poller waits for.
    waiting: Waiting,
    /// Threads that sleep on the bell.
    sleepers: usize,
    /// Those of them that signals must reach.
    urgent: usize,
    /// When what arrived was looked at last.
    looked: Instant,
}

/// What a call waits for, besides the deadlines of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// What arrives.
    Input,
    /// Room for what leaves.
    Output,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    until: Option<Instant>,
    what: For,
    is_urgent: bool,
}

/// What may have changed for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    moves: u64,
    writes: u64,
    has_ended: bool,
    is_broken: bool,
}

impl WebSocket {
    pub(super) fn new(opened: Opened, config: Config, interrupt: Option<Arc<dyn Interrupt>>) -> Self {
        let Opened { socket, poller, waker, open: (opened, layer), request } = opened;
        let mut machine = Connection::new(Role::Client, config, &opened.leftover, now());
        if let Some(layer) = layer {
            machine.secure(layer);
        }
        if let Some(agreed) = opened.compression {
            machine.compress(agreed);
        }
        let stream = Arc::clone(&socket.stream);
        let (local, peer) = (stream.local_addr().ok(), stream.peer_addr().ok());
        let state = State {
            driver: Driver::new(socket, machine),
            poller: Some(poller),
            waiting: Waiting { until: None, what: For::Input, is_urgent: false },
            sleepers: 0,
            urgent: 0,
            looked: now(),
        };
        Self {
            shared: Mutex::new(state),
            bell: Condvar::new(),
            waker,
            stream,
            interrupt,
            subprotocol: opened.subprotocol,
            response: opened.response,
            request,
            local,
            peer,
        }
    }

    /// The next message. Where several threads wait for one, each message goes to one of them.
    ///
    /// `Ok(None)` when the peer closed with 1000, 1001 or no code at all; a later call says the same again.
    ///
    /// # Errors
    /// [`Error::Closed`] for every other close code, and with 1006 where the stream ended without a Close frame;
    /// [`Error::Protocol`] and [`Error::TooBig`] where the peer broke a rule or a limit (it was told so with a Close frame);
    /// [`Error::Timeout`] for a peer that is silent; [`Error::Tls`] and [`Error::Io`] for a stream that broke; [`Error::Usage`] in
    /// the middle of a message that is taken with [`recv_part`](Self::recv_part).
    pub fn recv(&self) -> Result<Option<Message>, Error> {
        self.recv_until(None)
    }

    /// The next message, if it comes within this time. What is there already comes even where that is zero.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); [`Error::Timeout`] with [`TimeLimit::Receive`] where none came. The connection goes on and nothing is lost: a message
    /// that had begun to arrive is there for a later call.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Message>, Error> {
        self.recv_until(now().checked_add(timeout))
    }

    fn recv_until(&self, until: Option<Instant>) -> Result<Option<Message>, Error> {
        self.call(For::Input, &Cell::new(until), |driver, cx| match driver.take_plain() {
            Some(message) => Poll::Ready(Ok(Some(message))),
            None => match driver.poll_recv_whole(cx) {
                Poll::Pending if is_past(until) => Poll::Ready(Err(Error::Timeout(TimeLimit::Receive))),
                received => received,
            },
        })
    }

    /// The next message or, where [`Config::control_events`] is on, the next ping or pong. Both are answered and accounted for
    /// by the connection itself; this only shows them.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_event(&self) -> Result<Option<Event>, Error> {
        self.call(For::Input, &Cell::new(None), |driver, cx| {
            driver.check_whole()?;
            Poll::Ready(match ready!(driver.poll_event(cx)) {
                Some(event) => Ok(Some(event)),
                None => driver.finish().map(|()| None),
            })
        })
    }

    /// The next part of a message: what is there of it, of a single frame too, as soon as it is there. For messages that are
    /// larger than memory should be: [`Config::max_message`] and [`Config::max_frame`] do not bound what is taken in parts. A
    /// message that arrived whole is one part.
    ///
    /// Begun in parts, a message is received in parts to its end; [`recv`](Self::recv) is an error in between.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_part(&self) -> Result<Option<Part>, Error> {
        self.call(For::Input, &Cell::new(None), |driver, cx| {
            if let Some(message) = driver.next_kept() {
                return Poll::Ready(Ok(Some(message.into())));
            }
            Poll::Ready(match ready!(driver.poll_part(cx)) {
                Some(Step::Message(incoming)) => Ok(Some(driver.own(incoming).into())),
                Some(Step::Part { kind, place, last }) => {
                    let data = Data::from(driver.machine.payload(place));
                    Ok(Some(Part { kind, data, last }))
                }
                _ => driver.finish().map(|()| None),
            })
        })
    }

    /// Sends one message and returns when its bytes, and all queued before, have left for the system.
    ///
    /// While the system takes no more, messages that arrive are kept up to [`Config::max_backlog`] bytes, so that two sides that
    /// send at the same time do not wait for each other; then reading pauses until some thread receives. A call that did
    /// not have to wait looks at what arrived at most every 100 ms.
    ///
    /// Strings are sent as text, bytes as binary; [`Outgoing::plain`] sends without compression. Owned payloads above 32 KiB are
    /// masked where they lie; everything else is copied once.
    ///
    /// # Errors
    /// [`Error::Closed`] and the other endings of [`recv`](Self::recv) where the connection is over or the peer's Close
    /// has come; [`Error::Usage`] after [`close`](Self::close).
    pub fn send<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        let mut message = Some(message.into());
        let mut target = 0;
        self.call(For::Output, &Cell::new(None), |driver, cx| {
            if let Some(queued) = ready!(queue(driver, cx, &mut message))? {
                target = queued;
            }
            driver.poll_sent(cx, target)
        })
    }

    /// Queues one message to leave with the next [`flush`](Self::flush) or [`send`](Self::send), or while any call waits, so that
    /// many messages share a write. Writing begins by itself when 128 KiB wait; above [`Config::max_queue`] this waits.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn feed<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        let mut message = Some(message.into());
        self.call(For::Output, &Cell::new(None), |driver, cx| queue(driver, cx, &mut message).map_ok(|_| ()))
    }

    /// Returns when everything that is queued now has left for the system.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn flush(&self) -> Result<(), Error> {
        let mut target = None;
        self.call(For::Output, &Cell::new(None), |driver, cx| {
            let target = *target.get_or_insert_with(|| driver.sent_when_empty());
            driver.poll_sent(cx, target)
        })
    }

    /// Sends a part of a message, a complete fragment, and returns when it has left. The part that is `last` ends the message;
    /// until then nothing else can be sent (RFC 6455 5.4), by no thread. All parts are text, each UTF-8 by itself, or all are
    /// binary.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`Error::Usage`] for a part of the other kind.
    pub fn send_part<'a>(&self, part: impl Into<Outgoing<'a>>, last: bool) -> Result<(), Error> {
        let mut part = Some(part.into());
        let mut target = 0;
        self.call(For::Output, &Cell::new(None), |driver, cx| {
            if part.is_some() && !driver.is_queue_short() {
                ready!(driver.poll_room(cx))?;
            }
            if let Some(part) = part.take() {
                driver.queue_part(part, last)?;
                target = driver.sent_when_empty();
            }
            driver.poll_sent(cx, target)
        })
    }

    /// Sends a ping and returns the time until its pong. Messages that arrive before it are kept for
    /// [`recv`](Self::recv), up to [`Config::max_backlog`] bytes.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`Error::Usage`] where so many messages came before the pong that the backlog is full, and no
    /// thread took one for a second.
    pub fn ping(&self) -> Result<Duration, Error> {
        let mut sent = None;
        // When the backlog was found full, and at which count of what happened.
        let mut full = None;
        let limit = Cell::new(None);
        self.call(For::Input, &limit, |driver, cx| {
            let polled = driver.poll_ping(cx, &mut sent);
            if !matches!(polled, Poll::Ready(Err(Error::Usage(UsageError::BacklogFull)))) {
                return polled;
            }
            if full != Some(driver.moves()) {
                full = Some(driver.moves());
                limit.set(now().checked_add(STUCK));
            }
            if is_past(limit.get()) { polled } else { Poll::Pending }
        })
    }

    /// Closes: sends a Close frame with this code and reason (at most 123 bytes), waits for the peer's and for it to end TCP
    /// first (RFC 6455 7.1.1), all within [`Config::close_timeout`]. Messages that arrive until then are kept for those who receive as
    /// far as there is room for them; what waits is dropped when there is none. A thread that waits in [`recv`](Self::recv) comes
    /// back when the connection has ended. Closing what is closed already is no error.
    ///
    /// # Errors
    /// [`Error::Usage`] for a code that must not be sent or a reason too long, with nothing changed; [`Error::Timeout`] where
    /// the peer did not answer in time; [`Error::Closed`] with 1006 where it ended the stream without a Close frame.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let mut begun = false;
        self.call(For::Input, &Cell::new(None), |driver, cx| {
            if !begun {
                driver.begin_close(code, reason)?;
                begun = true;
            }
            driver.poll_close_shared(cx)
        })
    }

    // ---- what is known

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.lock().driver.machine.is_open()
    }

    /// Whether the connection is over, as far as any call has noticed.
    pub fn has_ended(&self) -> bool {
        self.lock().driver.machine.ending().is_some()
    }

    /// The close code of the connection, once it is known: the peer's, 1005 where its Close frame had none, 1006
    /// where there was no Close frame, or the code that we failed the connection with.
    pub fn close_code(&self) -> Option<CloseCode> {
        Some(self.lock().driver.machine.outcome()?.code())
    }

    /// The reason in the peer's Close frame.
    pub fn close_reason(&self) -> Option<Box<str>> {
        self.lock().driver.close_reason()
    }

    /// The round-trip time of the newest ping that was answered, keep-alive's included.
    pub fn latency(&self) -> Option<Duration> {
        self.lock().driver.machine.round_trip().map(|(_, round_trip)| round_trip)
    }

    /// What passes through the connection from now on: messages and bytes each way, and the newest round trip. To be asked for once and
    /// read from anywhere, without a lock.
    pub fn counters(&self) -> Counters {
        self.lock().driver.counters()
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.lock().driver.machine.queued()
    }

    /// The compression that the two ends agreed on, if any; its `Display` is the server's answer.
    pub fn compression(&self) -> Option<Agreed> {
        self.lock().driver.machine.compression().copied()
    }

    /// What TLS agreed on, where the connection is secure by this library.
    pub fn tls(&self) -> Option<TlsInfo> {
        self.lock().driver.machine.tls_info()
    }

    /// The subprotocol that the server chose, if any.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The server's response: its headers, cookies for example.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// The head of the request that was sent last, its secrets included.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// The address of our end, where it has one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// The address of the other end: the server's, or the proxy's.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    // ---- how a call waits

    /// Polls until it is done, and waits in between, but not past the caller's own limit.
    fn call<R>(
        &self,
        what: For,
        limit: &Cell<Option<Instant>>,
        mut poll: impl FnMut(&mut Driver<Socket, Watch>, &mut Context<'_>) -> Poll<Result<R, Error>>,
    ) -> Result<R, Error> {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let _rings = RingsInPanic(&self.bell);
        let mut state = self.lock();
        loop {
            let before = state.mark();
            let polled = poll(&mut state.driver, cx);
            if polled.is_ready() && what == For::Output && state.is_unobserved() {
                // A program that only sends must not look dead to its peer.
                state.looked = now();
                _ = state.driver.poll_keep(cx);
            }
            self.tell(&state, before);
            match polled {
                Poll::Ready(result) => {
                    self.leave(&state);
                    return result;
                }
                Poll::Pending => state = self.wait(state, what, limit.get())?,
            }
        }
    }

    /// Waits until it is worth another poll.
    ///
    /// # Errors
    /// The poller's, or that of the user who was told of a signal.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        what: For,
        until: Option<Instant>,
    ) -> Result<MutexGuard<'a, State>, Error> {
        let is_urgent = self.interrupt.as_ref().is_some_and(|interrupt| interrupt.is_here());
        let gives_way = state.urgent > 0 && !is_urgent;
        let Some(mut poller) = state.poller.take_if(|_| !gives_way) else {
            return Ok(self.sleep(state, until, is_urgent));
        };
        let deadline = state.driver.machine.next_timeout();
        let until = [until, deadline].into_iter().flatten().min();
        state.waiting = Waiting { until, what, is_urgent };
        drop(state);
        let waited = poller.wait(until);
        let mut state = self.lock();
        state.poller = Some(poller);
        state.looked = now();
        if waited.is_err() || (state.urgent > 0 && !is_urgent) {
            self.leave(&state);
        }
        if waited.is_ok() {
            return Ok(state);
        }
        // Whoever is asked may do anything, call this connection too.
        drop(state);
        judge(waited, self.interrupt.as_deref()).map_err(Error::Io)?;
        Ok(self.lock())
    }

    /// Sleeps until the bell rings: another thread waits for the socket.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        until: Option<Instant>,
        is_urgent: bool,
    ) -> MutexGuard<'a, State> {
        if is_urgent && state.poller.is_none() && !state.waiting.is_urgent {
            self.wake();
        }
        state.sleepers += 1;
        state.urgent += usize::from(is_urgent);
        let mut state = match until {
            None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let time = until.saturating_duration_since(now());
                self.bell.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.sleepers -= 1;
        state.urgent -= usize::from(is_urgent);
        state
    }

    /// Tells the others what happened since then, each only where it may be what they wait for. Who waits for the socket is told
    /// by it of what comes and of room; what it cannot see is what was read or written in its place.
    fn tell(&self, state: &State, before: Mark) {
        let after = state.mark();
        let wrote = after.writes > before.writes;
        let is_news = after.moves - before.moves > after.writes - before.writes
            || (after.has_ended, after.is_broken) != (before.has_ended, before.is_broken);
        if after.has_ended && !before.has_ended {
            // Nothing will be read or written any more: the system may let go of the connection now.
            _ = self.stream.shutdown(Shutdown::Both);
        }
        if state.sleepers > 0 && (wrote || is_news) {
            self.bell.notify_all();
        }
        if state.poller.is_none() {
            let Waiting { until, what, .. } = state.waiting;
            let next = state.driver.machine.next_timeout();
            let is_sooner = next.is_some_and(|next| until.is_none_or(|until| next < until));
            if is_news || is_sooner || (wrote && what == For::Output) {
                self.wake();
            }
        }
    }

    /// The poller is left to whoever sleeps.
    fn leave(&self, state: &State) {
        if state.sleepers > 0 && state.poller.is_some() {
            self.bell.notify_all();
        }
    }

    /// Ends the wait of the thread that has the poller.
    fn wake(&self) {
        // Its counter cannot overflow, and nothing else fails there.
        _ = self.waker.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing of ours panics under this lock; an engine of TLS of the user's may, and then its connection reports the end.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever sleeps counts on the thread that waits for the socket. An engine of TLS of the user's may end that one by a panic.
struct RingsInPanic<'a>(&'a Condvar);

impl Drop for RingsInPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.notify_all();
        }
    }
}

impl State {
    fn mark(&self) -> Mark {
        Mark {
            moves: self.driver.moves(),
            writes: self.driver.stream.writes,
            has_ended: self.driver.machine.ending().is_some(),
            is_broken: self.driver.is_write_broken(),
        }
    }

    /// Nobody waits for the socket, and nobody has looked for a while.
    fn is_unobserved(&self) -> bool {
        self.poller.is_some() && now().saturating_duration_since(self.looked) >= LOOK
    }
}

fn is_past(limit: Option<Instant>) -> bool {
    limit.is_some_and(|limit| limit <= now())
}

/// Queues a message once there is room; the count of sent bytes at which it will have left, when that was done now.
fn queue(
    driver: &mut Driver<Socket, Watch>,
    cx: &mut Context<'_>,
    message: &mut Option<Outgoing<'_>>,
) -> Poll<Result<Option<u64>, Error>> {
    if message.is_some() && !driver.is_queue_short() {
        ready!(driver.poll_room(cx))?;
    }
    let Some(message) = message.take() else { return Poll::Ready(Ok(None)) };
    driver.queue(message)?;
    Poll::Ready(Ok(Some(driver.sent_when_empty())))
}

impl From<Message> for Part {
    fn from(message: Message) -> Self {
        let (kind, data) = match message {
            Message::Text(text) => (Kind::Text, text.into_data()),
            Message::Binary(data) => (Kind::Binary, data),
        };
        Self { kind, data, last: true }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A thread that is told of a signal may print it, while another one holds the lock for long.
        let mut shown = f.debug_struct("WebSocket");
        // It may carry a secret.
        shown.field("peer", &self.peer).field("subprotocol", &self.subprotocol.as_ref().map(|_| "…"));
        if let Ok(state) = self.shared.try_lock() {
            shown
                .field("open", &state.driver.machine.is_open())
                .field("ending", &state.driver.machine.ending());
        }
        shown.finish_non_exhaustive()
    }
}

/// The socket below, for its options. Reading or writing it breaks the protocol.
#[cfg(unix)]
impl std::os::fd::AsFd for WebSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The socket below, for its options. Reading or writing it breaks the protocol.
#[cfg(windows)]
impl std::os::windows::io::AsSocket for WebSocket {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.stream.as_socket()
    }
}
