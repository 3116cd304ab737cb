//! What passes between the machine and the stream: bytes read and written, and the time meanwhile.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use super::Driver;
use crate::face::pipe::{Clock, Pipe};
use crate::keys::next_key;
use crate::trace;

/// Slices of one vectored write. More than a dozen large messages in one batch are rare.
const SLICES: usize = 16;

impl<S: Pipe, C: Clock> Driver<S, C> {
    /// Gets further than the last step did: something was read, or the end was noticed. With `into`, reads up to that many
    /// bytes straight into the destination of a large message.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>, into: Option<usize>) -> Poll<()> {
        self.machine.pause_reading(false);
        loop {
            self.poll_output(cx);
            if !self.machine.is_open() {
                if self.machine.ending().is_some() {
                    self.release();
                    return Poll::Ready(());
                }
                // The closing handshake has its time, whatever still arrives; keep-alive is judged only once nothing does.
                if self.machine.next_timeout().is_some_and(|next| next <= C::now()) {
                    self.machine.handle_timeout(C::now(), &mut next_key);
                    continue;
                }
            }
            let read = match into {
                None => self.poll_read(cx),
                Some(missing) => self.poll_read_large(cx, missing),
            };
            match read {
                Poll::Ready(Ok(0)) => {
                    self.moves += 1;
                    self.machine.received_end();
                }
                Poll::Ready(Ok(_)) => {
                    self.moves += 1;
                    return Poll::Ready(());
                }
                Poll::Ready(Err(error)) => {
                    self.moves += 1;
                    self.broken.get_or_insert(error);
                    self.machine.received_end();
                }
                Poll::Pending => {
                    // A task that used up its turn is told "pending" although bytes may wait. It judges the deadline,
                    // and arms the timer, in its next turn; tokio's own streams would wake it for that, others do not.
                    if !C::has_turn() {
                        cx.waker().wake_by_ref();
                    } else if self.poll_deadline(cx).is_ready() {
                        continue;
                    }
                    self.machine.park();
                    self.count_latency();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes what waits, and shuts our side where that is our part. Whether that got done is seen later: the stream wakes
    /// this task when it can go on.
    #[inline(always)]
    pub(super) fn poll_output(&mut self, cx: &mut Context<'_>) {
        if self.machine.wants_write() || self.unflushed || !self.machine.is_open() {
            self.poll_output_or_shut(cx);
        }
    }

    #[inline(never)]
    fn poll_output_or_shut(&mut self, cx: &mut Context<'_>) {
        if (self.machine.wants_write() || self.unflushed) && self.poll_write(cx).is_pending() {
            return;
        }
        if self.machine.shuts_first() && !self.shut {
            self.shut = !matches!(self.stream.poll_shutdown(cx), Poll::Pending);
        }
    }

    /// Writes until nothing waits: true when done, false when the stream takes no more bytes.
    #[inline]
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while self.machine.wants_write() {
            if self.write_broken {
                return Poll::Ready(false);
            }
            let output = self.machine.output(&mut next_key);
            if output.front().is_empty() {
                // TLS failed, as the machine tells.
                self.write_broken = true;
                continue;
            }
            let stream = &mut self.stream;
            let written = if output.is_contiguous() {
                ready!(stream.poll_write(cx, output.front()))
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = output.slices(&mut slices);
                ready!(stream.poll_write_vectored(cx, &slices[..filled]))
            };
            match written {
                Ok(0) => self.break_write(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.count(|counters| counters.wrote(n));
                    self.unflushed = true;
                    self.sent += self.machine.written(n) as u64;
                    self.moves += 1;
                }
                Err(error) => self.break_write(error),
            }
        }
        ready!(self.poll_flush_stream(cx));
        Poll::Ready(!self.write_broken)
    }

    /// Has the stream let go of what it took.
    #[inline]
    pub(super) fn poll_flush_stream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.unflushed {
            if let Err(error) = ready!(self.stream.poll_flush(cx)) {
                self.break_write(error);
            }
            self.unflushed = false;
        }
        Poll::Ready(())
    }

    /// The stream takes no more bytes. What the peer sent before may still be read, its Close frame among it, so
    /// the connection goes on until reading ends too.
    #[cold]
    fn break_write(&mut self, error: io::Error) {
        self.broken.get_or_insert(error);
        self.write_broken = true;
    }

    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let n = ready!(self.stream.poll_read(cx, self.machine.space()))?;
        if n > 0 {
            self.count(|counters| counters.read(n));
            self.machine.received(n, C::now());
        }
        Poll::Ready(Ok(n))
    }

    fn poll_read_large(&mut self, cx: &mut Context<'_>, missing: usize) -> Poll<io::Result<usize>> {
        let before = self.large.len();
        let n = ready!(self.stream.poll_append(cx, self.large.room(missing), missing))?;
        if n > 0 {
            self.count(|counters| counters.read(n));
            self.machine.placed(self.large.tail(before), C::now());
        }
        Poll::Ready(Ok(n))
    }

    /// Ready when a deadline has passed and the machine was told.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(next) = self.machine.next_timeout() else { return Poll::Pending };
        ready!(self.clock.poll_alarm(cx, next));
        self.machine.handle_timeout(C::now(), &mut next_key);
        Poll::Ready(())
    }

    /// The connection is over: keeps nothing but its ending.
    #[cold]
    fn release(&mut self) {
        if self.clock.release() {
            // Once: a connection that has ended keeps no alarm.
            trace::end(self.machine.outcome().map_or(1006, |ending| ending.code().get()));
        }
        drop(self.large.take());
    }
}
