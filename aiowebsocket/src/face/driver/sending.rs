//! What is sent: queued in the machine, and waited for until it has left.

use std::task::{Context, Poll, ready};

use super::Driver;
use crate::face::counters::Counters;
use crate::face::error::Error;
use crate::face::outgoing::Outgoing;
use crate::face::pipe::{Clock, Pipe};
use crate::keys::next_key;
use crate::protocol::{CannotSend, UsageError};

impl<S: Pipe, C: Clock> Driver<S, C> {
    /// Whether a message may be queued without a look at the stream.
    #[inline]
    pub(crate) fn is_queue_short(&self) -> bool {
        self.machine.queued() < self.write_ahead
    }

    /// Queues one message.
    #[inline(always)]
    pub(crate) fn queue(&mut self, message: Outgoing<'_>) -> Result<(), Error> {
        let sent = if message.plain {
            self.machine.send_plain(message.kind, message.payload, &mut next_key)
        } else {
            self.machine.send(message.kind, message.payload, &mut next_key)
        };
        match sent {
            Ok(()) => {
                self.count(Counters::message_sent);
                Ok(())
            }
            Err(refused) => Err(self.cannot_send(refused)),
        }
    }

    /// Queues a part of a message.
    pub(crate) fn queue_part(&mut self, part: Outgoing<'_>, last: bool) -> Result<(), Error> {
        let sent = if part.plain {
            self.machine.send_plain_part(part.kind, part.payload, last, &mut next_key)
        } else {
            self.machine.send_part(part.kind, part.payload, last, &mut next_key)
        };
        match sent {
            Ok(()) => {
                if last {
                    self.count(Counters::message_sent);
                }
                Ok(())
            }
            Err(refused) => Err(self.cannot_send(refused)),
        }
    }

    /// Begins to write a long queue, and waits where it is over its limit.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match self.poll_write(cx) {
                Poll::Ready(false) => return Poll::Ready(Err(self.error())),
                Poll::Ready(true) => return Poll::Ready(Ok(())),
                Poll::Pending if self.has_queue_room() => return Poll::Ready(Ok(())),
                Poll::Pending => {}
            }
            if self.poll_keep(cx) {
                return Poll::Ready(Err(self.error()));
            }
            if !self.has_queue_room() {
                return Poll::Pending;
            }
        }
    }

    /// Whether a message may be queued.
    pub(crate) fn has_queue_room(&self) -> bool {
        self.machine.queued() < self.machine.config().max_queue
    }

    /// Writes until nothing waits and the stream is flushed. While the stream takes no more, reads as far as the backlog has
    /// room: the peer may be blocked because *it* cannot write, its pings want pongs, and its Close wants an answer.
    #[inline]
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match self.poll_write(cx) {
                Poll::Ready(true) => return Poll::Ready(Ok(())),
                Poll::Ready(false) => return Poll::Ready(Err(self.error())),
                Poll::Pending => {}
            }
            if self.poll_keep(cx) {
                return Poll::Ready(Err(self.error()));
            }
            // Reading writes too, pongs for one; what it left unwritten has registered this task.
            if self.machine.wants_write() || self.unflushed {
                return Poll::Pending;
            }
        }
    }

    /// Whether everything up to this count of sent bytes has left for the stream; writes, and reads meanwhile.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>, target: u64) -> Poll<Result<(), Error>> {
        match self.poll_flush(cx) {
            Poll::Pending if self.has_left(target) => {
                // Others have queued more meanwhile; a stream that keeps what it takes must let go of these bytes.
                ready!(self.poll_flush_stream(cx));
                Poll::Ready(if self.write_broken { Err(self.error()) } else { Ok(()) })
            }
            flushed => flushed,
        }
    }

    /// The count of sent bytes at which everything queued now has left, without those that jump the queue.
    pub(crate) fn sent_when_empty(&self) -> u64 {
        self.sent + self.machine.queued() as u64 - self.machine.jumped()
    }

    /// Whether everything up to this count of sent bytes has left for the stream.
    pub(crate) fn has_left(&self, target: u64) -> bool {
        self.sent >= target + self.machine.jumped()
    }

    /// Whether messages may be sent.
    #[cfg(feature = "tokio")]
    pub(crate) fn check_open(&mut self) -> Result<(), Error> {
        if self.machine.is_open() { Ok(()) } else { Err(self.not_open()) }
    }

    #[cold]
    #[inline(never)]
    fn cannot_send(&mut self, refused: CannotSend) -> Error {
        match refused {
            CannotSend::NotOpen => self.not_open(),
            CannotSend::MessageUnfinished => UsageError::MessageUnfinished.into(),
            CannotSend::OtherKind => UsageError::PartOfOtherKind.into(),
        }
    }

    /// Why nothing can be sent: the end that came or is coming, or our own Close frame.
    #[cold]
    pub(super) fn not_open(&mut self) -> Error {
        match self.machine.outcome() {
            Some(ending) => Error::from_ending(ending, self.broken.as_ref(), self.machine.tls_error()),
            None => UsageError::NotOpen.into(),
        }
    }
}
