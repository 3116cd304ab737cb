//! One turn of a dialogue over a stream: writes and reads at once, so that neither side waits for the other to read.

use std::io;
use std::task::{Context, Poll};

use super::pipe::Pipe;
use crate::protocol::buffer::Buffer;

/// What lasts from one turn to the next.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// What the last turn read, in memory of the thread's pool: 4 KiB of its own cost a tenth of the instructions of opening a
    /// connection, because memory is zeroed (`bench/run counts instructions connect 0`). None while it waits.
    buffer: Buffer,
    unflushed: bool,
    /// The stream takes no more bytes. A peer that refuses early may have closed its side: what it said is still there
    /// to be read.
    broken: Option<io::Error>,
}

/// What a turn came to.
#[derive(Debug)]
pub(crate) enum Turn {
    /// So many bytes of the output were written.
    Wrote(usize),
    /// So many bytes were read, see [`Exchange::bytes`]; 0 is the end.
    Read(usize),
    /// The stream broke.
    Broken(io::Error),
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What the last turn read.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// Writes some of `output` or reads, whatever can be done first.
    pub(crate) fn poll_turn<S: Pipe>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        output: &[u8],
    ) -> Poll<Turn> {
        if self.broken.is_none() {
            if !output.is_empty() {
                match stream.poll_write(cx, output) {
                    Poll::Ready(Ok(0)) => self.broken = Some(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(n)) => {
                        self.unflushed = true;
                        return Poll::Ready(Turn::Wrote(n));
                    }
                    Poll::Ready(Err(error)) => self.broken = Some(error),
                    Poll::Pending => {}
                }
            } else if self.unflushed {
                match stream.poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.unflushed = false,
                    Poll::Ready(Err(error)) => self.broken = Some(error),
                    Poll::Pending => {}
                }
            }
        }
        self.buffer.consume(self.buffer.len());
        match stream.poll_read(cx, self.buffer.space(0)) {
            Poll::Ready(Ok(n)) => {
                self.buffer.filled(n);
                Poll::Ready(Turn::Read(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Turn::Broken(self.broken.take().unwrap_or(error))),
            Poll::Pending => {
                self.buffer.settle();
                Poll::Pending
            }
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.buffer.consume(self.buffer.len());
        self.buffer.settle();
    }
}
