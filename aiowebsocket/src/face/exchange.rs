//! One turn of a dialogue over a stream: writes and reads at once, so that neither side waits for the other to read.

use std::io;
use std::task::{Context, Poll};

use super::pipe::Pipe;

/// Bytes of one read. Heads of real peers have a few hundred, and so do the flights of TLS.
const READ: usize = 4 << 10;

/// What lasts from one turn to the next.
#[derive(Debug)]
pub(crate) struct Exchange {
    buffer: Vec<u8>,
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
    /// The deadline passed, as the face tells.
    TimeIsUp,
    /// The stream broke.
    Broken(io::Error),
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; READ], unflushed: false, broken: None }
    }

    /// The first `n` bytes that were read.
    pub(crate) fn bytes(&self, n: usize) -> &[u8] {
        &self.buffer[..n]
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
        stream.poll_read(cx, &mut self.buffer).map(|read| match read {
            Ok(n) => Turn::Read(n),
            Err(error) => Turn::Broken(self.broken.take().unwrap_or(error)),
        })
    }
}
