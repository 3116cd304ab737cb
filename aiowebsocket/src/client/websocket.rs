//! An open connection, as its user holds it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::driver::{Driver, now};
use super::split::{self, Receiver, Sender};
use crate::deflate::Agreed;
use crate::face::{Counters, Error, Event, Message, MessageRef, Negotiated, Outgoing, Part};
use crate::layer::{Layer, TlsInfo};
use crate::protocol::{CloseCode, Connection, Place, Role, Step};

/// An open WebSocket over the stream `S`.
///
/// Nothing moves while nobody polls: pings are answered, keep-alive is judged and the peer's Close is noticed inside
/// [`recv`](Self::recv), and while [`send`](Self::send), [`ping`](Self::ping) or [`close`](Self::close) wait. Hold a `recv`
/// in a `select!` or a loop and all of that happens by itself.
///
/// Every future here can be dropped at any time; what that means stands under *Cancel safety* of each. Dropping the
/// `WebSocket` closes the stream without a closing handshake; [`close`](Self::close) says goodbye.
///
/// `Debug` says whether there is a subprotocol and not which, since it may carry a secret.
pub struct WebSocket<S = TcpStream> {
    pub(super) driver: Driver<S>,
    subprotocol: Option<Box<str>>,
    /// A message that is lent and does not lie in the machine's memory. Boxed: an idle connection has none.
    lent: Option<Box<Message>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A connection over a stream whose opening handshake somebody else has done, an HTTP server that upgrades for
    /// example. `leftover` are bytes that were read behind the handshake. See the examples `hyper` and `axum`.
    pub fn from_upgraded(stream: S, role: Role, negotiated: Negotiated, leftover: &[u8]) -> Self {
        Self::from_opened(stream, role, negotiated, leftover, None)
    }

    /// The same, over a layer of TLS that was opened before.
    pub(super) fn from_opened(
        stream: S,
        role: Role,
        negotiated: Negotiated,
        leftover: &[u8],
        layer: Option<Box<dyn Layer>>,
    ) -> Self {
        let Negotiated { subprotocol, compression, config } = negotiated;
        let mut machine = Connection::new(role, config, leftover, now());
        if let Some(layer) = layer {
            machine.secure(layer);
        }
        if let Some(agreed) = compression {
            machine.compress(agreed);
        }
        let subprotocol = subprotocol.map(String::into_boxed_str);
        Self { driver: Driver::new(stream, machine), subprotocol, lent: None }
    }

    /// The next message, owned: up to 32 bytes inside the value itself, else in memory of its own.
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
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>, Error>> {
        Recv(self)
    }

    /// The next message or, where [`Config::control_events`](crate::Config::control_events) is on, the next ping or pong. Both are answered and accounted for
    /// by the connection itself; this only shows them.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub async fn recv_event(&mut self) -> Result<Option<Event>, Error> {
        self.end_lend();
        self.driver.check_whole()?;
        match poll_fn(|cx| self.driver.poll_event(cx)).await {
            Some(event) => Ok(Some(event)),
            None => self.driver.finish().map(|()| None),
        }
    }

    /// The next part of a message, lent until the next call: what is there of it, of a single frame too, as soon as it is
    /// there. For messages that are larger than memory should be: [`Config::max_message`](crate::Config::max_message) and [`Config::max_frame`](crate::Config::max_frame) do not
    /// bound what is taken in parts. A message that arrived whole is one part.
    ///
    /// Begun in parts, a message is received in parts to its end; [`recv`](Self::recv) is an error in between.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub async fn recv_part(&mut self) -> Result<Option<Part<'_>>, Error> {
        self.lent = None;
        if let Some(message) = self.driver.next_kept() {
            return Ok(Some(self.lend(message).as_part()));
        }
        match poll_fn(|cx| self.driver.poll_part(cx)).await {
            Some(Step::Message(incoming)) if incoming.place == Place::Outside => {
                let message = self.driver.own(incoming);
                Ok(Some(self.lend(message).as_part()))
            }
            Some(Step::Message(incoming)) => Ok(Some(self.driver.lend(incoming).as_part())),
            Some(Step::Part { kind, place, last }) => {
                Ok(Some(Part { kind, data: self.driver.machine.payload(place), last }))
            }
            _ => self.driver.finish().map(|()| None),
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
    pub fn recv_ref(&mut self) -> impl Future<Output = Result<Option<MessageRef<'_>>, Error>> {
        RecvRef(Some(self))
    }

    /// Lends a message that does not lie in the machine's memory.
    fn lend(&mut self, message: Message) -> MessageRef<'_> {
        let lent: &Message = self.lent.insert(Box::new(message));
        lent.as_ref()
    }

    /// Frees a message that was lent and does not lie in the machine's memory.
    #[inline]
    pub(super) fn end_lend(&mut self) {
        if self.lent.is_some() {
            self.lent = None;
        }
    }

    /// Sends one message and returns when its bytes, and all queued before, have left for the stream.
    ///
    /// While the stream takes no more, messages that arrive are kept up to [`Config::max_backlog`](crate::Config::max_backlog) bytes; then reading pauses. Two
    /// programs that only send to each other therefore wait for ever, as they would over TCP alone: one of them has to receive.
    ///
    /// Strings are sent as text, bytes as binary; [`Outgoing::plain`] sends without compression. Owned payloads above 32 KiB are masked where they lie; everything
    /// else is copied once.
    ///
    /// # Errors
    /// [`Error::Closed`] and the other endings of [`recv`](Self::recv) where the connection is over or the peer's Close
    /// has come; [`Error::Usage`] after [`close`](Self::close).
    ///
    /// # Cancel safety
    /// The message is taken whole at the first poll. Dropping the future after that neither withdraws nor doubles it: it
    /// leaves with the next call that writes. (While [`Config::max_queue`](crate::Config::max_queue) bytes wait, which takes earlier sends that
    /// were dropped, it is taken as soon as there is room, and a future dropped before has sent nothing.)
    #[inline]
    pub async fn send(&mut self, message: impl Into<Outgoing<'_>>) -> Result<(), Error> {
        // As `feed`, without a future of its own inside this one: 31 to 64 instructions (`bench/run counts instructions echo 125`).
        if !self.driver.is_queue_short() {
            poll_fn(|cx| self.driver.poll_room(cx)).await?;
        }
        self.driver.queue(message.into())?;
        poll_fn(|cx| self.driver.poll_flush(cx)).await
    }

    /// Queues one message to leave with the next [`flush`](Self::flush) or [`send`](Self::send), so that many
    /// messages share a write. Writing begins by itself when 128 KiB wait; above [`Config::max_queue`](crate::Config::max_queue) this waits.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropped while it waits for room, nothing was queued; otherwise it is done at the first poll.
    #[inline]
    pub async fn feed(&mut self, message: impl Into<Outgoing<'_>>) -> Result<(), Error> {
        if !self.driver.is_queue_short() {
            poll_fn(|cx| self.driver.poll_room(cx)).await?;
        }
        // By its parts, as in `Recv`: else the memory of an error, which there is none of, is copied. 12 instructions (`bench/run counts instructions batch 16`).
        match self.driver.queue(message.into()) {
            Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns when everything queued has left for the stream.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropping the future leaves what was not written in the queue; call it again.
    pub fn flush(&mut self) -> impl Future<Output = Result<(), Error>> {
        poll_fn(|cx| self.driver.poll_flush(cx))
    }

    /// Sends a part of a message, a complete fragment, and returns when it has left. The part that is `last` ends the message;
    /// until then nothing else can be sent (RFC 6455 5.4). All parts are text, each UTF-8 by itself, or all are binary.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`Error::Usage`] for a part of the other kind.
    ///
    /// # Cancel safety
    /// As [`send`](Self::send), for the part.
    pub async fn send_part(&mut self, part: impl Into<Outgoing<'_>>, last: bool) -> Result<(), Error> {
        if !self.driver.is_queue_short() {
            poll_fn(|cx| self.driver.poll_room(cx)).await?;
        }
        self.driver.queue_part(part.into(), last)?;
        poll_fn(|cx| self.driver.poll_flush(cx)).await
    }

    /// Sends a ping and returns the time until its pong. Messages that arrive before it are kept for
    /// [`recv`](Self::recv), up to [`Config::max_backlog`](crate::Config::max_backlog) bytes.
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
    /// [`Config::close_timeout`](crate::Config::close_timeout). What the peer's Close frame said is in [`close_code`](Self::close_code) and
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
    pub fn close_reason(&self) -> Option<Box<str>> {
        self.driver.close_reason()
    }

    /// The subprotocol that the server chose, if any.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The compression that the two ends agreed on, if any; its `Display` is the server's answer.
    pub fn compression(&self) -> Option<&Agreed> {
        self.driver.machine.compression()
    }

    /// What TLS agreed on, where the connection is secure by this library.
    pub fn tls(&self) -> Option<TlsInfo> {
        self.driver.machine.tls_info()
    }

    /// The round-trip time of the newest ping that was answered, keep-alive's included.
    pub fn latency(&self) -> Option<Duration> {
        self.driver.machine.round_trip().map(|(_, round_trip)| round_trip)
    }

    /// What passes through the connection from now on: messages and bytes each way, and the newest round trip. To be asked for once and
    /// read from anywhere, without a lock. The first call begins to count, which is why it wants the connection for itself: who never
    /// asks pays nothing. A [`Reconnecting`](crate::Reconnecting) has [counters](crate::Reconnecting::counters) of its own.
    pub fn counters(&mut self) -> Counters {
        self.driver.counters()
    }

    /// Which end of the connection this is.
    pub fn role(&self) -> Role {
        self.driver.machine.role()
    }

    /// Two halves, for two tasks or more: a [`Sender`] that can be cloned, and a [`Receiver`]. Whichever is polled drives the
    /// whole connection. Messages are owned there, and whole: what is left of one that was begun with
    /// [`recv_part`](Self::recv_part) is dropped as it arrives.
    pub fn split(self) -> (Sender<S>, Receiver<S>) {
        split::split(self.driver)
    }

    /// The same two halves, and a task that drives the connection while neither is polled: it writes what was fed, answers
    /// pings, keeps alive and closes. When both halves are gone it closes with 1001 and ends.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn background(self) -> (Sender<S>, Receiver<S>)
    where
        S: Send + 'static,
    {
        split::background(self.driver)
    }

    /// Takes the connection apart: the stream, and the bytes that were read from it and not looked at yet.
    ///
    /// Lost are: what was queued and not written ([`flush`](Self::flush) first); messages that arrived while a `send` or `ping`
    /// waited and were not received; and the begun part of a message that is still arriving, without which the rest makes no
    /// sense. So take a connection apart between two messages. Of a connection that is secure by this library the keys are lost too.
    pub fn into_inner(self) -> (S, Vec<u8>) {
        let leftover = self.driver.machine.unread().to_vec();
        (self.driver.stream, leftover)
    }

    /// The stream below, for its addresses and options. Reading or writing it breaks the protocol.
    pub fn get_ref(&self) -> &S {
        &self.driver.stream
    }
}

/// [`WebSocket::recv`]. Written by hand, as the next one: the poll of an `async fn` is a call that nobody inlines. A lent message of 16 bytes
/// cost 158 instructions so, and 115 this way (`bench/run counts instructions burst-binary 16`). The same for `feed` cost 16 more than
/// an `async fn` does, because the message is moved once more.
struct Recv<'a, S>(&'a mut WebSocket<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Recv<'_, S> {
    type Output = Result<Option<Message>, Error>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ws = &mut *self.0;
        if let Some(message) = ws.driver.take_plain() {
            return Poll::Ready(Ok(Some(message)));
        }
        ws.end_lend();
        // By its parts: what this call returns lies in memory, and a message that is plainly there, which is in registers, would be put there too and
        // read from there in other pieces than it was written in, for which the processor waits. A message of 16 bytes took 47 ns, and takes 21
        // (`bench/run cell burst-binary 16 --clients aiowebsocket-owned`).
        match ws.driver.poll_recv_whole(cx) {
            Poll::Ready(Ok(Some(message))) => Poll::Ready(Ok(Some(message))),
            Poll::Ready(Ok(None)) => Poll::Ready(Ok(None)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// [`WebSocket::recv_ref`]; nothing once it was ready, because the message has the borrow.
struct RecvRef<'a, S>(Option<&'a mut WebSocket<S>>);

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Future for RecvRef<'a, S> {
    type Output = Result<Option<MessageRef<'a>>, Error>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ws = self.0.take().expect("a future that was ready is not polled again");
        match ws.driver.plain() {
            Some(incoming) => Poll::Ready(Ok(Some(ws.driver.lend(incoming)))),
            None => self.poll_judging(ws, cx),
        }
    }
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> RecvRef<'a, S> {
    /// Apart, so that a message that is there costs no more than its recognition.
    #[inline(never)]
    fn poll_judging(
        &mut self,
        ws: &'a mut WebSocket<S>,
        cx: &mut Context<'_>,
    ) -> Poll<<Self as Future>::Output> {
        ws.end_lend();
        ws.driver.check_whole()?;
        if let Some(message) = ws.driver.next_kept() {
            return Poll::Ready(Ok(Some(ws.lend(message))));
        }
        match ws.driver.poll_next(cx) {
            Poll::Ready(Some(incoming)) if incoming.place == Place::Outside => {
                let message = ws.driver.own(incoming);
                Poll::Ready(Ok(Some(ws.lend(message))))
            }
            Poll::Ready(Some(incoming)) => Poll::Ready(Ok(Some(ws.driver.lend(incoming)))),
            Poll::Ready(None) => Poll::Ready(ws.driver.finish().map(|()| None)),
            Poll::Pending => {
                self.0 = Some(ws);
                Poll::Pending
            }
        }
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("role", &self.driver.machine.role())
            .field("open", &self.driver.machine.is_open())
            .field("ending", &self.driver.machine.ending())
            .field("subprotocol", &self.subprotocol.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}
