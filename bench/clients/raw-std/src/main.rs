//! The floor without tokio: the same as `raw-tokio` on a blocking socket. Its futures never wait, so the runtime that polls
//! them costs nothing after the start.

use std::io::{Read, Write};
use std::net::TcpStream;

use harness::Client;
use harness::frame::{Keys, LINE, head, line, put_masked, request};

const BUFFER: usize = 128 << 10;

struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where a read into an empty buffer begins.
    front: usize,
    start: usize,
    end: usize,
    out: Vec<u8>,
    keys: Keys,
}

impl Client for Raw {
    const BLOCKS: bool = true;

    async fn open(addr: &str, path: &str) -> Self {
        let mut stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.write_all(request(addr, path, None).as_bytes()).expect("the request leaves");
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            let mut part = [0; 1024];
            let n = stream.read(&mut part).expect("a response");
            assert_ne!(n, 0, "the server went away");
            response.extend_from_slice(&part[..n]);
        }
        let buffer = vec![0; BUFFER + LINE];
        let front = line(&buffer);
        Self { stream, buffer, front, start: front, end: front, out: Vec::new(), keys: Keys::default() }
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
                    until = self.front + whole;
                    self.buffer.resize(self.buffer.len().max(until), 0);
                }
            }
            if self.start > self.front {
                self.buffer.copy_within(self.start..self.end, self.front);
                (self.start, self.end) = (self.front, self.front + self.end - self.start);
            }
            let n = self.stream.read(&mut self.buffer[self.end..until]).expect("the server is there");
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
        self.stream.write_all(&self.out).expect("the server is there");
        self.out.clear();
    }
}

fn main() {
    harness::run::<Raw>("raw-std");
}
