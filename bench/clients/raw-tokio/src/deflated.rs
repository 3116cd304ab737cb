//! The floor for compressed messages: zlib-rs into one buffer, below the same framing.

use flate2::{Decompress, FlushDecompress};
use harness::Client;

use crate::Raw;

/// What a sender leaves away at the end of each message (RFC 7692 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

pub struct Deflated {
    raw: Raw,
    inflate: Decompress,
    message: Vec<u8>,
}

impl Client for Deflated {
    async fn open(addr: &str, path: &str) -> Self {
        let raw = Raw::offering(addr, path, Some("permessage-deflate")).await;
        Self { raw, inflate: Decompress::new(false), message: Vec::with_capacity(4 << 10) }
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        let Self { raw, inflate, message } = self;
        message.clear();
        let text = raw
            .recv(|text, bytes| {
                for input in [bytes, &TAIL] {
                    let begin = inflate.total_in();
                    loop {
                        let used = (inflate.total_in() - begin) as usize;
                        if used == input.len() && message.len() < message.capacity() {
                            break;
                        }
                        message.reserve(message.len().max(1));
                        inflate
                            .decompress_vec(&input[used..], message, FlushDecompress::Sync)
                            .expect("what a compressor made");
                    }
                }
                text
            })
            .await;
        see(text, message)
    }

    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        self.raw.feed(text, payload).await;
    }

    async fn flush(&mut self) {
        self.raw.flush().await;
    }
}
