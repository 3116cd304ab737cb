//! What a stream of frames comes to, whoever reads it.

use std::fmt;

use aiowebsocket::protocol::{Config, Kind, Role};

use crate::input::Input;

/// Messages and an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// How it stands after them.
    pub end: End,
}

/// A message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message(pub Kind, pub Vec<u8>);

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}: {}", self.0, self.1.len(), self.1[..self.1.len().min(32)].escape_ascii())
    }
}

/// How a connection stands when all bytes are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// More may come.
    Open,
    /// The peer closed: its code, 1005 for none, and its reason.
    Closed(u16, String),
    /// The reader failed the connection with this code.
    Failed(u16),
}

/// What a stream is read under.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Which end reads.
    pub role: Role,
    /// Its limits.
    pub config: Config,
}

impl Reader {
    /// Limits by the choices of the fuzzer: three bits for which, small enough to be reached.
    pub fn new(choices: &mut Input<'_>) -> Self {
        let byte = choices.byte();
        let mut config = Config::default();
        if byte & 2 != 0 {
            config.max_message = 200;
        }
        if byte & 4 != 0 {
            config.max_frame = 130;
        }
        if byte & 8 != 0 {
            config.max_fragments = 4;
        }
        Self { role: if byte & 1 == 0 { Role::Client } else { Role::Server }, config }
    }
}
