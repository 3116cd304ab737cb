//! The machine without a socket: driven by its contract, and what comes out is kept.

use std::io::IoSlice;
use std::time::Instant;

use aiowebsocket::protocol::{Connection, Ending, Kind, MaskKeys, Place, Step};

use crate::heard::{End, Message};
use crate::input::Cuts;

/// One machine, and what a face holds beside it.
#[derive(Debug)]
pub(crate) struct Face {
    /// The machine.
    pub(crate) machine: Connection,
    /// The messages that came whole.
    pub(crate) messages: Vec<Message>,
    /// Whether messages are taken in parts.
    pub(crate) in_parts: bool,
    /// The message that is being put together from parts.
    parts: Option<Message>,
    large: Vec<u8>,
    cuts: Cuts,
}

impl Face {
    /// A face that reads in pieces of `cuts`.
    pub(crate) fn new(machine: Connection, cuts: Cuts) -> Self {
        Self { machine, messages: Vec::new(), in_parts: false, parts: None, large: Vec::new(), cuts }
    }

    /// Gives the machine all of `bytes` and takes every step that they make possible.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], now: Instant) {
        // Each step takes a byte, ends a frame of two, or asks for more.
        for _ in 0..8 * bytes.len() + 1_000_000 {
            let step = if self.in_parts || self.machine.is_in_parts() {
                self.machine.step_part()
            } else {
                self.machine.step()
            };
            match step {
                Step::Message(incoming) => {
                    assert!(!self.machine.is_in_parts(), "a message is whole or in parts");
                    let bytes = self.take(incoming.place);
                    self.arrived(incoming.kind, bytes);
                }
                Step::Part { kind, place, last } => {
                    let bytes = self.machine.payload(place).to_vec();
                    assert_eq!(self.machine.is_in_parts(), !last);
                    assert!(last || !bytes.is_empty(), "a part without bytes says nothing");
                    let Message(begun, message) = self.parts.get_or_insert_with(|| Message(kind, Vec::new()));
                    assert_eq!(*begun, kind);
                    message.extend(bytes);
                    if last {
                        let Message(kind, bytes) = self.parts.take().expect("begun above");
                        self.arrived(kind, bytes);
                    }
                }
                Step::Into { len, .. } => {
                    self.large.extend_from_slice(self.machine.pour());
                    let missing =
                        len.checked_sub(self.large.len()).expect("no more is poured than the message has");
                    if missing == 0 {
                    } else if bytes.is_empty() {
                        return;
                    } else if self.cuts.coin() {
                        let n = self.cuts.cut().min(bytes.len()).min(missing);
                        let before = self.large.len();
                        self.large.extend_from_slice(&bytes[..n]);
                        self.machine.placed(&mut self.large[before..], now);
                        bytes = &bytes[n..];
                    } else {
                        self.read(&mut bytes, now);
                    }
                }
                Step::Control { .. } => panic!("control frames were not asked for"),
                Step::Read if !bytes.is_empty() => self.read(&mut bytes, now),
                Step::Read => return,
                Step::End => {
                    assert!(self.machine.ending().is_some(), "only an end ends the steps");
                    return;
                }
            }
        }
        panic!("steps without end");
    }

    fn read(&mut self, bytes: &mut &[u8], now: Instant) {
        if self.cuts.coin() {
            self.machine.park();
        }
        let space = self.machine.space();
        assert!(!space.is_empty(), "a read into nothing would look like the end of the stream");
        let n = self.cuts.cut().min(bytes.len()).min(space.len());
        space[..n].copy_from_slice(&bytes[..n]);
        self.machine.received(n, now);
        *bytes = &bytes[n..];
    }

    fn take(&mut self, place: Place) -> Vec<u8> {
        match place {
            Place::Outside => std::mem::take(&mut self.large),
            Place::Assembled if self.cuts.coin() => self.machine.take_assembled(),
            Place::Assembled | Place::Input { .. } => {
                let bytes = self.machine.payload(place).to_vec();
                if self.cuts.coin() {
                    self.machine.settle();
                }
                bytes
            }
        }
    }

    fn arrived(&mut self, kind: Kind, bytes: Vec<u8>) {
        if kind == Kind::Text {
            assert!(std::str::from_utf8(&bytes).is_ok(), "text is checked");
        }
        self.messages.push(Message(kind, bytes));
    }

    /// Up to `most` bytes of what the machine has to write.
    pub(crate) fn write(&mut self, most: usize, keys: &mut impl MaskKeys) -> Vec<u8> {
        let mut written = Vec::new();
        while self.machine.wants_write() && written.len() < most {
            let output = self.machine.output(keys);
            let front = output.front();
            assert!(!front.is_empty(), "what waits has a front");
            let before = written.len();
            if self.cuts.coin() {
                written.extend_from_slice(&front[..self.cuts.cut().min(front.len()).min(most - before)]);
            } else {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = output.slices(&mut slices);
                assert!(slices[0].starts_with(front));
                slices[..filled].iter().for_each(|slice| written.extend_from_slice(slice));
                written.truncate(most);
            }
            let n = written.len() - before;
            self.machine.written(n);
        }
        written
    }

    /// How the connection stands.
    pub(crate) fn end(&self) -> End {
        match self.machine.outcome() {
            None => End::Open,
            Some(Ending::Closed(frame)) => End::Closed(frame.code.get(), frame.reason),
            Some(ending) => End::Failed(ending.code().get()),
        }
    }
}
