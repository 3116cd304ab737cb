//! Two halves of one connection, for two tasks or more: a [`Sender`] that can be cloned, and a [`Receiver`].
//!
//! Both halves drive the whole connection: whichever is polled reads, writes, answers pings and the peer's Close. What a
//! sender reads meanwhile is kept for the receiver, up to [`Config::max_backlog`](crate::Config::max_backlog) bytes. The
//! driver sits behind one lock that is never held across an await, and the stream gets one waker (parking.rs).

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::driver::Driver;
use super::parking::{Line, Parking, Place};
use crate::face::{Error, Message, Outgoing};
use crate::protocol::{CloseCode, UsageError};

const RECEIVER: Place = 0;
const BACKGROUND: Place = 1;
const FIRST_CALL: Place = 2;
/// Of a look that waits for nothing, and so is never on the list.
const PASSING: Place = Place::MAX;

/// The sending half. Clones send on the same connection, in the order in which they come.
///
/// Dropping every sender leaves the receiver working. Dropping both halves closes the stream without a closing handshake,
/// unless [`WebSocket::background`](super::WebSocket::background) made them: then its task says goodbye.
pub struct Sender<S = TcpStream>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    shared: Arc<Shared<S>>,
    /// Its place on the list when it is used as a sink; each call has its own.
    place: Place,
}

/// The receiving half.
///
/// While it is held but not polled, messages wait up to [`Config::max_backlog`](crate::Config::max_backlog) bytes, then reading
/// pauses. Dropping it means that nobody wants the messages: they are dropped as they come, and senders go on.
pub struct Receiver<S = TcpStream>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    shared: Arc<Shared<S>>,
}

/// Why [`Sender::try_send`] did not queue a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrySendError {
    /// The queue is full, or other senders wait for room before this one.
    Full,
    /// Nothing can be sent any more.
    Closed(Error),
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the send queue is full"),
            Self::Closed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrySendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Full => None,
            // `Display` has said it.
            Self::Closed(error) => error.source(),
        }
    }
}

struct Shared<S> {
    state: Mutex<State<S>>,
    parking: Arc<Parking>,
    /// The parking's own, the only one that the stream ever gets.
    waker: Waker,
}

struct State<S> {
    driver: Driver<S>,
    /// Calls that wait for room in the queue, first come, first served.
    line: Line,
    next_call: Place,
    /// Halves that are held: every sender, and the receiver.
    halves: usize,
}

#[derive(Clone, Copy)]
enum Half {
    Sender,
    Receiver,
}

/// The two halves of a connection.
pub(super) fn split<S>(mut driver: Driver<S>) -> (Sender<S>, Receiver<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    driver.receive_whole();
    let parking = Arc::new(Parking::new());
    let waker = Waker::from(Arc::clone(&parking));
    let state = State { driver, line: Line::default(), next_call: FIRST_CALL + 1, halves: 2 };
    let shared = Arc::new(Shared { state: Mutex::new(state), parking, waker });
    (Sender { shared: Arc::clone(&shared), place: FIRST_CALL }, Receiver { shared })
}

/// The same, and a task that drives the connection while nobody else does. It ends with the connection, or says goodbye when
/// both halves are gone.
pub(super) fn background<S>(driver: Driver<S>) -> (Sender<S>, Receiver<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, receiver) = split(driver);
    let shared = Arc::clone(&sender.shared);
    tokio::spawn(async move { poll_fn(|cx| shared.poll_background(cx)).await });
    (sender, receiver)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    /// Sends one message and returns when its bytes have left for the stream. Calls are served in the order of their first
    /// poll.
    ///
    /// # Errors
    /// As [`WebSocket::send`](super::WebSocket::send).
    ///
    /// # Cancel safety
    /// With room in the queue and nobody before it, the message is taken whole at the first poll, and dropping the future
    /// neither withdraws nor doubles it. A call that still waits for its turn has sent nothing when it is dropped.
    pub async fn send(&self, message: impl Into<Outgoing<'_>>) -> Result<(), Error> {
        let mut message = Some(message.into());
        let mut target = 0;
        // Most leave at once, and then need no place.
        let at_once = self.shared.pass(|state, cx| {
            ready!(state.queue_at_once(&mut message, &mut target))?;
            state.driver.poll_sent(cx, target)
        });
        if let Poll::Ready(sent) = at_once {
            return sent;
        }
        let call = Call::new(&self.shared);
        poll_fn(|cx| {
            let own = cx.waker();
            call.poll(cx, |state, cx| {
                ready!(state.poll_queue(&call, own, cx, &mut message, &mut target))?;
                state.driver.poll_sent(cx, target)
            })
        })
        .await
    }

    /// Queues one message; it leaves with the next [`flush`](Self::flush), [`send`](Self::send), or whenever either half is
    /// polled. Waits while [`Config::max_queue`](crate::Config::max_queue) bytes wait.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn feed(&self, message: impl Into<Outgoing<'_>>) -> Result<(), Error> {
        let mut message = Some(message.into());
        let mut target = 0;
        // No look at the stream, which would write and read for each: `flush` does that for all.
        let at_once = self.shared.lock().queue_at_once(&mut message, &mut target);
        if let Poll::Ready(queued) = at_once {
            self.shared.parking.wake_others(PASSING);
            return queued;
        }
        let call = Call::new(&self.shared);
        poll_fn(|cx| {
            let own = cx.waker();
            call.poll(cx, |state, cx| state.poll_queue(&call, own, cx, &mut message, &mut target))
        })
        .await
    }

    /// Queues one message if there is room and nobody waits for it, and writes what the stream takes at once. Never waits.
    ///
    /// # Errors
    /// [`TrySendError::Full`], with nothing queued; [`TrySendError::Closed`].
    pub fn try_send<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), TrySendError> {
        let tried = self.shared.pass(|state, cx| {
            if let Err(error) = state.driver.check_open() {
                return Poll::Ready(Err(TrySendError::Closed(error)));
            }
            if !state.line.is_empty() || !state.driver.has_queue_room() {
                return Poll::Ready(Err(TrySendError::Full));
            }
            Poll::Ready(match state.driver.queue(message.into()) {
                Ok(()) => {
                    // What does not leave now leaves when either half is polled.
                    _ = state.driver.poll_flush(cx);
                    Ok(())
                }
                Err(error) => Err(TrySendError::Closed(error)),
            })
        });
        match tried {
            Poll::Ready(result) => result,
            Poll::Pending => unreachable!("a try has an outcome"),
        }
    }

    /// Returns when everything that is queued now has left for the stream.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropping the future leaves what was not written in the queue.
    pub async fn flush(&self) -> Result<(), Error> {
        let call = Call::new(&self.shared);
        let mut target = None;
        poll_fn(|cx| {
            call.poll(cx, |state, cx| {
                let target = *target.get_or_insert_with(|| state.driver.sent_when_empty());
                state.driver.poll_sent(cx, target)
            })
        })
        .await
    }

    /// Sends a ping and returns the time until its pong.
    ///
    /// # Errors
    /// As [`WebSocket::ping`](super::WebSocket::ping).
    ///
    /// # Cancel safety
    /// Dropping the future loses the measurement only.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let call = Call::new(&self.shared);
        let mut sent = None;
        poll_fn(|cx| call.poll(cx, |state, cx| state.driver.poll_ping(cx, &mut sent))).await
    }

    /// Closes, as [`WebSocket::close`](super::WebSocket::close) does. Messages that arrive until then are kept for the
    /// receiver as far as there is room for them; what waits is dropped when there is none.
    ///
    /// # Errors
    /// As [`WebSocket::close`](super::WebSocket::close).
    ///
    /// # Cancel safety
    /// The Close frame is queued at the first poll; call `close` again to go on.
    pub async fn close(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let call = Call::new(&self.shared);
        let mut begun = false;
        poll_fn(|cx| {
            call.poll(cx, |state, cx| {
                if !begun {
                    state.driver.begin_close(code, reason)?;
                    begun = true;
                }
                state.driver.poll_close_shared(cx)
            })
        })
        .await
    }

    /// The close code, once it is known: [`WebSocket::close_code`](super::WebSocket::close_code).
    pub fn close_code(&self) -> Option<CloseCode> {
        Some(self.shared.lock().driver.machine.outcome()?.code())
    }

    /// A look on behalf of this sender as a sink.
    #[cfg(feature = "futures")]
    pub(super) fn poll_own(
        &self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut Driver<S>, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        self.shared.poll(self.place, cx, |state, cx| look(&mut state.driver, cx))
    }

    /// Queues a message for which the sink was ready.
    #[cfg(feature = "futures")]
    pub(super) fn queue(&self, message: Outgoing<'_>) -> Result<(), Error> {
        let queued = self.shared.lock().driver.queue(message);
        // A background task writes it.
        self.shared.parking.wake_others(self.place);
        queued
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    /// The next message: [`WebSocket::recv`](super::WebSocket::recv).
    ///
    /// # Errors
    /// As [`WebSocket::recv`](super::WebSocket::recv).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        if let Some(message) = self.take_plain() {
            return Ok(Some(message));
        }
        let leave = Leave { parking: &self.shared.parking, place: RECEIVER };
        let received =
            poll_fn(|cx| self.shared.poll(RECEIVER, cx, |state, cx| state.driver.poll_recv(cx))).await;
        // What is ready has left the list.
        std::mem::forget(leave);
        received
    }

    /// The next message where it is plainly there. That it is taken is nothing that anybody waits for: whoever could have got further by it
    /// was told when its bytes were read, and has looked past it as far as the backlog had room, which is empty.
    #[inline]
    fn take_plain(&mut self) -> Option<Message> {
        self.shared.lock().driver.take_plain()
    }

    /// The same as the item of a stream.
    #[cfg(feature = "futures")]
    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        if let Some(message) = self.take_plain() {
            return Poll::Ready(Some(Ok(message)));
        }
        self.shared.poll(RECEIVER, cx, |state, cx| {
            let received = ready!(state.driver.poll_recv(cx));
            Poll::Ready(state.driver.once(received))
        })
    }

    /// The close code, once it is known: [`WebSocket::close_code`](super::WebSocket::close_code).
    pub fn close_code(&self) -> Option<CloseCode> {
        Some(self.shared.lock().driver.machine.outcome()?.code())
    }

    /// The reason in the peer's Close frame.
    pub fn close_reason(&self) -> Option<Box<str>> {
        self.shared.lock().driver.close_reason()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    /// Looks at the connection on behalf of `place`, whose task is woken when it is worth another look. Tells the others when
    /// something happened that they may wait for.
    fn poll<T>(
        &self,
        place: Place,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut State<S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.parking.look(place, cx.waker(), || self.look(place, look))
    }

    /// The same for a call that wants what can be had at once and nothing else, or waits in another way for the rest.
    fn pass<T>(&self, look: impl FnOnce(&mut State<S>, &mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let (result, moved) = self.look(PASSING, look);
        if moved || result.is_ready() {
            self.parking.wake_others(PASSING);
        }
        result
    }

    /// What it came to, and whether something happened that others may wait for.
    fn look<T>(
        &self,
        place: Place,
        look: impl FnOnce(&mut State<S>, &mut Context<'_>) -> Poll<T>,
    ) -> (Poll<T>, bool) {
        let mut state = self.lock();
        let before = state.driver.moves();
        let cx = &mut Context::from_waker(&self.waker);
        let result = look(&mut state, cx);
        // A send that is done at once has not read. Where nobody else is going to, it does: a program that only sends
        // must not look dead to its peer.
        if result.is_ready() && place >= FIRST_CALL && !self.parking.has_any(|other| other < FIRST_CALL) {
            _ = state.driver.poll_keep(cx);
        }
        (result, state.driver.moves() != before)
    }

    /// Drives while nobody else does: writes, reads into the backlog, keeps alive, closes.
    fn poll_background(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(BACKGROUND, cx, |state, cx| {
            if state.halves == 0 {
                // Refused where a Close frame went out already.
                _ = state.driver.begin_close(CloseCode::GOING_AWAY, "");
                return state.driver.poll_close_shared(cx).map(|_| ());
            }
            // An end is told to the halves by the machine itself.
            _ = state.driver.poll_flush(cx);
            if state.driver.poll_keep(cx) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        // Nothing of ours panics under this lock; a stream of the user's may, and then its connection reports the end.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A half is gone.
    fn let_go(&self, half: Half) {
        {
            let mut state = self.lock();
            state.halves -= 1;
            if let Half::Receiver = half {
                state.driver.receive_no_more();
            }
        }
        // The background task, if there is one, may be the only one left; senders may find room to read.
        self.parking.wake_all();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> State<S> {
    fn new_place(&mut self) -> Place {
        let place = self.next_call;
        self.next_call += 1;
        place
    }

    /// Queues one message when it is its call's turn and there is room; `target` is the count of sent bytes at which it
    /// will have left. `own` is the waker of the call's task.
    fn poll_queue(
        &mut self,
        call: &Call<'_, S>,
        own: &Waker,
        cx: &mut Context<'_>,
        message: &mut Option<Outgoing<'_>>,
        target: &mut u64,
    ) -> Poll<Result<(), Error>> {
        if message.is_none() {
            return Poll::Ready(Ok(()));
        }
        let parking = &call.shared.parking;
        if !self.line.is_first(call.place) {
            // The first does the work.
            self.driver.check_open()?;
            self.line.wait(call.place, own, parking);
            return Poll::Pending;
        }
        if !self.driver.has_queue_room() {
            self.line.wait(call.place, own, parking);
        }
        if !self.driver.is_queue_short() {
            ready!(self.driver.poll_room(cx))?;
        }
        self.queue(message, target)?;
        self.line.leave(call.place, parking);
        Poll::Ready(Ok(()))
    }

    /// The same for a message that nobody is before, and for which there is room without a look at the stream; pending where it has to wait.
    fn queue_at_once(
        &mut self,
        message: &mut Option<Outgoing<'_>>,
        target: &mut u64,
    ) -> Poll<Result<(), Error>> {
        if !self.line.is_empty() || !self.driver.is_queue_short() {
            return Poll::Pending;
        }
        Poll::Ready(self.queue(message, target))
    }

    fn queue(&mut self, message: &mut Option<Outgoing<'_>>, target: &mut u64) -> Result<(), Error> {
        let Some(message) = message.take() else { return Ok(()) };
        self.driver.queue(message)?;
        self.driver.moved();
        *target = self.driver.sent_when_empty();
        Ok(())
    }
}

/// One call of a sender: its place on the list and in the line, given up when the future is dropped.
struct Call<'a, S: AsyncRead + AsyncWrite + Unpin> {
    shared: &'a Shared<S>,
    place: Place,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Call<'a, S> {
    fn new(shared: &'a Shared<S>) -> Self {
        let place = shared.lock().new_place();
        Self { shared, place }
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut State<S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.shared.poll(self.place, cx, look)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Call<'_, S> {
    fn drop(&mut self) {
        let was_in_line = self.shared.lock().line.leave(self.place, &self.shared.parking);
        self.shared.parking.leave(self.place);
        if was_in_line {
            // The next may be the first now.
            self.shared.parking.wake_others(self.place);
        }
    }
}

/// Takes a place off the list when a future is dropped.
struct Leave<'a> {
    parking: &'a Parking,
    place: Place,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.parking.leave(self.place);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Clone for Sender<S> {
    fn clone(&self) -> Self {
        let mut state = self.shared.lock();
        state.halves += 1;
        let place = state.new_place();
        drop(state);
        Self { shared: Arc::clone(&self.shared), place }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Sender<S> {
    fn drop(&mut self) {
        self.shared.parking.leave(self.place);
        self.shared.let_go(Half::Sender);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Receiver<S> {
    fn drop(&mut self) {
        self.shared.let_go(Half::Receiver);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Sender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Receiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// A full queue as an error of the library, for code that treats all alike.
impl From<TrySendError> for Error {
    fn from(error: TrySendError) -> Self {
        match error {
            TrySendError::Full => UsageError::QueueFull.into(),
            TrySendError::Closed(error) => error,
        }
    }
}
