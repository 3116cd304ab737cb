//! The frames of a burst, made before it begins and written from memory.

use std::fmt;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use harness::frame::{put_head, value};

/// The smallest block that a burst is written in: large enough that its system calls do not count.
const BLOCK: usize = 256 << 10;

/// What a compressor can refer to at most, and so what has to lie before a block that is sent again and again.
const WINDOW: usize = 32 << 10;

/// Frames in a row.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
}

impl Block {
    /// All payloads, as often as it takes, or until there are `count` frames: a thousand connections that get a few each hold
    /// no more than those.
    pub fn plain(payloads: &[Bytes], text: bool, count: usize) -> Self {
        let mut block = Self::default();
        while block.bytes.len() < BLOCK && block.frames() < count {
            for payload in payloads {
                put_head(&mut block.bytes, text, payload.len(), None);
                block.push(payload);
            }
        }
        block
    }

    /// The same, compressed text. The second of the two can be sent any number of times: what comes before it is the same
    /// each time, as far back as a compressor can refer.
    pub fn deflated(payloads: &[Bytes], agreed: &Agreed) -> [Self; 2] {
        let mut compress = Compress::new_with_window_bits(Compression::new(6), false, agreed.window_bits);
        let [mut first, mut again] = [Self::default(), Self::default()];
        let mut plain = 0;
        while plain < WINDOW {
            plain += first.push_deflated(payloads, &mut compress, agreed);
        }
        while again.bytes.len() < BLOCK {
            again.push_deflated(payloads, &mut compress, agreed);
        }
        [first, again]
    }

    /// How many frames.
    pub fn frames(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of the first `n` frames.
    pub fn first(&self, n: usize) -> &[u8] {
        n.checked_sub(1).map_or(&[], |last| &self.bytes[..self.ends[last]])
    }

    fn push(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
    }

    /// Every payload once; how many bytes they were.
    fn push_deflated(&mut self, payloads: &[Bytes], compress: &mut Compress, agreed: &Agreed) -> usize {
        for payload in payloads {
            if agreed.no_takeover {
                compress.reset();
            }
            // More than deflate ever makes of it.
            let mut deflated = Vec::with_capacity(payload.len() + payload.len() / 8 + 64);
            compress.compress_vec(payload, &mut deflated, FlushCompress::Sync).expect("it has room");
            // RFC 7692 7.2.1: the last four bytes of the empty block stay away.
            assert!(deflated.ends_with(&[0, 0, 0xff, 0xff]), "flushed");
            deflated.truncate(deflated.len() - 4);
            let head = self.bytes.len();
            put_head(&mut self.bytes, true, deflated.len(), None);
            self.bytes[head] |= 0x40;
            self.push(&deflated);
        }
        payloads.iter().map(Bytes::len).sum()
    }
}

/// The compression that a request asks for, whose first offer is taken.
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    no_takeover: bool,
    client_no_takeover: bool,
    window_bits: u8,
}

impl Agreed {
    /// Of a request, which has to offer it.
    pub fn of(request: &str) -> Self {
        let offer = value(request, "Sec-WebSocket-Extensions").expect("compression is offered");
        let offer = offer.split(',').next().unwrap_or_default();
        let mut agreed = Self { no_takeover: false, client_no_takeover: false, window_bits: 15 };
        for (index, parameter) in offer.split(';').map(str::trim).enumerate() {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("permessage-deflate", "") => assert_eq!(index, 0, "{offer}"),
                ("server_no_context_takeover", "") => agreed.no_takeover = true,
                ("client_no_context_takeover", "") => agreed.client_no_takeover = true,
                ("server_max_window_bits", bits) => {
                    agreed.window_bits = bits.trim_matches('"').parse().expect("a number of bits");
                }
                // It may stay as it is: nothing that the client compresses is looked at.
                ("client_max_window_bits", _) => {}
                _ => panic!("what is {parameter} in {offer}?"),
            }
        }
        agreed
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.no_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if self.window_bits < 15 {
            write!(f, "; server_max_window_bits={}", self.window_bits)?;
        }
        Ok(())
    }
}
