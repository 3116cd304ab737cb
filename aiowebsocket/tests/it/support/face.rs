//! A face without a socket: drives one machine by its contract and keeps what comes out.

use std::fmt;
use std::io::IoSlice;
use std::time::Instant;

use aiowebsocket::protocol::{Connection, Kind, Place, Step};

use super::rng::Rng;
use super::same_key;

/// A message as the application sees it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    Binary(Vec<u8>),
}

impl Message {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }
}

/// The beginning only: a failure that prints 200 KiB tells nothing.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        write!(f, "{:?} of {}: {}", self.kind(), bytes.len(), bytes[..bytes.len().min(32)].escape_ascii())
    }
}

/// How the bytes of a large message get to their destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// All through the read buffer: pour, then space and received.
    Space,
    /// Straight: pour once, then placed.
    Placed,
    /// Either, at random; and memory is given back at random too.
    Mixed,
}

/// One machine, and what a face holds beside it.
pub(crate) struct Face {
    pub(crate) machine: Connection,
    pub(crate) messages: Vec<Message>,
    large: Vec<u8>,
    style: Style,
    rng: Rng,
    /// Written before it was asked for.
    written: Vec<u8>,
}

impl Face {
    pub(crate) fn new(machine: Connection, style: Style, rng: Rng) -> Self {
        Self { machine, messages: Vec::new(), large: Vec::new(), style, rng, written: Vec::new() }
    }

    /// Gives the machine all of `bytes`, in reads of at most what `cut` says, and takes every step that they make possible.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut cut: impl FnMut() -> usize, now: Instant) {
        loop {
            match self.machine.step() {
                Step::Message(incoming) => {
                    let bytes = self.take(incoming.place);
                    self.messages.push(match incoming.kind {
                        Kind::Text => {
                            Message::Text(String::from_utf8(bytes).expect("checked by the machine"))
                        }
                        Kind::Binary => Message::Binary(bytes),
                    });
                }
                Step::Part { .. } | Step::Control { .. } => unreachable!("neither was asked for"),
                Step::Into { len, .. } => {
                    self.large.extend_from_slice(self.machine.pour());
                    assert!(self.large.len() <= len, "no more is poured than the message has");
                    let missing = len - self.large.len();
                    let straight = match self.style {
                        Style::Space => false,
                        Style::Placed => true,
                        Style::Mixed => self.rng.one_in(2),
                    };
                    if missing == 0 {
                    } else if bytes.is_empty() {
                        return;
                    } else if straight {
                        let n = cut().clamp(1, bytes.len()).min(missing);
                        let before = self.large.len();
                        self.large.extend_from_slice(&bytes[..n]);
                        self.machine.placed(&mut self.large[before..], now);
                        bytes = &bytes[n..];
                    } else {
                        self.read(&mut bytes, cut(), now);
                    }
                }
                Step::Read | Step::End if bytes.is_empty() => return,
                Step::Read => self.read(&mut bytes, cut(), now),
                Step::End => return,
            }
        }
    }

    fn read(&mut self, bytes: &mut &[u8], cut: usize, now: Instant) {
        if self.style == Style::Mixed && self.rng.one_in(4) {
            self.machine.park();
        }
        let space = self.machine.space();
        assert!(!space.is_empty(), "a read into nothing would look like the end of the stream");
        let n = cut.clamp(1, bytes.len()).min(space.len());
        space[..n].copy_from_slice(&bytes[..n]);
        self.machine.received(n, now);
        *bytes = &bytes[n..];
    }

    fn take(&mut self, place: Place) -> Vec<u8> {
        match place {
            Place::Outside => std::mem::take(&mut self.large),
            Place::Assembled if self.style == Style::Placed => self.machine.take_assembled(),
            Place::Assembled | Place::Input { .. } => {
                let bytes = self.machine.payload(place).to_vec();
                if self.style == Style::Mixed {
                    self.machine.settle();
                }
                bytes
            }
        }
    }

    /// Writes so many bytes, which the next [`drain`](Self::drain) tells.
    pub(crate) fn write(&mut self, mut n: usize) {
        while n > 0 {
            let front = self.machine.output(&mut same_key).front();
            assert!(!front.is_empty(), "so much waits");
            let taken = n.min(front.len());
            self.written.extend_from_slice(&front[..taken]);
            self.machine.written(taken);
            n -= taken;
        }
    }

    /// Everything that the machine has to write, taken in writes that are sometimes short.
    pub(crate) fn drain(&mut self) -> Vec<u8> {
        let mut written = std::mem::take(&mut self.written);
        // Then the slices hold no more than one fragment.
        let cuts = self.machine.config().fragment_size.is_some();
        while self.machine.wants_write() {
            let output = self.machine.output(&mut same_key);
            let mut slices = [IoSlice::new(&[]); 3];
            let filled = output.slices(&mut slices);
            let waiting: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
            assert!(waiting.starts_with(output.front()) && !output.front().is_empty());
            assert!(
                waiting.len() == output.len() || filled == slices.len() || cuts,
                "the slices hold all that waits"
            );
            assert!(filled == 1 || !output.is_contiguous());
            let n =
                if self.style == Style::Mixed { 1 + self.rng.below(waiting.len()) } else { waiting.len() };
            written.extend_from_slice(&waiting[..n]);
            self.machine.written(n);
        }
        written
    }
}
