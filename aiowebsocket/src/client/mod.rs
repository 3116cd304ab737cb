//! The tokio face: dials, reads, writes, sleeps and converts. Every rule is in [`protocol`](crate::protocol) and
//! [`opening`](crate::opening).

mod accept;
mod backlog;
mod connect;
mod counters;
mod driver;
mod error;
mod exchange;
mod gate;
mod handshake;
mod message;
mod opening;
mod parking;
mod reconnect;
mod server;
mod split;
#[cfg(feature = "futures")]
mod stream;
mod target;
mod websocket;

pub use accept::{Accept, accept};
pub use connect::{Connect, Dial, Over, OverEach, Transport, connect};
pub use counters::Counters;
pub use error::{Error, TimeLimit};
pub use gate::Gate;
pub use message::{Data, Event, INLINE, Message, MessageRef, Outgoing, Part, Text};
pub use reconnect::{ReconnectEvent, Reconnecting};
pub use server::EchoServer;
pub use split::{Receiver, Sender, TrySendError};
pub use target::Target;
pub use websocket::{Negotiated, WebSocket};
