//! A connection that is opened again when it is lost.
//!
//! All state is in the object: the futures of its calls can be dropped between any two polls. Nothing of one connection
//! reaches the next but the policy's count of failures; each has a request, key, limits and buffers of its own.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep, timeout};

use super::connect::Transport;
use super::driver::{Driver, now};
use super::websocket::WebSocket;
use crate::face::{Connect, Counters, Dial, Error, Message, Outgoing};
use crate::keys;
use crate::opening::{Backoff, GaveUp, Retries};
use crate::protocol::CloseCode;

/// What [`Reconnecting::next`] tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReconnectEvent {
    /// There is a connection. Comes before its messages, and after the hook of
    /// [`on_connect`](Reconnecting::on_connect).
    Connected {
        /// How many attempts it took, from 1.
        attempt: u32,
    },
    /// A message of the connection.
    Message(Message),
    /// The connection has ended, or an attempt to open one has failed. Another attempt follows.
    Disconnected {
        /// Why.
        cause: Error,
        /// The time until the next attempt begins.
        retry_in: Duration,
        /// Messages that were queued and that the stream did not take to their last byte, the oldest first: the server
        /// has surely not received them. Those that it did take may have been received or not.
        ///
        /// Only those are here that nobody was told about: of [`feed`](Reconnecting::feed), and of a
        /// [`send`](Reconnecting::send) that was dropped. Nothing is sent again by itself.
        unsent: Vec<Message>,
    },
}

impl<T: Transport + Clone> Connect<T> {
    /// A connection that is opened again by this policy whenever it is lost, and the first time, too. Nothing happens
    /// before its first call.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), aiowebsocket::Error> {
    /// use aiowebsocket::{Backoff, ReconnectEvent, connect};
    ///
    /// let mut feed = connect("ws://127.0.0.1:8765/feed").reconnecting(Backoff::default()).on_connect(|ws| Box::pin(async {
    ///     ws.send(r#"{"subscribe": "trades"}"#).await
    /// }));
    /// while let Some(event) = feed.next().await? {
    ///     match event {
    ///         ReconnectEvent::Message(message) => println!("{message:?}"),
    ///         ReconnectEvent::Disconnected { cause, retry_in, .. } => eprintln!("{cause}; again in {retry_in:?}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn reconnecting(mut self, policy: Backoff) -> Reconnecting<T> {
        let state = match self.take_mistake() {
            None => State::Waiting(None),
            Some(mistake) => State::Over(Some(mistake)),
        };
        Reconnecting {
            connect: self,
            retries: Retries::new(policy),
            hook: None,
            counters: Counters::default(),
            state,
            is_closing: false,
            closed: None,
            unsent: Unsent::default(),
            gave_up: None,
        }
    }
}

/// A connection that is opened again when it is lost: see [`Connect::reconnecting`].
///
/// It moves while one of its calls is polled, connecting and waiting included: hold [`next`](Self::next) in a `select!` or a
/// loop. Dropping it closes the stream without a closing handshake; [`close`](Self::close) says goodbye.
pub struct Reconnecting<T: Transport = Dial> {
    connect: Connect<T>,
    retries: Retries,
    hook: Option<Hook<T::Stream>>,
    /// Each connection counts in these.
    counters: Counters,
    state: State<T::Stream>,
    /// `close` was called: the end of the connection is the end of all.
    is_closing: bool,
    /// How the connection ended that `close` closed.
    closed: Option<(CloseCode, Box<str>)>,
    unsent: Unsent,
    gave_up: Option<GaveUp>,
}

type Opening<S> = Pin<Box<dyn Future<Output = Result<WebSocket<S>, Error>> + Send>>;
type Hook<S> = Arc<dyn for<'a> Fn(&'a mut WebSocket<S>) -> Hooked<'a> + Send + Sync>;
/// What a hook is about, for as long as it has the connection.
type Hooked<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// How long the peer's answer to the Close frame is awaited where the hook has failed: some round trips of a slow line. Without it
/// the end of the stream could overtake the frame; a peer that does not answer must not hold up the next attempt.
const FAREWELL: Duration = Duration::from_secs(1);

/// ```text
/// Waiting ──the time──► Opening ──open──► Open
///    ▲                     │               │
///    └───── failed ────────┴──── ended ────┘──final, or given up, or closed──► Over
/// ```
enum State<S> {
    /// `None` is no time at all.
    Waiting(Option<Pin<Box<Sleep>>>),
    Opening(Opening<S>),
    Open(Box<WebSocket<S>>),
    /// The error is still to be told.
    Over(Option<Error>),
}

impl<T: Transport + Clone> Reconnecting<T> {
    /// Lends each fresh connection to this function before its messages flow: to subscribe, to authenticate, to wait for an
    /// answer to that. What it receives is its own.
    ///
    /// Its error counts as a failed attempt, and [`Error::is_retryable`] says whether another one follows. What the program itself
    /// finds wrong is [`Error::passing`] or, where every other attempt would meet it again, [`Error::lasting`]. The connection is
    /// closed with 1001 then, and the peer's answer awaited for a second at most.
    ///
    /// It has no time limit of its own, since only its author knows how long what it waits for may take: `open_timeout` ends with the
    /// opening handshake, and a server that answers pings and nothing else keeps the hook waiting for ever, in `next`. Bound it
    /// where it waits.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use aiowebsocket::{Backoff, Error, connect};
    /// use tokio::time::timeout;
    ///
    /// let feed = connect("wss://example.com/feed").reconnecting(Backoff::default()).on_connect(|ws| {
    ///     Box::pin(async move {
    ///         ws.send(r#"{"token": "…"}"#).await?;
    ///         let answer = timeout(Duration::from_secs(5), ws.recv());
    ///         let answer = answer.await.map_err(|_| Error::passing("the server did not answer"))??;
    ///         match answer.as_ref().and_then(|answer| answer.as_text()) {
    ///             Some("welcome") => Ok(()),
    ///             Some("wrong token") => Err(Error::lasting("the token is not taken")),
    ///             _ => Err(Error::passing("the server is not ready")),
    ///         }
    ///     })
    /// });
    /// ```
    pub fn on_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'a> Fn(
                &'a mut WebSocket<T::Stream>,
            ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>
            + Send
            + Sync
            + 'static,
    {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// What happens next: connects, waits, receives. `Ok(None)` after [`close`](Self::close), and after an error.
    ///
    /// # Errors
    /// What ended it all: an error that another attempt would meet again ([`Failure::is_final`](crate::opening::Failure::is_final)),
    /// or the last one where the policy gives up; [`gave_up`](Self::gave_up) tells which it was.
    ///
    /// # Cancel safety
    /// Nothing is lost: attempts, waiting times and messages go on in the next call.
    pub async fn next(&mut self) -> Result<Option<ReconnectEvent>, Error> {
        poll_fn(|cx| self.poll_next_event(cx)).await
    }

    /// Sends one message over the connection that is there, and returns when its bytes have left for the stream.
    ///
    /// # Errors
    /// [`Error::NotConnected`] while there is none, with nothing kept; else as [`WebSocket::send`]. A message whose `send` failed is
    /// not among the `unsent` ones: the caller has it told. The connection's end is [`next`](Self::next)'s to tell.
    ///
    /// # Cancel safety
    /// As [`WebSocket::send`]: once taken, it leaves while [`next`](Self::next) is polled, or is among the `unsent` ones.
    pub async fn send(&mut self, message: impl Into<Outgoing<'_>>) -> Result<(), Error> {
        let (driver, unsent) = self.connection()?;
        let mut call = Call { driver, unsent, message: Some(message.into()), target: None };
        poll_fn(|cx| call.poll(cx)).await
    }

    /// Queues one message over the connection that is there; it leaves while [`next`](Self::next) is polled, or is among the
    /// `unsent` ones. Waits while [`Config::max_queue`](crate::Config::max_queue) bytes wait. A copy is kept until it has left.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropped while it waits for room, nothing was queued; otherwise it is done at the first poll.
    pub async fn feed(&mut self, message: impl Into<Outgoing<'_>>) -> Result<(), Error> {
        let (driver, unsent) = self.connection()?;
        if !driver.is_queue_short() {
            poll_fn(|cx| driver.poll_room(cx)).await?;
        }
        let message = message.into();
        driver.queue(message.lent())?;
        unsent.keep(driver.sent_when_empty(), message);
        Ok(())
    }

    /// Closes the connection, if there is one, as [`WebSocket::close`] does, and opens no other.
    ///
    /// # Errors
    /// As [`WebSocket::close`]; [`Error::Usage`] for a code or reason that cannot be sent, with nothing changed.
    ///
    /// # Cancel safety
    /// No other connection is opened from the first poll on. Call `close` again to go on with the closing handshake.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let State::Open(ws) = &mut self.state else {
            self.state = State::Over(None);
            return Ok(());
        };
        ws.driver.begin_close(code, reason)?;
        self.is_closing = true;
        let closed = poll_fn(|cx| ws.driver.poll_close(cx)).await;
        self.unsent.forget(&ws.driver);
        self.closed = ws.close_code().map(|code| (code, ws.close_reason().unwrap_or_default()));
        self.state = State::Over(None);
        closed
    }

    /// How the connection ended that [`close`](Self::close) closed: what [`WebSocket::close_code`] and [`WebSocket::close_reason`] tell
    /// of it. `None` where there was none.
    pub fn closed(&self) -> Option<(CloseCode, &str)> {
        self.closed.as_ref().map(|(code, reason)| (*code, &**reason))
    }

    /// The connection that is there, for what the two ends agreed on, its round-trip time, its stream.
    pub fn websocket(&self) -> Option<&WebSocket<T::Stream>> {
        match &self.state {
            State::Open(ws) => Some(ws),
            _ => None,
        }
    }

    /// What passes through all its connections together, the hook's part included, and the newest round trip of any. To be asked for
    /// at any time, and read from anywhere.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Why there is no other attempt, after [`next`](Self::next) has failed.
    pub fn gave_up(&self) -> Option<GaveUp> {
        self.gave_up
    }

    /// The messages that the last connection left unsent, as [`ReconnectEvent::Disconnected`] has them, where no other
    /// follows: after [`next`](Self::next) has failed, and after [`close`](Self::close).
    pub fn take_unsent(&mut self) -> Vec<Message> {
        match self.state {
            State::Over(_) => self.unsent.take(),
            _ => Vec::new(),
        }
    }

    fn connection(&mut self) -> Result<(&mut Driver<T::Stream>, &mut Unsent), Error> {
        match &mut self.state {
            State::Open(ws) => {
                self.unsent.forget(&ws.driver);
                Ok((&mut ws.driver, &mut self.unsent))
            }
            _ => Err(Error::NotConnected),
        }
    }

    fn poll_next_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ReconnectEvent>, Error>> {
        loop {
            match &mut self.state {
                State::Waiting(timer) => {
                    if let Some(timer) = timer {
                        ready!(timer.as_mut().poll(cx));
                    }
                    self.state = State::Opening(self.attempt());
                }
                State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(ws) => {
                        self.state = State::Open(Box::new(ws));
                        self.retries.opened(now());
                        let attempt = self.retries.attempt();
                        return Poll::Ready(Ok(Some(ReconnectEvent::Connected { attempt })));
                    }
                    Err(cause) => return Poll::Ready(self.lost(cause)),
                },
                State::Open(ws) => {
                    let received = ready!(ws.driver.poll_recv(cx));
                    self.unsent.forget(&ws.driver);
                    return Poll::Ready(match received {
                        Ok(Some(message)) => Ok(Some(ReconnectEvent::Message(message))),
                        // The peer closed without complaint; that is a cause, too.
                        Ok(None) => {
                            let cause = ws.driver.error();
                            self.lost(cause)
                        }
                        Err(cause) => self.lost(cause),
                    });
                }
                State::Over(error) => return Poll::Ready(error.take().map_or(Ok(None), Err)),
            }
        }
    }

    /// One attempt, the hook included.
    fn attempt(&self) -> Opening<T::Stream> {
        let connecting = self.connect.again().into_future();
        let hook = self.hook.clone();
        let counters = self.counters.clone();
        Box::pin(async move {
            let mut ws = connecting.await?;
            ws.driver.count_in(counters);
            if let Some(hook) = hook
                && let Err(error) = hook(&mut ws).await
            {
                // Whatever comes of it: what failed is told.
                _ = timeout(FAREWELL, ws.close(CloseCode::GOING_AWAY, "")).await;
                return Err(error);
            }
            Ok(ws)
        })
    }

    /// The connection has ended, or the attempt has failed.
    fn lost(&mut self, cause: Error) -> Result<Option<ReconnectEvent>, Error> {
        if self.is_closing {
            self.state = State::Over(None);
            return Ok(None);
        }
        #[expect(clippy::disallowed_methods, reason = "a face reads the clock; the machine is told the time")]
        let clock = SystemTime::now();
        let random = match keys::random() {
            Ok(random) => random,
            Err(error) => {
                self.state = State::Over(None);
                return Err(Error::Io(error));
            }
        };
        match self.retries.failed(cause.failure(), now(), clock, random) {
            Ok(retry_in) => {
                self.state = State::Waiting(Some(Box::pin(sleep(retry_in))));
                Ok(Some(ReconnectEvent::Disconnected { cause, retry_in, unsent: self.unsent.take() }))
            }
            Err(gave_up) => {
                self.state = State::Over(None);
                self.gave_up = Some(gave_up);
                Err(cause)
            }
        }
    }
}

#[cfg(feature = "futures")]
impl<T: Transport + Clone> futures_core::Stream for Reconnecting<T> {
    type Item = Result<ReconnectEvent, Error>;

    /// What [`next`](Self::next) tells; an error is the last item.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next_event(cx).map(Result::transpose)
    }
}

impl<T: Transport> Unpin for Reconnecting<T> {}

impl<T: Transport> fmt::Debug for Reconnecting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting(_) => "Waiting",
            State::Opening(_) => "Opening",
            State::Open(_) => "Open",
            State::Over(_) => "Over",
        };
        f.debug_struct("Reconnecting")
            .field("connect", &self.connect)
            .field("state", &format_args!("{state}"))
            .field("attempt", &self.retries.attempt())
            .finish_non_exhaustive()
    }
}

/// Messages that were queued, each with the count of sent bytes at which it has left.
#[derive(Default)]
struct Unsent {
    queued: VecDeque<(u64, Message)>,
}

impl Unsent {
    /// Keeps a message that was queued just now.
    fn keep(&mut self, target: u64, message: Outgoing<'_>) {
        self.queued.push_back((target, message.into_message()));
    }

    /// Forgets those that have left.
    fn forget<S: AsyncRead + AsyncWrite + Unpin>(&mut self, driver: &Driver<S>) {
        while self.queued.front().is_some_and(|(target, _)| driver.has_left(*target)) {
            self.queued.pop_front();
        }
    }

    fn take(&mut self) -> Vec<Message> {
        self.queued.drain(..).map(|(_, message)| message).collect()
    }
}

/// A `send` in progress. Dropped before its message has left, it keeps a copy of it: until then none is needed.
struct Call<'a, 'm, S: AsyncRead + AsyncWrite + Unpin> {
    driver: &'a mut Driver<S>,
    unsent: &'a mut Unsent,
    /// `None` once the caller knows what became of it.
    message: Option<Outgoing<'m>>,
    /// The count of sent bytes at which the message has left, once it is queued.
    target: Option<u64>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Call<'_, '_, S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let (Some(message), None) = (&self.message, self.target) {
            if !self.driver.is_queue_short() {
                ready!(self.driver.poll_room(cx))?;
            }
            self.driver.queue(message.lent())?;
            self.target = Some(self.driver.sent_when_empty());
        }
        let sent = ready!(self.driver.poll_flush(cx));
        self.message = None;
        Poll::Ready(sent)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Call<'_, '_, S> {
    fn drop(&mut self) {
        if let (Some(message), Some(target)) = (self.message.take(), self.target) {
            self.unsent.keep(target, message);
        }
    }
}
