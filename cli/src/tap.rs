//! A stream that remembers the heads of the opening handshake as they went over the wire: what `-v` shows.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

/// More than any head that the library accepts.
const MOST: usize = 128 << 10;

/// The two heads, shared by the stream and whoever shows them.
#[derive(Clone, Default)]
pub(crate) struct Heads(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    request: Vec<u8>,
    response: Vec<u8>,
    /// The heads were taken: what comes now are frames.
    is_over: bool,
}

impl Heads {
    /// Request and response, each up to its empty line, or as far as it came.
    pub(crate) fn take(&self) -> (Vec<u8>, Vec<u8>) {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.is_over = true;
        (std::mem::take(&mut recorded.request), std::mem::take(&mut recorded.response))
    }

    fn record(&self, of: impl FnOnce(&mut Recorded) -> &mut Vec<u8>, bytes: &[u8]) {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.is_over {
            return;
        }
        let head = of(&mut recorded);
        if head.len() >= MOST || head.ends_with(END) {
            return;
        }
        head.extend_from_slice(bytes);
        if let Some(end) = head.windows(END.len()).position(|window| window == END) {
            head.truncate(end + END.len());
        }
    }
}

/// The stream; it records until the heads are taken.
pub(crate) struct Tap<S> {
    stream: S,
    heads: Heads,
}

impl<S> Tap<S> {
    pub(crate) fn new(stream: S, heads: Heads) -> Self {
        Self { stream, heads }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.heads.record(|heads| &mut heads.response, &buffer.filled()[before..]);
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        if let Ok(n) = written {
            self.heads.record(|heads| &mut heads.request, &bytes[..n]);
        }
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Frames only: a head is one slice.
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
