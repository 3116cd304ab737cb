//! The floor: a bare tokio stream, a buffer of 128 KiB, minimal framing, slices shown in place, masked while copied.
//! Text is not checked, no rule is, and keys are xorshift: no library may be this careless.

use harness::frame::{Keys, head, put_masked};
use harness::{Client, TcpStream, connect, handshake};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BUFFER: usize = 128 << 10;

struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    out: Vec<u8>,
    keys: Keys,
}

impl Client for Raw {
    async fn open(addr: &str, path: &str) -> Self {
        let mut stream = connect(addr).await;
        handshake(&mut stream, addr, path).await;
        Self { stream, buffer: vec![0; BUFFER], start: 0, end: 0, out: Vec::new(), keys: Keys::default() }
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
                    self.buffer.resize(self.buffer.len().max(whole), 0);
                    until = whole;
                }
            }
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
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
        self.out.clear();
    }
}

fn main() {
    harness::run::<Raw>("raw-tokio");
}
