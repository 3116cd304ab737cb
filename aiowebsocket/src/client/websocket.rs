//! An open connection, as its user holds it.

use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::driver::{Driver, now};
use super::error::Error;
use super::message::{Message, MessageRef, Outgoing};
use crate::protocol::{CloseCode, Config, Connection, Place, Role};

/// An open WebSocket over the stream `S`.
///
/// Nothing moves while nobody polls: pings are answered, keep-alive is judged and the peer's Close is noticed inside
/// [`recv`](Self::recv), and while [`send`](Self::send), [`ping`](Self::ping) or [`close`](Self::close) wait. Hold a `recv`
/// in a `select!` or a loop and all of that happens by itself.
///
/// Every future here can be dropped at any time; what that means stands under *Cancel safety* of each. Dropping the
/// `WebSocket` closes the stream without a closing handshake; [`close`](Self::close) says goodbye.
pub struct WebSocket<S = TcpStream> {
    driver: Driver<S>,
    subprotocol: Option<Box<str>>,
    /// A message that is lent and does not lie in the machine's memory.
    lent: Option<Message>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(super) fn new(
        stream: S,
        role: Role,
        config: Config,
        subprotocol: Option<String>,
        leftover: &[u8],
    ) -> Self {
        let machine = Connection::new(role, config, leftover, now());
        let subprotocol = subprotocol.map(String::into_boxed_str);
        Self { driver: Driver::new(stream, machine), subprotocol, lent: None }
    }

    /// The next message, owned: up to 30 bytes inside the value itself, else in memory of its own.
    ///
    /// `Ok(None)` when the peer closed with 1000, 1001 or no code at all; a later call says the same again.
    ///
    /// # Errors
    /// [`Error::Closed`] for every other close code, and with 1006 where the stream ended without a Close frame;
    /// [`Error::Protocol`] and [`Error::TooBig`] where the peer broke a rule or a limit (it was told so with a Close frame);
    /// [`Error::Timeout`] for a peer that is silent; [`Error::Io`] for a stream that broke.
    ///
    /// # Cancel safety
    /// A message leaves the connection only inside the poll that returns it: dropping the future loses nothing.
    #[inline]
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.end_lend();
        if let Some(message) = self.driver.next_kept() {
            return Ok(Some(message));
        }
        match poll_fn(|cx| self.driver.poll_next(cx)).await {
            Some(incoming) => Ok(Some(self.driver.own(incoming))),
            None => self.driver.finish().map(|()| None),
        }
    }

    /// The next message, lent until the next call: read where it arrived, with neither allocation nor copy.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    #[inline]
    pub async fn recv_ref(&mut self) -> Result<Option<MessageRef<'_>>, Error> {
        self.end_lend();
        if let Some(message) = self.driver.next_kept() {
            return Ok(Some(self.lent.insert(message).as_ref()));
        }
        match poll_fn(|cx| self.driver.poll_next(cx)).await {
            Some(incoming) if incoming.place == Place::Outside => {
                let message = self.driver.own(incoming);
                Ok(Some(self.lent.insert(message).as_ref()))
            }
            Some(incoming) => Ok(Some(self.driver.lend(incoming))),
            None => self.driver.finish().map(|()| None),
        }
    }

    /// Frees a message that was lent and does not lie in the machine's memory.
    #[inline]
    fn end_lend(&mut self) {
        if self.lent.is_some() {
            self.lent = None;
        }
    }

    /// Sends one message and returns when its bytes, and all queued before, have left for the stream.
    ///
    /// Strings are sent as text, bytes as binary. Owned payloads above 32 KiB are masked where they lie; everything
    /// else is copied once.
    ///
    /// # Errors
    /// [`Error::Closed`] and the other endings of [`recv`](Self::recv) where the connection is over or the peer's Close
    /// has come; [`Error::Usage`] after [`close`](Self::close).
    ///
    /// # Cancel safety
    /// The message is taken whole at the first poll. Dropping the future after that neither withdraws nor doubles it: it
    /// leaves with the next call that writes. (While [`Config::max_queue`] bytes wait, which takes earlier sends that
    /// were dropped, it is taken as soon as there is room, and a future dropped before has sent nothing.)
    #[inline]
    pub async fn send(&mut self, message: impl Into<Outgoing<'_>>) -> Result<(), Error> {
        self.feed(message).await?;
        poll_fn(|cx| self.driver.poll_flush(cx)).await
    }

    /// Queues one message to leave with the next [`flush`](Self::flush) or [`send`](Self::send), so that many
    /// messages share a write. Writing begins by itself when 128 KiB wait; above [`Config::max_queue`] this waits.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropped while it waits for room, nothing was queued; otherwise it is done at the first poll.
    #[inline]
    pub async fn feed(&mut self, message: impl Into<Outgoing<'_>>) -> Result<(), Error> {
        if self.driver.is_queue_short() {
            self.driver.queue(message.into())
        } else {
            self.feed_later(message.into()).await
        }
    }

    /// Apart, so that the short way need not keep the message in its future.
    async fn feed_later(&mut self, message: Outgoing<'_>) -> Result<(), Error> {
        poll_fn(|cx| self.driver.poll_room(cx)).await?;
        self.driver.queue(message)
    }

    /// Returns when everything queued has left for the stream.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropping the future leaves what was not written in the queue; call it again.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.driver.poll_flush(cx)).await
    }

    /// Sends a ping and returns the time until its pong. Messages that arrive before it are kept for
    /// [`recv`](Self::recv), up to [`Config::max_backlog`] bytes.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`Error::Usage`] where so many messages came before the pong that the backlog is full.
    ///
    /// # Cancel safety
    /// Dropping the future loses the measurement only; messages that arrived are kept.
    pub async fn ping(&mut self) -> Result<Duration, Error> {
        self.end_lend();
        let mut sent = None;
        poll_fn(|cx| self.driver.poll_ping(cx, &mut sent)).await
    }

    /// Closes: sends a Close frame with this code and reason (at most 123 bytes), drops what still arrives, waits for the
    /// peer's Close frame and, as a client, for the server to end TCP first (RFC 6455 7.1.1), all within
    /// [`Config::close_timeout`]. What the peer's Close frame said is in [`close_code`](Self::close_code) and
    /// [`close_reason`](Self::close_reason). Closing what is closed already is no error.
    ///
    /// # Errors
    /// [`Error::Usage`] for a code that must not be sent or a reason too long, with nothing changed; [`Error::Timeout`] where
    /// the peer did not answer in time; [`Error::Closed`] with 1006 where it ended the stream without a Close frame.
    ///
    /// # Cancel safety
    /// The Close frame is queued at the first poll. Dropping the future leaves the handshake where it is; call
    /// `close` again to go on with it.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.end_lend();
        self.driver.begin_close(code, reason)?;
        poll_fn(|cx| self.driver.poll_close(cx)).await
    }

    /// The close code of the connection, once it is known: the peer's, 1005 where its Close frame had none, 1006
    /// where there was no Close frame, or the code that we failed the connection with.
    pub fn close_code(&self) -> Option<CloseCode> {
        Some(self.driver.machine.outcome()?.code())
    }

    /// The reason in the peer's Close frame.
    pub fn close_reason(&self) -> Option<String> {
        match self.driver.machine.outcome()? {
            crate::protocol::Ending::Closed(frame) => Some(frame.reason),
            _ => None,
        }
    }

    /// The subprotocol that the server chose, if any.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The round-trip time of the newest ping that was answered, keep-alive's included.
    pub fn latency(&self) -> Option<Duration> {
        self.driver.machine.round_trip().map(|(_, round_trip)| round_trip)
    }

    /// Which end of the connection this is.
    pub fn role(&self) -> Role {
        self.driver.machine.role()
    }

    /// The stream below, for its addresses and options. Reading or writing it breaks the protocol.
    pub fn get_ref(&self) -> &S {
        &self.driver.stream
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("role", &self.driver.machine.role())
            .field("open", &self.driver.machine.is_open())
            .field("ending", &self.driver.machine.ending())
            .field("subprotocol", &self.subprotocol)
            .finish_non_exhaustive()
    }
}
