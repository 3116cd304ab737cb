//! The stream and the clock that tokio brings to the driver of an open connection.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::face::driver;
use crate::face::pipe::{Clock, Pipe};

/// The driver on tokio's streams and time.
pub(super) type Driver<S> = driver::Driver<S, Alarm>;

/// The time as the machine wants it. Tokio's clock, so that a paused runtime pauses the machine too.
#[inline]
pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// One timer, made when the connection first waits; re-armed only when it fires.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom the timer wakes.
    wakes: Option<Waker>,
}

impl Clock for Alarm {
    #[inline]
    fn now() -> std::time::Instant {
        now()
    }

    /// A task that used up its turn is woken by tokio's own streams, by others not.
    #[inline]
    fn has_turn() -> bool {
        tokio::task::coop::has_budget_remaining()
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>, deadline: std::time::Instant) -> Poll<()> {
        let deadline = Instant::from_std(deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // An earlier alarm is left alone: when it rings, it is set again. Only a new, earlier deadline needs it now.
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        // It has not rung and knows whom to wake: every wait of a busy connection but the first ends here.
        if !timer.is_elapsed() && self.wakes.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        self.wakes = Some(cx.waker().clone());
        Poll::Pending
    }

    fn release(&mut self) -> bool {
        self.wakes = None;
        self.timer.take().is_some()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe for S {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut space = ReadBuf::new(space);
        ready!(Pin::new(self).poll_read(cx, &mut space))?;
        Poll::Ready(Ok(space.filled().len()))
    }

    fn poll_append(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut BytesMut,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        let mut destination = memory.limit(limit);
        pin!(self.read_buf(&mut destination)).poll(cx)
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(cx, bytes)
    }

    #[inline]
    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write_vectored(cx, slices)
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_flush(cx)
    }

    #[inline]
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_shutdown(cx)
    }
}
