//! `Stream` and `Sink`, for code that is written against those.
//!
//! A stream ends with `None` where `recv` says `Ok(None)`; an error comes once, and `None` after it. A sink's `poll_close` closes
//! with 1000.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};

use super::split::{Receiver, Sender};
use super::websocket::WebSocket;
use crate::face::{Error, Message};
use crate::protocol::CloseCode;

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let ws = self.get_mut();
        if let Some(message) = ws.driver.take_plain() {
            return Poll::Ready(Some(Ok(message)));
        }
        ws.end_lend();
        let received = ready!(ws.driver.poll_recv_whole(cx));
        // By its parts, as in `Recv`.
        match ws.driver.once(received) {
            Some(Ok(message)) => Poll::Ready(Some(Ok(message))),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(None),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Receiver<S> {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let driver = &mut self.get_mut().driver;
        if driver.is_queue_short() { Poll::Ready(Ok(())) } else { driver.poll_room(cx) }
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.get_mut().driver.queue(message.into())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().driver.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let driver = &mut self.get_mut().driver;
        driver.begin_close(CloseCode::NORMAL, "")?;
        driver.poll_close(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for Sender<S> {
    type Error = Error;

    /// Ready when there is room. A sink has no place in the line of the calls of [`Sender::send`] and may come before some that
    /// wait: it can be given up without a word, and would then hold up all behind it.
    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_own(cx, |state, cx| state.poll_room(cx))
    }

    /// A message is queued behind those of other senders that came before, even where they have filled the queue since
    /// `poll_ready`: it then holds one message a sink more than its limit.
    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.queue(message.into())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_own(cx, |state, cx| state.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_own(cx, |state, cx| {
            state.begin_close(CloseCode::NORMAL, "")?;
            state.poll_close_shared(cx)
        })
    }
}
