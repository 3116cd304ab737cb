//! What a connection allows and how long it waits: every limit in one place, each with its reason.

use std::num::NonZeroUsize;
use std::time::Duration;

/// The limits and times of one connection. [`Config::default`] is meant for the internet: nothing is unbounded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The largest message that is received, in bytes of payload. Default 64 MiB: what the widespread libraries of
    /// this language allow, so that a feed that works with them works here.
    pub max_message: u64,
    /// The largest frame that is received, in bytes of payload. Default 64 MiB, as a message may be one frame.
    pub max_frame: u64,
    /// The most fragments of one message. Default 131,072: twice what the widest conformance suite uses (64-byte
    /// fragments of 4 MiB), and few enough that empty fragments cannot keep a connection busy for ever.
    pub max_fragments: u32,
    /// Bytes that may wait to be written before `feed` and `send` wait. Default 1 MiB: more than a
    /// kernel's send buffer takes at once, little enough to have for each of a thousand connections.
    /// The message that reaches the limit still enters, whatever its size.
    pub max_queue: usize,
    /// Bytes of messages that are received while the caller waits for something else (a pong, room to write), and
    /// kept until they are asked for. Then reading pauses. Default 1 MiB, as for the queue on the way out.
    pub max_backlog: usize,
    /// The most payload bytes of one frame that is sent; longer messages leave in fragments of this size, and a pong waits for
    /// no more than one of them. Default `None`: one frame a message, which is what most receivers handle best. A message
    /// that is cut is copied once more.
    pub fragment_size: Option<NonZeroUsize>,
    /// Whether pings and pongs are told to whoever asks for events. They are answered either way. Default off.
    pub control_events: bool,
    /// Bytes of each payload, from its first on, that are shown to whoever collects events of the crate `tracing` (feature
    /// `tracing`): at the level of tracing, target `aiowebsocket::payloads`. What is UTF-8 is shown as text, in quotes and
    /// escaped; anything else, and what control frames carry, in hexadecimal digits. Default 0, none: payloads hold what
    /// people keep to themselves, and what is logged is stored and passed on. Nothing of the opening handshake is shown by this.
    ///
    /// A message that is sent is shown before it is compressed or cut into fragments. One that arrives compressed is shown
    /// inflated, at its end; taken in parts, so many bytes of each part. Any other frame is shown as it arrives: in several
    /// events where it arrives in pieces, whose `offset` says where in the payload each begins.
    pub trace_payloads: u16,
    /// How long the closing handshake may take, from our Close frame to the end of TCP. Default 10 s, as
    /// long as the opening may take.
    pub close_timeout: Duration,
    /// Pings that notice a dead peer; `None` for no pings. Default 20 s and 20 s: under the 30 to 60 s
    /// after which proxies drop a silent connection.
    pub keepalive: Option<KeepAlive>,
}

/// When to ping, and when to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Time between two pings; zero for no pings.
    pub interval: Duration,
    /// Time after a ping within which some byte must arrive; any byte counts as life.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_message: 64 << 20,
            max_frame: 64 << 20,
            max_fragments: 1 << 17,
            max_queue: 1 << 20,
            max_backlog: 1 << 20,
            fragment_size: None,
            control_events: false,
            trace_payloads: 0,
            close_timeout: Duration::from_secs(10),
            keepalive: Some(KeepAlive::default()),
        }
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(20), timeout: Duration::from_secs(20) }
    }
}
