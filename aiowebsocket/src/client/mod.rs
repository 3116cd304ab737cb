//! The tokio face: dials, reads, writes, sleeps and converts. Every rule is in [`protocol`](crate::protocol) and
//! [`opening`](crate::opening).

mod accept;
mod connect;
mod driver;
mod error;
mod handshake;
mod message;
mod server;
mod websocket;

pub use accept::{Accept, accept};
pub use connect::{Connect, Dial, Over, Transport, connect};
pub use error::{Error, TimeLimit};
pub use message::{Data, INLINE, Message, MessageRef, Outgoing, Text};
pub use server::EchoServer;
pub use websocket::WebSocket;
