//! What a stream of frames comes to, whoever reads it.

use std::fmt;
use std::time::Instant;

use aiowebsocket::protocol::{Config, Connection, Kind, Role};
use aiowebsocket::{Agreed, Deflate};
use http::{HeaderMap, HeaderValue};

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
    /// The compression that was agreed on, if any.
    pub compression: Option<Agreed>,
}

impl Reader {
    /// Limits by the choices of the fuzzer: three bits for which, small enough to be reached. One more for compression, and one for
    /// messages that are compressed each for itself.
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
        let parameters = if byte & 0x20 == 0 { "" } else { WITHOUT_CONTEXT };
        let compression = (byte & 0x10 != 0).then(|| agreed(&Deflate::default(), parameters));
        Self { role: if byte & 1 == 0 { Role::Client } else { Role::Server }, config, compression }
    }

    /// Whether the peer's messages refer to those before them; `None` where they are not compressed.
    pub fn peer_keeps_context(&self) -> Option<bool> {
        let agreed = self.compression?;
        Some(match self.role {
            Role::Client => !agreed.server_no_context_takeover(),
            Role::Server => !agreed.client_no_context_takeover(),
        })
    }

    /// A machine that reads so.
    pub(crate) fn machine(&self, now: Instant) -> Connection {
        let mut machine = Connection::new(self.role, self.config.clone(), &[], now);
        if let Some(agreed) = self.compression {
            machine.compress(agreed);
        }
        machine
    }
}

/// Parameters of an offer.
pub(crate) const WITHOUT_CONTEXT: &str = "; server_no_context_takeover; client_no_context_takeover";

/// What a server with `options` agrees to where a client offers these parameters.
pub(crate) fn agreed(options: &Deflate, parameters: &str) -> Agreed {
    let offer = format!("permessage-deflate; client_max_window_bits{parameters}");
    let mut request = HeaderMap::new();
    request.insert("sec-websocket-extensions", HeaderValue::from_str(&offer).expect("it is ASCII"));
    options.answer(&request).expect("an offer as RFC 7692 has it")
}
