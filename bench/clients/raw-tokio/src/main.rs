//! The floor: a bare tokio stream, a buffer of 128 KiB, minimal framing, slices shown in place, masked while copied.
//! Text is not checked, no rule is, and keys are xorshift: no library may be this careless. What is compressed goes through
//! zlib-rs into one buffer.

mod deflated;

use harness::frame::{Keys, LINE, head, line, put_masked};
use harness::tls::{TlsStream, secure};
use harness::{Client, Mode, TcpStream, connect, offered};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const BUFFER: usize = 128 << 10;

struct Raw<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    /// Where a read into an empty buffer begins.
    front: usize,
    start: usize,
    end: usize,
    out: Vec<u8>,
    keys: Keys,
}

trait Open: AsyncRead + AsyncWrite + Unpin + Sized {
    async fn open(addr: &str) -> Self;
}

impl Open for TcpStream {
    async fn open(addr: &str) -> Self {
        connect(addr).await
    }
}

impl Open for TlsStream {
    async fn open(addr: &str) -> Self {
        secure(connect(addr).await).await
    }
}

impl<S: Open> Raw<S> {
    async fn offering(addr: &str, path: &str, offer: Option<&str>) -> Self {
        let mut stream = S::open(addr).await;
        assert_eq!(offered(&mut stream, addr, path, offer).await.as_deref(), offer);
        let buffer = vec![0; BUFFER + LINE];
        let front = line(&buffer);
        Self { stream, buffer, front, start: front, end: front, out: Vec::new(), keys: Keys::default() }
    }
}

impl<S: Open> Client for Raw<S> {
    async fn open(addr: &str, path: &str) -> Self {
        Self::offering(addr, path, None).await
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        loop {
            let there = &self.buffer[self.start..self.end];
            let known = head(there);
            let mut until = self.buffer.len();
            if let Some(head) = known {
                let whole = head.len + head.payload;
                if there.len() >= whole {
                    self.start += whole;
                    return see(head.is_text(), &there[head.len..whole]);
                }
                if whole > BUFFER {
                    // A large message is read to its end and not further, so that nothing of the next is moved.
                    until = self.front + whole;
                    self.buffer.resize(self.buffer.len().max(until), 0);
                }
            }
            if self.start > self.front {
                self.buffer.copy_within(self.start..self.end, self.front);
                (self.start, self.end) = (self.front, self.front + self.end - self.start);
            }
            let n = self.stream.read(&mut self.buffer[self.end..until]).await.expect("the server is there");
            assert_ne!(n, 0, "the server went away");
            self.end += n;
        }
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        put_masked(&mut self.out, text, payload, self.keys.next_key());
        if self.out.len() >= BUFFER {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        self.stream.write_all(&self.out).await.expect("the server is there");
        self.stream.flush().await.expect("the server is there");
        self.out.clear();
    }
}

fn main() {
    match harness::mode() {
        Mode::Deflate => harness::run::<deflated::Deflated>("raw-tokio"),
        Mode::Tls => harness::run::<Raw<TlsStream>>("raw-tokio"),
        _ => harness::run::<Raw>("raw-tokio"),
    }
}
