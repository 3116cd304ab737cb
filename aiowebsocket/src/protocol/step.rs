//! What the machine answers: a step, a message, and where its bytes are.

use super::frame::OpCode;
use super::message::Kind;

/// What to do next, answered by [`Connection::step`](super::Connection::step). A copy, so that no borrow lasts from one step to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing more can be made of what arrived: write what waits, then read.
    Read,
    /// A message is whole.
    Message(Incoming),
    /// A large message is arriving: give it a destination, see [`Connection::pour`](super::Connection::pour).
    Into {
        /// Its kind.
        kind: Kind,
        /// Its length in bytes; within the limits, but not yet memory.
        len: usize,
    },
    /// Some bytes of a message that is taken in parts, see [`Connection::step_part`](super::Connection::step_part).
    Part {
        /// Its kind. The bytes of a part of a text may begin and end inside a character.
        kind: Kind,
        /// Where the bytes are.
        place: Place,
        /// Whether the message ends with them.
        last: bool,
    },
    /// A ping or a pong arrived, where [`Config::control_events`](super::Config::control_events) asks to be told. It is answered already.
    Control {
        /// Ping or pong.
        opcode: OpCode,
        /// Where its payload is.
        place: Place,
    },
    /// The connection is over; [`Connection::ending`](super::Connection::ending) tells how.
    End,
}

/// A whole message: what it is and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Text or binary.
    pub kind: Kind,
    /// Where its bytes are until the next step, or the next message that is sent without [`hold`](super::Connection::hold).
    pub place: Place,
}

/// A whole message where it lies in the read buffer, not taken yet.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// Text or binary.
    pub kind: Kind,
    /// Its bytes.
    pub payload: &'a [u8],
    /// The length of its frame: what [`pass_plain`](super::Connection::pass_plain) takes.
    pub frame: usize,
}

impl Incoming {
    /// A message in the read buffer.
    #[inline]
    pub(super) fn in_input(kind: Kind, start: usize, end: usize) -> Self {
        Self { kind, place: Place::in_input(start, end) }
    }
}

impl Place {
    /// In the read buffer.
    #[inline]
    pub(super) fn in_input(start: usize, end: usize) -> Self {
        debug_assert!(end <= u32::MAX as usize, "a read buffer is small");
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a read buffer is at most 128 KiB, or a handshake's leftover"
        )]
        return Self::Input { start: start as u32, end: end as u32 };
    }
}

/// Where the bytes of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the read buffer, from here…
    Input {
        /// …the first byte…
        start: u32,
        /// …to before this one.
        end: u32,
    },
    /// In memory of its own, put together from fragments or inflated: lent by [`Connection::payload`](super::Connection::payload), given away by
    /// [`Connection::take_assembled`](super::Connection::take_assembled).
    Assembled,
    /// In the destination that the face supplied for [`Step::Into`].
    Outside,
}
