//! The tokio face: dials, reads, writes, sleeps and converts. Every rule is in [`protocol`](crate::protocol) and
//! [`opening`](crate::opening).

mod accept;
mod connect;
mod driver;
mod exchange;
mod gate;
mod handshake;
mod opening;
mod parking;
mod reconnect;
mod server;
mod split;
#[cfg(feature = "futures")]
mod stream;
mod websocket;

pub use accept::{Accept, accept};
pub(crate) use connect::Ways;
pub use connect::{Over, OverEach, Transport, connect};
pub use gate::Gate;
pub use reconnect::{ReconnectEvent, Reconnecting};
pub use server::EchoServer;
pub use split::{Receiver, Sender, TrySendError};
pub use websocket::WebSocket;
