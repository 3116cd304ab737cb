//! One turn of a dialogue over a stream: writes and reads at once, so that neither side waits for the other to read.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// Bytes of one read. Heads of real peers have a few hundred, and so do the flights of TLS.
const READ: usize = 4 << 10;

/// What lasts from one turn to the next.
#[derive(Debug)]
pub(super) struct Exchange {
    buffer: Vec<u8>,
    unflushed: bool,
    /// The stream takes no more bytes. A peer that refuses early may have closed its side: what it said is still there
    /// to be read.
    broken: Option<io::Error>,
}

/// What a turn came to.
#[derive(Debug)]
pub(super) enum Turn {
    /// So many bytes of the output were written.
    Wrote(usize),
    /// So many bytes were read, see [`Exchange::bytes`]; 0 is the end.
    Read(usize),
    /// The deadline passed.
    TimeIsUp,
    /// The stream broke.
    Broken(io::Error),
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; READ], unflushed: false, broken: None }
    }

    /// The first `n` bytes that were read.
    pub(super) fn bytes(&self, n: usize) -> &[u8] {
        &self.buffer[..n]
    }

    /// Writes some of `output` or reads, whatever can be done first.
    pub(super) async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        output: &[u8],
        until: Option<std::time::Instant>,
    ) -> Turn {
        let turn = poll_fn(|cx| self.poll_turn(cx, stream, output));
        match until {
            None => turn.await,
            Some(until) => timeout_at(Instant::from_std(until), turn).await.unwrap_or(Turn::TimeIsUp),
        }
    }

    fn poll_turn<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        output: &[u8],
    ) -> Poll<Turn> {
        if self.broken.is_none() {
            if !output.is_empty() {
                match Pin::new(&mut *stream).poll_write(cx, output) {
                    Poll::Ready(Ok(0)) => self.broken = Some(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(n)) => {
                        self.unflushed = true;
                        return Poll::Ready(Turn::Wrote(n));
                    }
                    Poll::Ready(Err(error)) => self.broken = Some(error),
                    Poll::Pending => {}
                }
            } else if self.unflushed {
                match Pin::new(&mut *stream).poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.unflushed = false,
                    Poll::Ready(Err(error)) => self.broken = Some(error),
                    Poll::Pending => {}
                }
            }
        }
        let mut room = ReadBuf::new(&mut self.buffer);
        Pin::new(stream).poll_read(cx, &mut room).map(|read| match read {
            Ok(()) => Turn::Read(room.filled().len()),
            Err(error) => Turn::Broken(self.broken.take().unwrap_or(error)),
        })
    }
}

/// Writes all of what `next` has, and tells it how much was written.
pub(super) async fn write_out<S: AsyncWrite + Unpin, T>(
    stream: &mut S,
    from: &mut T,
    output: impl Fn(&T) -> &[u8],
    written: impl Fn(&mut T, usize),
) -> io::Result<()> {
    while !output(from).is_empty() {
        let n = stream.write(output(from)).await?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        written(from, n);
    }
    stream.flush().await
}
